"""Released tumours: tables of breast tumours of scikit-learn that are published; needs no pack."""

from __future__ import annotations

from typing import Annotated, Literal

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import tabular
from hartley.scenes._assemble_release import assembled

PUBLIC, TEST = 100, 100
"""The attacker's tumours, and those that utility is measured on."""

KNOWN = 10
"""The mean measures, which an attacker knows of a tumour."""


@recipe(modality=Modality.TABULAR, extras=("tables",))
def released_tumours(
    *,
    people: Annotated[int, Range(16, 240)] = 240,
    release: Annotated[
        Literal["pseudonymised", "copula", "vine", "tree", "columnwise", "independent"],
        Stronger.NEITHER,
    ] = "pseudonymised",
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Patients with thirty measures of a tumour, half of whom are in each table that is published.

    Args:
        people: number of people of whom a random half is in each table.
        release: how a table is published: pseudonymised as it is, synthetic by a gaussian copula,
            a vine copula (pyvinecopulib), a tree of marginals or each column by itself (metasyn),
            or independent: other people's
            rows, a control at 0 bits.
        seed: of the parts.
    """
    table, columns = tabular.measured_tumours()
    return assembled(
        "released_tumours",
        table,
        columns,
        way=release,
        sizes={"people": people, "public": PUBLIC, "test": TEST, "spare": people // 2},
        known=[column.name for column in columns[:KNOWN]],
        secret="diagnosis",
        label="diagnosis",
        seed=seed,
    )
