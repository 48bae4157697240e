"""Closest record: the nearer a released row is to a person, the likelier they were in the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.released_membership import (
    ReleasedMembershipBrief,
    released_membership,
)
from hartley.kit.mixed_tables import gower_nearest

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=released_membership,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="arXiv:1909.03935",
    sweep={"neighbours": (1, 5)},
)
def closest_record(
    view: View[ReleasedMembershipBrief],
    rng: Rng,
    *,
    neighbours: Annotated[int, Range(1), Stronger.NEITHER] = 1,
) -> Outcome:
    """Score people by the distance to the closest released row (DCR), or a mean of several.

    It is what products report, and is known to miss most of what a release says.

    Args:
        neighbours: how many of the closest rows the distance is a mean over.
    """
    del rng
    brief = view.brief
    _, far = gower_nearest(brief.question.x, view.data.x, brief.columns, neighbours)
    return Outcome(guess=-np.asarray(far.mean(1)), asset=brief.question)
