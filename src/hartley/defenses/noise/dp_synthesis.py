"""Private synthesis: publish rows of a noisy tree of marginals instead of the table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Bound, Modality, Range, Scene, Term, defense
from hartley.infotheory.differential_privacy import epsilon_of_rho
from hartley.kit.releases.private_tree import tree_rows
from hartley.kit.releases.public_bins import PublicBins
from hartley.kit.releases.table_release import TableRelease, as_floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

DELTA = 1e-6
"""At which the report also says ε."""


@defense(
    term=Term.NOISE,
    stage="release",
    protects=(
        *("singling_out", "linkability", "released_attribute", "released_membership"),
        "linkage",
    ),
    modalities=(Modality.TABULAR,),
    paper="arXiv:2108.04978",
    strongest={"rho": 0.02},
    requires=("table_release", "people", "public"),
)
def dp_synthesis(
    scene: Scene,
    rng: Rng,
    *,
    rho: Annotated[float, Range(0, open_low=True)] = 0.5,
    bins: Annotated[int, Range(2, 1000)] = 8,
) -> Scene:
    """Publish a synthetic table that is ρ-zCDP for one person replaced by another (MST).

    It takes the place of the way in which the table was published; what people randomise
    themselves stays. As many rows are published as there are people, which is public, and bins
    and categories are those of public records. The ceiling is (ρ/2)·log2 e bits a pair of people.
    No row is anybody's, so that linkage reads nothing.

    Args:
        rho: of the guarantee; 0.5 is ε = 5.8 at δ = 10⁻⁶.
        bins: of a number.
    """
    del rng
    part = scene.part(TableRelease)
    domain = PublicBins.of(as_floats(scene.extra["public"].x), part.columns, bins)

    def publish(table: NDArray[Any], noise: Rng) -> NDArray[Any]:
        codes, _ = tree_rows(domain.codes(table), domain.sizes, rho, noise, len(table))
        return domain.values(codes, noise)

    games = ("singling_out", "linkability", "released_attribute", "released_membership")
    scene = scene.with_part(replace(part, name="private tree", publish=publish, rows=False))
    return replace(
        scene,
        bounds=(*scene.bounds, Bound("zcdp", {"rho": rho}, games=games)),
        facts={**scene.facts, f"epsilon at delta {DELTA:g}": epsilon_of_rho(rho, DELTA)},
    )
