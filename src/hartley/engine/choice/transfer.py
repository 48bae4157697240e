"""Does a defense transfer: what it covers on scenes of other records, from stored runs.

A defense is compared on the games that all of its scenes were played with, so that a scene where
only easy attacks fit does not look safer than another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hartley.core.errors import UsageError
from hartley.engine.choice.cell_draws import CellDraws, Load, draws_of
from hartley.engine.choice.leak_suite import Suite, suite_of
from hartley.engine.choice.which_defense import signed_coverage
from hartley.engine.result.document import finite
from hartley.infotheory.coverage_index import attack_weights, cell_coverage

SCHEMA = "hartley.transfer/1"
ALPHA = 0.05

Floats = NDArray[np.float64]


def transfer(
    documents: Sequence[Mapping[str, Any]],
    loads: Sequence[Load | None],
    *,
    attacks: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the coverage of each common defense, scene by scene, as plain values.

    Coverage is against the stronger of both attackers, on cells that were measured and that the
    defense claims; games count alike, then attacks of a game. ``difference`` is to the first scene
    that has the defense; its interval holds victims of both apart.

    Args:
        documents: at least two run documents.
        loads: for each a function that returns the trials of a row, or None.
        attacks: patterns of attacks, games or classes that count; all when empty.

    Raises:
        UsageError: fewer than two runs, a run without defenses, or no defense that two of them
            measured on a common game.
        UnknownName: a pattern that matches no attack of a run.
    """
    if len(documents) < 2:
        raise UsageError(f"a transfer must be between at least 2 runs, got {len(documents)}")
    suites = [suite_of(document, attacks=attacks) for document in documents]
    draws = [draws_of(suite, load) for suite, load in zip(suites, loads, strict=True)]
    names = dict.fromkeys(name for suite in suites for name in suite.leaks.defenses)
    rows = [
        row for name in names if (row := _of_defense(name, documents, suites, draws)) is not None
    ]
    if not rows:
        listed = "; ".join(
            f"{document['id']} has {', '.join(suite.leaks.defenses)}"
            for document, suite in zip(documents, suites, strict=True)
        )
        raise UsageError(
            f"a transfer must be of a defense that two runs measured on a common game: {listed}"
        )
    plain: dict[str, Any] = finite(
        {
            "schema": SCHEMA,
            "runs": [
                {
                    "run": document["id"],
                    "scene": document["scene"]["name"],
                    "modality": document["scene"]["modality"],
                    "intervals": cells.how,
                }
                for document, cells in zip(documents, draws, strict=True)
            ],
            "defenses": rows,
            "alone": [name for name in names if name not in {row["defense"] for row in rows}],
        }
    )
    return plain


def _of_defense(
    name: str,
    documents: Sequence[Mapping[str, Any]],
    suites: Sequence[Suite],
    draws: Sequence[CellDraws],
) -> dict[str, Any] | None:
    """One row of the table; None where fewer than two runs measured a common game."""
    places = [k for k, suite in enumerate(suites) if name in suite.leaks.defenses]
    games = {k: _games(suites[k], name) for k in places}
    places = [k for k in places if games[k]]
    if len(places) < 2:
        return None
    common = set.intersection(*(games[k] for k in places))
    if not common:
        return None
    cells, first = [], None
    for k in places:
        value, spread, count = _coverage(suites[k], draws[k], name, common)
        declared = next(row for row in suites[k].declared if row["name"] == name)
        cell = {
            "run": documents[k]["id"],
            "scene": documents[k]["scene"]["name"],
            "modality": documents[k]["scene"]["modality"],
            "coverage": {"value": value, **_ends(spread), "n": count},
            "params": declared.get("params") or {},
            "difference": None,
        }
        if first is None:
            first = value, spread
        else:
            # Victims of two runs are drawn independently of each other.
            gap = spread - np.random.default_rng(k).permutation(first[1])
            cell["difference"] = {"value": value - first[0], **_ends(gap)}
        cells.append(cell)
    term = next(r["term"] for r in suites[places[0]].declared if r["name"] == name)
    return {"defense": name, "term": term, "games": sorted(common), "scenes": cells}


def _counted(suite: Suite, j: int) -> NDArray[np.bool_]:
    """(A,) attacks whose cell behind a defense says something of what it covers."""
    leaks = suite.leaks
    beside = leaks.unclaimed[:, j] | suite.beside[:, j] | leaks.open[:, j]
    return np.asarray((leaks.before[:, 0] > 0) & ~beside)


def _games(suite: Suite, name: str) -> set[str]:
    counted = _counted(suite, suite.leaks.defenses.index(name))
    return {str(suite.rows[i]["game"]) for i in np.flatnonzero(counted)}


def _coverage(
    suite: Suite, draws: CellDraws, name: str, games: set[str]
) -> tuple[float, Floats, int]:
    """Mean coverage on some games, its draws (B,), and the number of attacks."""
    leaks, j = suite.leaks, suite.leaks.defenses.index(name)
    of_game = [str(row["game"]) for row in suite.rows]
    rows = np.flatnonzero(_counted(suite, j) & np.array([game in games for game in of_game]))
    weights = attack_weights([of_game[i] for i in rows])
    share, _ = cell_coverage(leaks.before[rows], leaks.worst[rows, j])
    spread = np.maximum(signed_coverage(suite, draws)[:, rows, j], 0.0) @ weights
    return float(share @ weights), spread, len(rows)


def _ends(spread: Floats) -> dict[str, float]:
    low, high = np.quantile(spread, [ALPHA / 2, 1 - ALPHA / 2])
    return {"low": float(low), "high": float(high)}
