"""Synthesis: publish rows of a copula that was fitted to the table, instead of the table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from hartley.core import Modality, Scene, Term, defense
from hartley.kit.mixed_tables import numbers_of
from hartley.kit.releases import columnwise, copulas
from hartley.kit.releases.table_release import TableRelease

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="release",
    protects=(
        *("singling_out", "linkability", "released_attribute", "released_membership"),
        "linkage",
    ),
    modalities=(Modality.TABULAR,),
    paper="doi:10.1109/DSAA.2016.49",
    strongest={"copula": "gaussian"},
    keeps_proof=True,
    requires=("table_release", "people"),
)
def synthesis(
    scene: Scene,
    rng: Rng,
    *,
    copula: Literal["gaussian", "vine", "independence"] = "gaussian",
) -> Scene:
    """Publish a synthetic table: the marginals of the columns and the correlations of their ranks.

    No row is anybody's, so that linkage reads nothing. There is no proof of privacy: values at the
    ends of a column are those of single people.

    Args:
        copula: gaussian is fitted here, vine by the library pyvinecopulib; independence draws each
            column by itself, by the library metasyn.
    """
    del rng
    part = scene.part(TableRelease)
    kinds = numbers_of(part.columns)

    def publish(table: NDArray[Any], noise: Rng) -> NDArray[Any]:
        rows = part.publish(table, noise)
        if copula == "independence":
            return columnwise.synthetic(rows, kinds, noise)
        return copulas.synthetic(rows, kinds, noise, getattr(copulas, copula))

    return scene.with_part(replace(part, name=f"{copula} copula", publish=publish, rows=False))
