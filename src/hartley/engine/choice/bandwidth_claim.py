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
    others: below 0 they lose less.

    Args:
        suite: of a run.
        draws: of its cells.
    """
    leaks = suite.leaks
    single = np.array(["+" not in name for name in leaks.defenses])
    limit = single & np.array([term == BANDWIDTH for term in leaks.terms])
    other = single & np.array([term in OTHERS for term in leaks.terms])
    leaked = leaks.before[:, 0] > 0
    played = ~np.isnan(leaks.adaptive[:, :, 0]) & ~np.isnan(leaks.static[:, :, 0])
    played &= leaked[:, None]
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
    weights = attack_weights([leaks.classes[i] for i in rows])

    def means(shares: Floats, group: NDArray[np.bool_]) -> Floats:
        """(…, rows) mean coverage of a group of defenses, attack by attack."""
        cells = np.where((played & group)[rows], shares[:, rows], np.nan)
        return np.asarray(np.nanmean(cells, axis=-1))

    def gap(of: Mapping[str, Floats], knowledge: str) -> Floats:
        return means(of[knowledge], limit) - means(of[knowledge], other)

    by_attack = gap(points, "adaptive")[0]
    value = float(weights @ by_attack)
    spread = gap(drawn, "adaptive") @ weights
    low, high = np.quantile(spread, [ALPHA / 2, 1 - ALPHA / 2])
    lost = float(weights @ (gap(points, "static") - gap(points, "adaptive"))[0])
    lost_draws = (gap(drawn, "static") - gap(drawn, "adaptive")) @ weights
    beyond = _resampled(drawn["adaptive"], played, (limit, other), rows, leaks.classes)
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
                knowledge: float(weights @ means(points[knowledge], group)[0])
                for knowledge in ("static", "adaptive")
            }
            for kind, group in ((BANDWIDTH, limit), ("others", other))
        },
        "by_attack": {suite.labels[i]: float(gap) for i, gap in zip(rows, by_attack, strict=True)},
        "utility": {
            metric: {
                kind: _mean(table[group, 0])
                for kind, group in ((BANDWIDTH, limit), ("others", other))
            }
            for metric, table in suite.utilities.items()
        },
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
