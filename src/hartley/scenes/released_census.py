"""Released census: tables of people of the US census of 1994 (Adult) that are published, a pack."""

from __future__ import annotations

from typing import Annotated, Literal

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import tabular
from hartley.scenes._assemble_release import assembled

PUBLIC, TEST = 1000, 3000
"""The attacker's people, and those that utility is measured on."""

KNOWN = ("age", "workclass", "education", "marital", "race", "sex", "hours", "country")
"""What an attacker knows of a person: what neighbours and colleagues know."""


@recipe(modality=Modality.TABULAR, packs=("adult",))
def released_census(
    *,
    people: Annotated[int, Range(16, 20_000)] = 500,
    release: Annotated[
        Literal["pseudonymised", "copula", "vine", "tree", "columnwise", "independent"],
        Stronger.NEITHER,
    ] = "pseudonymised",
    sensitive: Literal["occupation", "relationship", "income"] = "occupation",
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """People of a census, half of whom are in each table that is published.

    Args:
        people: number of people of whom a random half is in each table.
        release: how a table is published: pseudonymised as it is, synthetic by a gaussian copula,
            a vine copula (pyvinecopulib), a tree of marginals or each column by itself (metasyn),
            or independent: other people's
            rows, a control at 0 bits.
        sensitive: the column that an attacker infers.
        seed: of the parts.
    """
    table, columns = tabular.people()
    return assembled(
        "released_census",
        table,
        columns,
        way=release,
        sizes={"people": people, "public": PUBLIC, "test": TEST, "spare": people // 2},
        known=KNOWN,
        secret=sensitive,
        label="income",
        seed=seed,
    )
