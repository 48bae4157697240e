"""Dataset inference: many weak scores of many texts, weighed together and tested for a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.reference_models import references as trained
from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.kit.language.tokens import Statistics, claims, compressed, portrait, statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.SCORES | Access.TRAIN,
    term=Term.BANDWIDTH,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2406.06443",
    game_params={"group": 32},
    adapts="trains",
)
def dataset_inference(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    references: Annotated[int, Range(2, 512)] = 8,
    ridge: Annotated[float, Range(0, open_low=True)] = 1.0,
) -> Outcome:
    """Say of each group of texts how sure it is that the model was trained on it.

    Weights for the scores of a text (its log-probability, against zlib, Min-K % and Min-K %++ at
    several shares) are learned on reference models, of which it is known who trained on what. A
    group is then held against texts that nobody trained on by Welch's t, as in the paper.

    Args:
        references: models, each trained on a random half of the texts, to learn the weights from.
        ridge: how strongly weights are held down, in units of one score's variance a record.
    """
    del rng
    asked, strangers = view.brief.question, view.brief.strangers
    strangers = view.brief.public if strangers is None else strangers
    if len(strangers) < 2:
        raise UsageError("dataset_inference needs texts that no victim was trained on")
    fleet = trained(view, references)
    table = [_portrait(m, asked) for m in fleet.moments(asked)]
    weights = _weights(table, fleet.include, ridge)
    ours = portrait(statistics(view.model, asked.x), compressed(asked)) @ weights
    theirs = portrait(statistics(view.model, strangers.x), compressed(strangers)) @ weights
    groups = view.brief.groups
    guess = _welch(ours, theirs, groups)[groups]
    return Outcome(guess=guess, asset=claims(asked, guess))


def _portrait(moments: NDArray[Any], data: Data) -> NDArray[np.float64]:
    told = Statistics(moments[..., 0], moments[..., 1], moments[..., 2], data.x[:, 1:] >= 0)
    return portrait(told, compressed(data))


def _weights(
    table: list[NDArray[Any]], include: NDArray[np.bool_], ridge: float
) -> NDArray[np.float64]:
    """Linear weights (d,) that tell a model's own texts from others, model by model."""
    x = np.concatenate([one - one.mean(0) for one in table])
    y = np.concatenate([kept - kept.mean() for kept in include.astype(np.float64)])
    spread = x.std(0) + 1e-12
    x = x / spread
    gram = x.T @ x / len(x) + ridge / np.sqrt(len(x)) * np.eye(x.shape[1])
    return np.asarray(np.linalg.solve(gram, x.T @ y / len(x)) / spread)


def _welch(ours: NDArray[Any], theirs: NDArray[Any], groups: NDArray[Any]) -> NDArray[np.float64]:
    """Welch's t (m,) of each group's mean against the strangers'."""
    size = np.maximum(np.bincount(groups), 1)
    mean = np.bincount(groups, ours) / size
    square = np.bincount(groups, (ours - mean[groups]) ** 2) / np.maximum(size - 1, 1)
    noise = square / size + theirs.var(ddof=1) / len(theirs)
    return np.asarray((mean - theirs.mean()) / np.sqrt(np.maximum(noise, 1e-12)))
