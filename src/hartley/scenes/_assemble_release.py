"""A scene of a released table: people, how they are published, and what the release is good for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from hartley.core import Data, Modality, Scene, Settings, spawn
from hartley.core.errors import UsageError
from hartley.kit.interval_values import Figure, mean_figure
from hartley.kit.mixed_tables import TableColumn, numbers_of
from hartley.kit.releases import columnwise, copulas
from hartley.kit.releases.private_tree import tree_rows
from hartley.kit.releases.public_bins import PublicBins
from hartley.kit.releases.table_release import (
    RowOwners,
    SecretColumn,
    TableRelease,
    as_floats,
    halves_of,
    pseudonymised,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.kit.releases.table_release import Publish

    Floats = NDArray[np.float64]

Way = Literal["pseudonymised", "copula", "vine", "tree", "columnwise", "independent"]
"""How a table is published before any defense."""

BINS = 8
"""Bins of a number in the tree of marginals."""
READ = 6
"""Releases, each of another table, that readers learn from to say what one is good for."""
DEAR = {"vine": 12}
"""Tables that are published where a way takes a second each."""


def assembled(
    name: str,
    table: Floats,
    columns: Sequence[TableColumn],
    *,
    way: Way,
    sizes: Mapping[str, int],
    known: Sequence[str],
    secret: str,
    label: str,
    seed: int,
) -> Scene:
    """Return a scene of people whose table is published.

    Args:
        name: of the scene.
        table: (n, d).
        columns: of it.
        way: how it is published.
        sizes: of the parts ``people``, ``public``, ``test`` and ``spare`` (others of the same
            population, whom an independent release is of).
        known: columns that an attacker knows of a person.
        secret: the column that is inferred.
        label: the column that users of the release predict.
        seed: of the parts.

    Raises:
        UsageError: there are too few rows.
    """
    needed = sum(sizes.values())
    if needed > len(table):
        raise UsageError(
            f"people must leave enough rows of {len(table)}, got {needed} for all parts"
        )
    rng = np.random.default_rng(spawn(seed, "parts", name))
    order, parts, at = rng.permutation(len(table)), {}, 0
    for part, size in sizes.items():
        x = np.ascontiguousarray(table[order[at : at + size]])
        parts[part] = Data(part, Modality.TABULAR, x)
        at += size
    spare = as_floats(parts.pop("spare").x)
    places = {column.name: place for place, column in enumerate(columns)}
    publish = _publish(way, columns, as_floats(parts["public"].x), spare)
    release = TableRelease(
        name=way,
        columns=tuple(columns),
        publish=publish,
        known_way=publish,
        rows=way in ("pseudonymised", "independent"),
        known=tuple(places[one] for one in known),
        halves=halves_of(tuple(range(len(columns)))),
    )
    return Scene(
        name=name,
        modality=Modality.TABULAR,
        extra=parts,
        parts=(release, RowOwners(), SecretColumn(places[secret])),
        utility=_utility(places[label], seed),
        settings=Settings({"released_tables": DEAR[way]} if way in DEAR else {}),
        facts={
            "release": way,
            "people of a table": sizes["people"] // 2,
            "columns": len(columns),
            "known": ", ".join(known),
            "secret": secret,
        },
    )


def _publish(way: Way, columns: Sequence[TableColumn], public: Floats, spare: Floats) -> Publish:
    kinds = numbers_of(columns)
    if way == "pseudonymised":
        return pseudonymised
    if way == "independent":
        return lambda table, rng: spare[rng.permutation(len(spare))[: len(table)]]
    if way == "columnwise":
        return lambda table, rng: columnwise.synthetic(table, kinds, rng)
    if way == "tree":
        domain = PublicBins.of(public, columns, BINS)

        def tree(table: Floats, rng: Rng) -> Floats:
            codes = domain.codes(table)
            rows, _ = tree_rows(codes, domain.sizes, float("inf"), rng, len(table))
            return domain.values(rows, rng)

        return tree
    fit = copulas.vine if way == "vine" else copulas.gaussian
    return lambda table, rng: copulas.synthetic(table, kinds, rng, fit)


def _utility(label: int, seed: int) -> Callable[[Scene], dict[str, Figure]]:
    def utility(scene: Scene) -> dict[str, Figure]:
        """Mean accuracy, over releases, of a forest that learnt to predict the label from one."""
        from sklearn.ensemble import RandomForestClassifier

        part = scene.part(TableRelease)
        rng = np.random.default_rng(spawn(seed, "utility", scene.name))
        people = as_floats(scene.extra["people"].x)
        test = as_floats(scene.extra["test"].x)
        others = np.arange(len(part.columns)) != label
        shares = []
        for _ in range(READ):
            table = people[rng.permutation(len(people))[: len(people) // 2]]
            released = part.released(table, rng)
            forest = RandomForestClassifier(100, random_state=seed, min_samples_leaf=2)
            forest.fit(released[:, others], np.rint(released[:, label]))
            shares.append(np.mean(forest.predict(test[:, others]) == test[:, label]))
        return {"accuracy": mean_figure(shares)}

    return utility
