"""Dataset inference: combine weak membership scores of many texts into one test per group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.reference_models import references as trained
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
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
    references: Annotated[int, Range(2, 512), Stronger.MORE] = 8,
    ridge: Annotated[float, Range(0, open_low=True)] = 1.0,
) -> Outcome:
    """Test for each group of texts whether the model was trained on it.

    Each text has several scores: its log-probability, the same relative to zlib, Min-K % and
    Min-K %++ at several shares. Their weights are fitted on reference models, whose members are
    known. As in the paper, a group is compared by Welch's t-test with texts that no model was
    trained on.

    Args:
        references: number of reference models, each trained on a random half of the texts.
        ridge: penalty on the weights, in units of one score's variance per record.
    """
    del rng
    question, nonmembers = view.brief.question, view.brief.nonmembers
    nonmembers = view.brief.public if nonmembers is None else nonmembers
    if len(nonmembers) < 2:
        raise UsageError("dataset_inference needs texts that no victim was trained on")
    fleet = trained(view, references)
    table = [_portrait(m, question) for m in fleet.moments(question)]
    weights = _weights(table, fleet.include, ridge)
    scores = portrait(statistics(view.model, question.x), compressed(question)) @ weights
    nonmember_scores = (
        portrait(statistics(view.model, nonmembers.x), compressed(nonmembers)) @ weights
    )
    groups = view.brief.groups
    guess = _welch(scores, nonmember_scores, groups)[groups]
    return Outcome(guess=guess, asset=claims(question, guess))


def _portrait(moments: NDArray[Any], data: Data) -> NDArray[np.float64]:
    stats = Statistics(moments[..., 0], moments[..., 1], moments[..., 2], data.x[:, 1:] >= 0)
    return portrait(stats, compressed(data))


def _weights(
    table: list[NDArray[Any]], include: NDArray[np.bool_], ridge: float
) -> NDArray[np.float64]:
    """Return linear weights (d,) that separate a model's members from non-members."""
    x = np.concatenate([scores - scores.mean(0) for scores in table])
    y = np.concatenate([row - row.mean() for row in include.astype(np.float64)])
    spread = x.std(0) + 1e-12
    x = x / spread
    gram = x.T @ x / len(x) + ridge / np.sqrt(len(x)) * np.eye(x.shape[1])
    return np.asarray(np.linalg.solve(gram, x.T @ y / len(x)) / spread)


def _welch(
    scores: NDArray[Any], nonmember_scores: NDArray[Any], groups: NDArray[Any]
) -> NDArray[np.float64]:
    """Return Welch's t (m,) of each group's mean against the non-members'."""
    size = np.maximum(np.bincount(groups), 1)
    mean = np.bincount(groups, scores) / size
    square = np.bincount(groups, (scores - mean[groups]) ** 2) / np.maximum(size - 1, 1)
    noise = square / size + nonmember_scores.var(ddof=1) / len(nonmember_scores)
    return np.asarray((mean - nonmember_scores.mean()) / np.sqrt(np.maximum(noise, 1e-12)))
