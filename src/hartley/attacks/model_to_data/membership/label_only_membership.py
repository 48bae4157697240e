"""Label-only: how hard is it to change the model's mind about a record?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.model_to_data.membership._shared import augmentations, decision_boundary
from hartley.core import Access, Modality, Outcome, Range, Term, View, attack
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
)
def label_only_membership(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    method: Literal["boundary", "noise", "shift"] = "boundary",
    queries: Annotated[int, Range(1)] = 12,
    starts: Annotated[int, Range(1)] = 2,
    halvings: Annotated[int, Range(1)] = 5,
    turns: Annotated[int, Range(0)] = 1,
    sigma: Annotated[float, Range(0, open_low=True)] = 0.5,
    most: Annotated[int, Range(1)] = 30_000,
) -> Outcome:
    """Guess by the robustness of the label, and that a record labelled wrongly is no member.

    Args:
        method: boundary (distance to where the label changes), noise (share of shaken copies that
            keep the true label) or shift (share of shifted pictures that do).
        queries: copies a record (noise, shift), or neighbours that show the boundary's normal.
        starts: lines a record, each to a record of another label (boundary).
        halvings: of each line (boundary).
        turns: how often the boundary is approached along its normal (boundary).
        sigma: largest noise, in standard deviations of a record's numbers (noise).
        most: questions a round; where records are many there are fewer turns, lines, halvings and
            copies a record, down to two questions.

    Raises:
        UsageError: shifts of records that are not pictures.
    """
    asked = view.brief.question
    if method == "shift" and np.asarray(asked.x).ndim != 4:
        raise UsageError(f"shifts are for pictures, not for {asked.modality} of shape "
                         f"{np.asarray(asked.x).shape[1:]}")  # fmt: skip
    said = np.asarray(view.model.query(asked.x))
    right = said == asked.labels
    guess = right.astype(np.float64)
    room = max(2, most // len(asked))
    if method == "boundary":
        while turns and starts * halvings + turns * (queries + halvings + 1) > room:
            turns -= 1
        starts = max(1, min(starts, room // halvings))
        length = decision_boundary.distances(
            view.model.query, asked.x, said, rng,
            starts=starts, halvings=min(halvings, room), turns=turns, probes=queries,
        )  # fmt: skip
        guess *= length + 1e-6 * length.max(initial=1.0)
    else:
        guess += _kept(view, method, min(queries, room), sigma, rng)
    return Outcome(guess=guess, asset=claimed(asked, guess > np.median(guess)))


def _kept(
    view: View[MembershipBrief], method: str, queries: int, sigma: float, rng: Rng
) -> NDArray[np.float64]:
    """Share of the copies of each record that keep its true label."""
    asked = view.brief.question
    if method == "shift":
        copies = augmentations.pictures(np.asarray(asked.x), queries + 1)[1:]
    else:
        # Noise of several sizes: its least that changes the label stands for the distance.
        sizes = sigma * float(np.std(asked.x)) * np.linspace(0.2, 1, queries)
        copies = augmentations.shaken(np.asarray(asked.x), sizes, rng)
    said = np.asarray(view.model.query(copies.reshape(-1, *copies.shape[2:])))
    return np.asarray((said.reshape(len(copies), -1) == asked.labels).mean(0))
