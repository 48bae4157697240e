"""Local differential privacy: people randomise their own records before the owner gets them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Bound, Modality, Range, Scene, Term, defense
from hartley.kit.releases.public_bins import PublicBins
from hartley.kit.releases.randomised_cells import randomised
from hartley.kit.releases.table_release import TableRelease, as_floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

PAIRED = ("singling_out", "linkability", "released_attribute", "released_membership")
"""Games in which one person of a table is replaced by another."""


@defense(
    term=Term.NOISE,
    stage="data",
    protects=(
        *("singling_out", "linkability", "released_attribute", "released_membership"),
        "linkage",
    ),
    modalities=(Modality.TABULAR,),
    paper="arXiv:1407.1338",
    strongest={"epsilon": 0.5},
    keeps_proof=True,
    requires=("table_release", "people", "public"),
)
def local_dp(
    scene: Scene,
    rng: Rng,
    *,
    epsilon: Annotated[float, Range(0, open_low=True)] = 8.0,
    bins: Annotated[int, Range(2, 1000)] = 8,
) -> Scene:
    """Randomise every cell of a record by randomised response; a record is ε-DP as a whole.

    The columns share epsilon equally, and numbers are put in bins that public records draw. In
    linkage, where two people change places, the guarantee is for a group of two.

    Args:
        epsilon: of the guarantee for one record.
        bins: of a number.
    """
    del rng
    part = scene.part(TableRelease)
    domain = PublicBins.of(as_floats(scene.extra["public"].x), part.columns, bins)

    def collect(table: NDArray[Any], noise: Rng) -> NDArray[Any]:
        records = table if part.collect is None else part.collect(table, noise)
        return randomised(records, domain, epsilon, noise)

    proved = {"epsilon": epsilon}
    scene = scene.with_part(replace(part, collect=collect))
    return replace(
        scene,
        bounds=(
            *scene.bounds,
            Bound("dp", proved, games=PAIRED),
            Bound("dp", {**proved, "group": 2.0}, games=("linkage",)),
        ),
    )
