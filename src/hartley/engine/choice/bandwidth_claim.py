"""Seed B's claim put to test: does bandwidth beat noise and signal under adaptation?

The claim is of arXiv:2411.11195: against attackers who adapt, defenses that limit the bandwidth
protect more, and more consistently, than those that add noise or lower the signal. Defenses are
compared attack by attack, on cells that an adaptive attacker was played in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hartley.core import spawn
from hartley.engine.choice.cell_draws import CellDraws
from hartley.engine.choice.leak_suite import Suite
from hartley.infotheory.coverage_index import attack_weights

BANDWIDTH = "bandwidth"
OTHERS = ("noise", "signal")
BEATS, LOSES, OPEN, UNMEASURED = "beats", "loses", "open", "not measured"
ALPHA = 0.05

Floats = NDArray[np.float64]


def bandwidth_claim(suite: Suite, draws: CellDraws) -> dict[str, Any]:
    """Return the verdict on the claim, as plain values.

    ``difference`` is the mean coverage of bandwidth defenses minus that of the others, attack by
    attack, classes counting alike. Its interval resamples victims: it is about these attacks and
    defenses. ``beyond`` resamples attacks and defenses too: it is about others like them. ``lost``
    is the coverage that adaptation takes from bandwidth defenses minus what it takes from the
    others: below 0 they lose less. All three are of cells that the defenses claim; ``everywhere``
    is the difference over all cells that were played, where some were played beside these.

    Args:
        suite: of a run.
        draws: of its cells.
    """
    leaks = suite.whole
    single = np.array(["+" not in name for name in leaks.defenses])
    limit = single & np.array([term == BANDWIDTH for term in leaks.terms])
    other = single & np.array([term in OTHERS for term in leaks.terms])
    leaked = leaks.before[:, 0] > 0
    whole = ~np.isnan(leaks.adaptive[:, :, 0]) & ~np.isnan(leaks.static[:, :, 0])
    whole &= leaked[:, None]
    played = whole & ~suite.beside
    rows = np.flatnonzero((played & limit).any(1) & (played & other).any(1))
    facts: dict[str, Any] = {
        "paper": "arXiv:2411.11195",
        "bandwidth": [name for name, member in zip(leaks.defenses, limit, strict=True) if member],
        "others": [name for name, member in zip(leaks.defenses, other, strict=True) if member],
        "attacks": [suite.labels[i] for i in rows],
    }
    if not len(rows):
        return {**facts, "status": UNMEASURED, "reason": _lack((played & limit), (played & other))}
    points = {
        "static": _share(leaks.before[:, :1], leaks.static[None, :, :, 0]),
        "adaptive": _share(leaks.before[:, :1], leaks.worst[None, :, :, 0]),
    }
    stronger = np.fmax(draws.static, draws.adaptive)
    drawn = {
        "static": _share(draws.before[:, :, None], draws.static),
        "adaptive": _share(draws.before[:, :, None], stronger),
    }
    kinds = (limit, other)
    weights = attack_weights([leaks.classes[i] for i in rows])

    def gap(of: Mapping[str, Floats], knowledge: str) -> Floats:
        return _gap(of[knowledge], played, kinds, rows)

    by_attack = gap(points, "adaptive")[0]
    value = float(weights @ by_attack)
    spread = gap(drawn, "adaptive") @ weights
    low, high = np.quantile(spread, [ALPHA / 2, 1 - ALPHA / 2])
    low, high = min(low, value), max(high, value)
    lost = float(weights @ (gap(points, "static") - gap(points, "adaptive"))[0])
    lost_draws = (gap(drawn, "static") - gap(drawn, "adaptive")) @ weights
    beyond = _resampled(drawn["adaptive"], played, kinds, rows, leaks.classes)
    status = BEATS if low > 0 else LOSES if high < 0 else OPEN
    return {
        **facts,
        "status": status,
        "reason": "",
        "difference": {"value": value, "low": float(low), "high": float(high), "n": len(rows)},
        "beyond": {"value": value, **_ends(beyond), "n": len(rows)},
        "lost": {"value": lost, **_ends(lost_draws), "n": len(rows)},
        "coverage": {
            kind: {
                knowledge: float(weights @ _means(points[knowledge], played & group, rows)[0])
                for knowledge in ("static", "adaptive")
            }
            for kind, group in ((BANDWIDTH, limit), ("others", other))
        },
        "everywhere": _everywhere(suite, draws, points, whole, kinds),
        "by_attack": {suite.labels[i]: float(gap) for i, gap in zip(rows, by_attack, strict=True)},
        "utility": {
            metric: {
                kind: _mean(table[group, 0])
                for kind, group in ((BANDWIDTH, limit), ("others", other))
            }
            for metric, table in suite.utilities.items()
        },
    }


def _means(shares: Floats, cells: NDArray[np.bool_], rows: NDArray[np.intp]) -> Floats:
    """(…, rows) mean coverage over some cells (A, D), attack by attack."""
    return np.asarray(np.nanmean(np.where(cells[rows], shares[:, rows], np.nan), axis=-1))


def _gap(
    shares: Floats,
    cells: NDArray[np.bool_],
    kinds: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    rows: NDArray[np.intp],
) -> Floats:
    """(…, rows) mean coverage of one kind of defenses minus that of the other."""
    one, other = (_means(shares, cells & kind, rows) for kind in kinds)
    return np.asarray(one - other)


def _everywhere(
    suite: Suite,
    draws: CellDraws,
    points: Mapping[str, Floats],
    whole: NDArray[np.bool_],
    kinds: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> dict[str, float] | None:
    """Return the difference over all cells; None where none was played that is not claimed.

    Most cells that are not claimed cover nothing. Clipped at 0 the noise of many would have a mean
    above it, so that draws are clipped in cells alone that are worse beyond doubt.
    """
    if not (whole & suite.beside).any():
        return None
    rows = np.flatnonzero((whole & kinds[0]).any(1) & (whole & kinds[1]).any(1))
    weights = attack_weights([suite.leaks.classes[i] for i in rows])
    stronger = np.fmax(draws.static, draws.adaptive)
    # A draw near 0 of a leak that is small anyway must not outweigh all others.
    signed = np.clip(1 - stronger / np.maximum(draws.before, 1e-12)[:, :, None], -1, 1)
    signed = np.where(np.quantile(signed, 1 - ALPHA / 2, axis=0) <= 0, 0.0, signed)
    value = float((_gap(points["adaptive"], whole, kinds, rows) @ weights)[0])
    low, high = np.quantile(_gap(signed, whole, kinds, rows) @ weights, [ALPHA / 2, 1 - ALPHA / 2])
    return {
        "value": value,
        "low": min(float(low), value),
        "high": max(float(high), value),
        "n": len(rows),
    }


def _lack(limit: NDArray[np.bool_], other: NDArray[np.bool_]) -> str:
    kinds = {"bandwidth": limit, "noise or signal": other}
    for kind, cells in kinds.items():
        if not cells.any():
            return f"no attack was played adaptively behind a {kind} defense"
    return "no attack was played adaptively behind defenses of both kinds"


def _share(before: Floats, after: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.clip(1 - after / np.maximum(before, 1e-12), 0, 1))


def _ends(draws: Floats) -> dict[str, float]:
    low, high = np.quantile(draws, [ALPHA / 2, 1 - ALPHA / 2])
    return {"low": float(low), "high": float(high)}


def _mean(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def _resampled(
    shares: Floats,
    played: NDArray[np.bool_],
    kinds: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    rows: NDArray[np.intp],
    classes: tuple[str, ...],
) -> Floats:
    """(B,) differences with attacks, and defenses of each kind, drawn again."""
    rng = np.random.default_rng(spawn(0, "bandwidth claim"))
    groups = [np.flatnonzero(kind) for kind in kinds]
    results = []
    for draw in shares:
        some = rng.choice(rows, len(rows))
        columns = [rng.choice(group, len(group)) for group in groups]
        sides = []
        for group in columns:
            cells = np.where(played[np.ix_(some, group)], draw[np.ix_(some, group)], np.nan)
            known = ~np.isnan(cells)
            with np.errstate(invalid="ignore"):
                sides.append(np.where(known, cells, 0).sum(1) / known.sum(1))
        gaps = sides[0] - sides[1]
        filled = np.isfinite(gaps)
        if filled.any():
            weights = attack_weights([classes[i] for i in some[filled]])
            results.append(float(weights @ gaps[filled]))
    return np.array(results or [math.nan])
