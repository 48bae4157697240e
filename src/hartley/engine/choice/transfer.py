"""Does a defense transfer: what it covers on scenes of other records, from stored runs.

Scenes are compared two by two, on the games that both of them were played with, so that a scene
where only easy attacks fit does not look safer than another, and a third scene takes nothing away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hartley.core.errors import UsageError
from hartley.engine.choice.cell_draws import CellDraws, Load, draws_of
from hartley.engine.choice.leak_suite import Suite, suite_of
from hartley.engine.choice.which_defense import signed_coverage
from hartley.engine.result.document import finite
from hartley.infotheory.coverage_index import attack_weights, cell_coverage

SCHEMA = "hartley.transfer/2"
ALPHA = 0.05

Floats = NDArray[np.float64]


def transfer(
    documents: Sequence[Mapping[str, Any]],
    loads: Sequence[Load | None],
    *,
    attacks: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what each common defense covers on the scenes of every two runs, as plain values.

    Coverage is against the stronger of both attackers, on cells that were measured and that the
    defense claims, of the games that both runs have; games count alike, then attacks of a game.
    ``difference`` is the second scene minus the first; its interval holds victims of both apart.
    ``missing`` names the games of each of the two that the other has not; two runs without a
    common game are listed with ``difference`` None.

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
    """Every two runs of a defense; None where no two of them measured a common game."""
    games = {
        k: here
        for k, suite in enumerate(suites)
        if name in suite.leaks.defenses and (here := _games(suite, name))
    }
    pairs = []
    for k, other in combinations(games, 2):
        common = games[k] & games[other]
        sides = [(k, games[k] - common), (other, games[other] - common)]
        row: dict[str, Any] = {
            "games": sorted(common),
            "missing": [
                {"run": documents[at]["id"], "games": sorted(rest)} for at, rest in sides if rest
            ],
            "scenes": [_place(documents[at]) for at, _ in sides],
            "difference": None,
        }
        pairs.append(row)
        if not common:
            continue
        both = [_coverage(suites[at], draws[at], name, common) for at, _ in sides]
        for (at, _), place, of in zip(sides, row["scenes"], both, strict=True):
            declared = next(d for d in suites[at].declared if d["name"] == name)
            low = max(0.0, _quantile(of.signed, ALPHA / 2))
            high = _quantile(of.clipped, 1 - ALPHA / 2)
            place["coverage"] = {"value": of.value, "low": low, "high": high, "n": of.attacks}
            place["params"] = declared.get("params") or {}
        # Victims of two runs are drawn independently of each other.
        order = np.random.default_rng([k, other]).permutation(len(both[0].signed))
        row["difference"] = {
            "value": both[1].value - both[0].value,
            "low": max(-1.0, _quantile(both[1].signed - both[0].clipped[order], ALPHA / 2)),
            "high": min(1.0, _quantile(both[1].clipped - both[0].signed[order], 1 - ALPHA / 2)),
        }
    if not any(row["games"] for row in pairs):
        return None
    first = suites[next(iter(games))]
    term = next(r["term"] for r in first.declared if r["name"] == name)
    return {"defense": name, "term": term, "pairs": pairs}


def _place(document: Mapping[str, Any]) -> dict[str, Any]:
    scene = document["scene"]
    return {"run": document["id"], "scene": scene["name"], "modality": scene["modality"]}


def _counted(suite: Suite, j: int) -> NDArray[np.bool_]:
    """(A,) attacks whose cell behind a defense says something of what it covers."""
    leaks = suite.leaks
    beside = leaks.unclaimed[:, j] | suite.beside[:, j] | leaks.open[:, j]
    return np.asarray((leaks.before[:, 0] > 0) & ~beside)


def _games(suite: Suite, name: str) -> set[str]:
    counted = _counted(suite, suite.leaks.defenses.index(name))
    return {str(suite.rows[i]["game"]) for i in np.flatnonzero(counted)}


@dataclass(frozen=True, slots=True)
class _Covered:
    """What a defense covers on some games of one scene.

    Attributes:
        value: mean coverage.
        signed, clipped: (B,) draws of it, each attack's before it is clipped at 0 and after. Noise
            round 0 has a mean above 0 once it is clipped, so that lower ends are of the first.
        attacks: their number.
    """

    value: float
    signed: Floats
    clipped: Floats
    attacks: int


def _coverage(suite: Suite, draws: CellDraws, name: str, games: set[str]) -> _Covered:
    leaks, j = suite.leaks, suite.leaks.defenses.index(name)
    of_game = [str(row["game"]) for row in suite.rows]
    rows = np.flatnonzero(_counted(suite, j) & np.array([game in games for game in of_game]))
    weights = attack_weights([of_game[i] for i in rows])
    share, _ = cell_coverage(leaks.before[rows], leaks.worst[rows, j])
    signed = signed_coverage(suite, draws)[:, rows, j]
    return _Covered(
        value=float(share @ weights),
        signed=signed @ weights,
        clipped=np.maximum(signed, 0.0) @ weights,
        attacks=len(rows),
    )


def _quantile(spread: Floats, at: float) -> float:
    return float(np.quantile(spread, at))
