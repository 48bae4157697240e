"""Inversion by an inverse network: learn which record goes with which scores, then ask a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
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
)
def inverse_network(
    view: View[ClassInversionBrief],
    rng: Rng,
    *,
    records: Annotated[int, Range(1)] = 400,
    hidden: Annotated[int, Range(1)] = 64,
    ridge: Annotated[float, Range(0, open_low=True)] = 0.1,
) -> Outcome:
    """Train a network from the model's scores back to public records, and feed it a sure class.

    The network has one hidden layer of random weights; its second layer is solved for, exactly.

    Args:
        records: public records that are asked about.
        hidden: width of the inverse network.
        ridge: how much the second layer is held down.
    """
    asked, public = view.brief.question, needed(view.brief.public, "inverse_network")
    rows = rng.permutation(len(public))[:records]
    x = public.x[rows].reshape(len(rows), -1).astype(np.float64)
    scores = _centred(view.model.query(public.x[rows]))
    first = rng.standard_normal((scores.shape[1], hidden)), rng.standard_normal(hidden)
    seen = _layer(scores, *first)
    back = np.linalg.solve(seen.T @ seen + ridge * np.eye(seen.shape[1]), seen.T @ (x - x.mean(0)))
    # As sure of the class as the surest answer was.
    sure = np.array([scores[np.argmax(scores[:, slot])] for slot in asked.x[:, 0]])
    found = _layer(sure, *first) @ back + x.mean(0)
    loot = np.clip(found, public.x.min(), public.x.max()).reshape(len(sure), *public.x.shape[1:])
    loot = loot.astype(np.float32)
    return Outcome(asset=Data("rebuilt classes", view.model.modality, loot, y=asked.x[:, 0]))


def _layer(scores: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any]) -> NDArray[Any]:
    """The hidden layer's answers beside the scores themselves, and a column of ones."""
    hidden = np.maximum(scores @ weight + bias, 0)
    return np.concatenate([scores, hidden, np.ones((len(scores), 1))], 1)


def _centred(chances: NDArray[Any]) -> NDArray[np.float64]:
    """Log-scores less their mean, cut where rounding begins and brought to the size of one."""
    logs = np.log(np.maximum(np.asarray(chances, np.float64), 1e-6))
    return np.asarray((logs - logs.mean(1, keepdims=True)) / 6, np.float64)
