"""Common neighbour: two records that are nearest to the same released row are one person's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.linkability import LinkabilityBrief, linkability
from hartley.kit.mixed_tables import gower_nearest

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=linkability,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="arXiv:2211.10459",
    sweep={"neighbours": (1, 5)},
)
def common_neighbour(
    view: View[LinkabilityBrief],
    rng: Rng,
    *,
    neighbours: Annotated[int, Range(1), Stronger.NEITHER] = 1,
) -> Outcome:
    """Connect two records where the same released row is among the nearest to both.

    Of several second records that share a row with a first one, that with the least sum of
    distances is claimed, and of equal ones any.

    Args:
        neighbours: how many released rows are near a record.
    """
    brief, release = view.brief, view.data.x
    near = []
    for part, places in (
        (brief.first, brief.first_columns),
        (brief.second, brief.second_columns),
    ):
        columns = [brief.columns[place] for place in places]
        near.append(gower_nearest(part.x, release[:, list(places)], columns, neighbours))
    (first, far_first), (second, far_second) = near
    count, width = first.shape
    at_row: dict[int, list[tuple[int, float]]] = {}
    for b in rng.permutation(count):
        for k in range(width):
            at_row.setdefault(int(second[b, k]), []).append((int(b), float(far_second[b, k])))
    guess = np.full((count, 2), -1.0)
    for a in range(count):
        sums = [
            (far_first[a, k] + far, b)
            for k in range(width)
            for b, far in at_row.get(int(first[a, k]), ())
        ]
        if sums:
            far, b = min(sums, key=lambda pair: pair[0])
            guess[a] = b, 1.0 / (1.0 + far)
    claimed = guess[:, 0].astype(np.int64)
    linked = np.hstack([brief.first.x, brief.second.x[np.maximum(claimed, 0)]])[claimed >= 0]
    return Outcome(
        guess=guess, asset=Data("linked records", view.data.modality, linked, role="records")
    )
