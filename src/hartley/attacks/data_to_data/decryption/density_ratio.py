"""Density ratio: a release is denser around the people of its table than the population is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.brief import needed
from hartley.games.decryption.released_membership import (
    ReleasedMembershipBrief,
    released_membership,
)
from hartley.kit.mixed_tables import GowerTable, numbers_of

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=released_membership,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="arXiv:2302.12580",
    requires=("public",),
    sweep={"width": (0.03, 0.1, 0.3)},
)
def density_ratio(
    view: View[ReleasedMembershipBrief],
    rng: Rng,
    *,
    width: Annotated[float, Range(0, open_low=True), Stronger.NEITHER] = 0.1,
) -> Outcome:
    """Score people by the density of the release around them over that of public records (DOMIAS).

    Densities are kernel estimates, exp(−distance / width), of Gower's distance per column.

    Args:
        width: of the kernel, as a share of the largest distance in a column.
    """
    del rng
    brief = view.brief
    kinds, public = numbers_of(brief.columns), needed(brief.public, "density_ratio").x

    densities = [
        GowerTable.of(rows, public, kinds).log_density(brief.question.x, width * len(kinds))
        for rows in (view.data.x, public)
    ]
    return Outcome(guess=densities[0] - densities[1], asset=brief.question)
