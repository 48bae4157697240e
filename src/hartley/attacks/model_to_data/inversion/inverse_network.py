"""Inverse network: train a network that maps a model's scores back to records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.brief import needed
from hartley.games.inversion.class_inversion import ClassInversionBrief, class_inversion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=class_inversion,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1902.08552",
    requires=("public",),
    sweep={"records": (80, 400), "ridge": (0.1, 10.0)},
)
def inverse_network(
    view: View[ClassInversionBrief],
    rng: Rng,
    *,
    records: Annotated[int, Range(1), Stronger.MORE] = 400,
    hidden: Annotated[int, Range(1)] = 64,
    ridge: Annotated[float, Range(0, open_low=True)] = 0.1,
) -> Outcome:
    """Train a network from the model's scores to public records, and apply it to confident scores.

    The network has one hidden layer of random weights; its second layer is a ridge regression.

    Args:
        records: number of public records to query.
        hidden: width of the inverse network.
        ridge: penalty on the second layer.
    """
    question, public = view.brief.question, needed(view.brief.public, "inverse_network")
    rows = rng.permutation(len(public))[:records]
    x = public.x[rows].reshape(len(rows), -1).astype(np.float64)
    scores = _centred(view.model.query(public.x[rows]))
    first = rng.standard_normal((scores.shape[1], hidden)), rng.standard_normal(hidden)
    features = _layer(scores, *first)
    second = np.linalg.solve(
        features.T @ features + ridge * np.eye(features.shape[1]), features.T @ (x - x.mean(0))
    )
    # The scores of each class are those of the public record with the largest score of it.
    confident = np.array([scores[np.argmax(scores[:, slot])] for slot in question.x[:, 0]])
    rebuilt = _layer(confident, *first) @ second + x.mean(0)
    loot = np.clip(rebuilt, public.x.min(), public.x.max()).reshape(
        len(confident), *public.x.shape[1:]
    )
    loot = loot.astype(np.float32)
    return Outcome(asset=Data("rebuilt classes", view.model.modality, loot, y=question.x[:, 0]))


def _layer(scores: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any]) -> NDArray[Any]:
    """Return the scores, the hidden layer and a column of ones, side by side."""
    hidden = np.maximum(scores @ weight + bias, 0)
    return np.concatenate([scores, hidden, np.ones((len(scores), 1))], 1)


def _centred(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return centred log-probabilities (n, classes), clipped at 1e-6 and scaled to about 1."""
    logs = np.log(np.maximum(np.asarray(probabilities, np.float64), 1e-6))
    return np.asarray((logs - logs.mean(1, keepdims=True)) / 6, np.float64)
