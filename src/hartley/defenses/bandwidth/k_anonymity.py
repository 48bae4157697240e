"""k-anonymity: publish quasi-identifiers as the mean of groups of k people."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.core.errors import UsageError
from hartley.kit.mixed_tables import numbers_of
from hartley.kit.releases.mondrian import aggregated, groups_of
from hartley.kit.releases.table_release import TableRelease

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="release",
    protects=(
        *("singling_out", "linkability", "released_attribute", "released_membership"),
        "linkage",
    ),
    modalities=(Modality.TABULAR,),
    paper="doi:10.1109/ICDE.2006.101",
    strongest={"k": 16},
    keeps_proof=True,
    requires=("table_release", "people"),
)
def k_anonymity(scene: Scene, rng: Rng, *, k: Annotated[int, Range(2)] = 5) -> Scene:
    """Publish the known columns of every person as the mean or the mode of a group of k people.

    Groups are cut by Mondrian. Other columns stay as they are, so that an attacker who knows one of
    them finds its row all the same.

    Args:
        k: people of a group at least.

    Raises:
        UsageError: the table has fewer than k rows.
    """
    del rng
    part = scene.part(TableRelease)
    kinds = numbers_of(part.columns)

    def publish(table: NDArray[Any], noise: Rng) -> NDArray[Any]:
        rows = part.publish(table, noise)
        if len(rows) < k:
            raise UsageError(f"k must be at most the {len(rows)} rows of the table, got {k}")
        return aggregated(rows, kinds, part.known, groups_of(rows, kinds, part.known, k))

    return scene.with_part(replace(part, name=f"{part.name}, {k}-anonymous", publish=publish))
