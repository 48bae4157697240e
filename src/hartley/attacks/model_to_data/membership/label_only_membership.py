"""Label-only membership: the predicted label of a member is robust to changes of the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.model_to_data.membership._shared import augmentations, decision_boundary
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.games.membership.split_checks import claimed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.LABELS,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:2007.14321",
    sweep={"method": ("noise", "shift")},
)
def label_only_membership(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    method: Literal["boundary", "noise", "shift"] = "boundary",
    queries: Annotated[int, Range(1), Stronger.MORE] = 12,
    starts: Annotated[int, Range(1), Stronger.MORE] = 2,
    halvings: Annotated[int, Range(1), Stronger.MORE] = 5,
    turns: Annotated[int, Range(0), Stronger.MORE] = 1,
    sigma: Annotated[float, Range(0, open_low=True)] = 0.5,
    most: Annotated[int, Range(1), Stronger.MORE] = 30_000,
) -> Outcome:
    """Guess that a record is a member if its label is predicted correctly and robustly.

    Args:
        method: boundary (distance to the decision boundary), noise (share of noisy copies that
            keep the true label) or shift (share of shifted pictures that keep it).
        queries: copies per record (noise, shift), or neighbours that estimate the normal of the
            boundary (boundary).
        starts: lines per record, each to a record with another label (boundary).
        halvings: bisection steps of each line (boundary).
        turns: how often the boundary is approached along its normal (boundary).
        sigma: largest noise, in standard deviations of a record's numbers (noise).
        most: largest number of queries per round. If there are many records, fewer turns, lines,
            halvings and copies are used, down to two queries per record.

    Raises:
        UsageError: ``shift`` for records that are not pictures.
    """
    question = view.brief.question
    if method == "shift" and np.asarray(question.x).ndim != 4:
        raise UsageError(
            f"records must be pictures for method 'shift', got {question.modality} of shape "
            f"{np.asarray(question.x).shape[1:]}"
        )
    labels = np.asarray(view.model.query(question.x))
    correct = labels == question.labels
    guess = correct.astype(np.float64)
    budget = max(2, most // len(question))
    if method == "boundary":
        while turns and starts * halvings + turns * (queries + halvings + 1) > budget:
            turns -= 1
        starts = max(1, min(starts, budget // halvings))
        distance = decision_boundary.distances(
            view.model.query, question.x, labels, rng,
            starts=starts, halvings=min(halvings, budget), turns=turns, probes=queries,
        )  # fmt: skip
        guess *= distance + 1e-6 * distance.max(initial=1.0)
    else:
        guess += _share_kept(view, method, min(queries, budget), sigma, rng)
    return Outcome(guess=guess, asset=claimed(question, guess > np.median(guess)))


def _share_kept(
    view: View[MembershipBrief], method: str, queries: int, sigma: float, rng: Rng
) -> NDArray[np.float64]:
    """Return the share (n,) of the copies of each record that keep its true label."""
    question = view.brief.question
    if method == "shift":
        copies = augmentations.pictures(np.asarray(question.x), queries + 1)[1:]
    else:
        # The noise has several sizes: the least that changes the label measures the distance.
        sizes = sigma * float(np.std(question.x)) * np.linspace(0.2, 1, queries)
        copies = augmentations.noisy(np.asarray(question.x), sizes, rng)
    labels = np.asarray(view.model.query(copies.reshape(-1, *copies.shape[2:])))
    return np.asarray((labels.reshape(len(copies), -1) == question.labels).mean(0))
