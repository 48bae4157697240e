"""Shadow releases: publish tables with and without a person, and see which the release is like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.decryption.released_membership import (
    ReleasedMembershipBrief,
    released_membership,
)
from hartley.kit.mixed_tables import GowerTable, numbers_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

FLOOR = 1e-6
"""Least variance of a density, where every shadow gives the same one."""


@attack(
    game=released_membership,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="arXiv:2011.07018",
    requires=("public",),
    adapts=True,
    light={"shadows": 16},
)
def shadow_releases(
    view: View[ReleasedMembershipBrief],
    rng: Rng,
    *,
    shadows: Annotated[int, Range(4), Stronger.MORE] = 64,
    width: Annotated[float, Range(0, open_low=True), Stronger.NEITHER] = 0.1,
) -> Outcome:
    """Score people by the likelihood ratio of the release's density around them, in and out.

    The attacker publishes tables of random halves of the people by the owner's way, and learns for
    each person the density around them when they are in and when they are not (Gaussian, as LiRA,
    arXiv:2112.03570). An adaptive attacker publishes behind the defenses.

    Args:
        shadows: tables that are published; each person is in half of them.
        width: of the kernel of the density, as a share of the largest distance in a column.

    Raises:
        UsageError: nobody knows the way of publishing.
    """
    brief = view.brief
    way = brief.defended_way or brief.way
    if way is None:
        raise UsageError("shadow_releases must know the way of publishing, got none")
    kinds, people = numbers_of(brief.columns), np.asarray(brief.question.x, dtype=np.float64)
    count = len(people)

    def densities(release: NDArray[np.float64]) -> NDArray[np.float64]:
        return GowerTable.of(release, people, kinds).log_density(people, width * len(kinds))

    inside = np.zeros((shadows, count), dtype=bool)
    # Shadows come in twos that share out the people, so that each is in exactly half of them.
    for k in range(0, shadows, 2):
        half = rng.permutation(count)[: count // 2]
        inside[k, half] = True
        inside[k + 1 : k + 2] = ~inside[k]
    levels = np.stack([densities(way(people[rows], rng)) for rows in inside])
    groups = [np.where(mask, levels, np.nan) for mask in (inside, ~inside)]
    means = [np.nanmean(group, axis=0) for group in groups]
    # One variance for all people of a group: of few shadows a person's own is too noisy.
    spreads = [max(float(np.nanmean(np.nanvar(group, axis=0))), FLOOR) for group in groups]
    here = densities(np.asarray(view.data.x, dtype=np.float64))
    logs = [
        -((here - mean) ** 2) / (2 * spread) - 0.5 * np.log(spread)
        for mean, spread in zip(means, spreads, strict=True)
    ]
    return Outcome(guess=np.asarray(logs[0] - logs[1]), asset=brief.question)
