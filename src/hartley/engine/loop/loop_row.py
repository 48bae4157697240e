"""What all clusters of a loop say: gains, spectral radius, weakest cut, forecast beside rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds.degenerate_intervals import mean_limits
from hartley.core.errors import UsageError
from hartley.engine.loop.loop_order import course
from hartley.infotheory.loops import (
    FEWEST_CLUSTERS,
    RESAMPLES,
    Gain,
    GainMatrix,
    Radius,
    cycles,
    dose_response,
    forecast,
    gain_matrix,
    spectral_radius,
    weakest_cut,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

Plain = Mapping[str, Any]

ANEW = "every round makes it anew of what the leg before left"
NO_LEG = "no leg leads there, and a leg takes nothing but what it is handed"


@dataclass(frozen=True, slots=True)
class _Ways:
    """Where a loop leads.

    Attributes:
        legs: (from, to) of each, those of the ring first.
        steps: what is made anew after the start (``course``).
    """

    legs: Sequence[tuple[str, str]]
    steps: Sequence[tuple[int, str, tuple[str, ...]]]


def loop_row(
    described: Plain, clusters: Sequence[Plain], *, added: str, alpha: float, seed: int
) -> dict[str, Any]:
    """Return one loop as the run document has it.

    Args:
        described: the order and the setting, as the work list keeps them.
        clusters: what ``play_loop`` returned of each cluster that was played.
        added: defenses that the loop was run behind, joined by ``+``; empty for the scene as it is.
        alpha: error level of all intervals.
        seed: of the resamples.
    """
    path = list(described["path"])
    chords = [(one, other) for one, other in described.get("chords", ())]
    assets, legs = path[:-1], [*pairwise(path), *chords]
    row: dict[str, Any] = {
        "path": path,
        "added": added,
        "legs": described["legs"],
        "chords": [list(chord) for chord in chords],
        "assets": described["assets"],
        "story": described["story"],
        "start": described["start"],
        "clusters": len(clusters),
        "ordered": described["clusters"],
        "alpha": alpha,
        **dict.fromkeys(("gain", "low", "high", "radius", "cut", "change", "why")),
        **{name: [] for name in ("gains", "absent", "open", "rounds", "trace", "cycles")},
        # Chosen once for all clusters.
        "settings": list(clusters[0].get("settings", ())) if clusters else [],
    }
    if len(clusters) < FEWEST_CLUSTERS:
        row["why"] = f"intervals need {FEWEST_CLUSTERS} clusters, and {len(clusters)} were played"
        return row
    rng = np.random.default_rng(seed)
    m = len(clusters)
    weights = rng.multinomial(m, np.full(m, 1.0 / m), RESAMPLES).astype(np.float64)
    edges: dict[tuple[str, str], Gain] = {}
    for source, target in legs:
        rows = _doses(clusters, (source, target))
        gains, why = _gain(rows, alpha, weights)
        if gains is not None:
            edges[source, target] = gains
        row["gains"].append(_gain_row(source, target, gains, why, rows))
    absent = {
        (i, j): ANEW if i == j else NO_LEG for i in assets for j in assets if (i, j) not in legs
    }
    row["absent"] = [{"from": i, "to": j, "why": why} for (i, j), why in absent.items()]
    matrix = gain_matrix(assets, edges, absent=absent, allow_open=True)
    row["open"] = [list(edge) for edge in matrix.open]
    radius = spectral_radius(matrix, alpha=alpha)
    row["radius"] = {
        "value": radius.value,
        "low": radius.low,
        "high": radius.high,
        "grows": radius.grows,
    }
    row |= _round(radius, len(assets))
    row["cut"] = _cut(matrix)
    row["cycles"] = [{"path": list(names), "gain": gain} for names, gain in cycles(matrix)]
    ways = _Ways(legs, course(path, chords, described["rounds"]))
    row["rounds"] = _rounds(matrix, clusters, ways, weights, alpha)
    row["trace"] = _trace(clusters)
    row["change"] = _change(clusters, alpha)
    return row


def _doses(clusters: Sequence[Plain], leg: tuple[str, str]) -> list[list[Plain]]:
    """What each cluster left at the doses of one leg."""
    return [[d for d in one["doses"] if (d["from"], d["to"]) == leg] for one in clusters]


def _gain(rows: Sequence[Sequence[Plain]], alpha: float, weights: Any) -> tuple[Gain | None, str]:
    """Return the gain of one leg, or None and why there is none."""
    dose, read, left = (
        np.array([[d[name] for d in one] for one in rows]) for name in ("dose", "set", "left")
    )
    # What counts as the dose is what the auditor reads of it, in the mean over clusters: each
    # reading has an error, and what a leg makes differs from cluster to cluster.
    cluster = np.arange(len(rows))[:, None].repeat(dose.shape[1], 1)
    try:
        return (
            dose_response(
                *(table.ravel() for table in (dose, left, cluster)),
                alpha=alpha,
                weights=weights,
                read=read.ravel(),
            ),
            "",
        )
    except UsageError as error:
        return None, str(error)


def _gain_row(
    source: str, target: str, gain: Gain | None, why: str, rows: Sequence[Sequence[Plain]]
) -> dict[str, Any]:
    points = [
        {
            "dose": float(np.mean([one[k]["set"] for one in rows])),
            "left": float(np.mean([one[k]["left"] for one in rows])),
        }
        for k in range(len(rows[0]))
    ]
    plain: dict[str, Any] = {"from": source, "to": target, "points": points, "why": why or None}
    if gain is None:
        return plain | dict.fromkeys(("value", "low", "high", "bend", "saturates"))
    return plain | {
        "value": gain.value,
        "low": gain.low,
        "high": gain.high,
        "bend": list(gain.bend),
        "saturates": gain.saturates,
        "n": gain.n,
    }


def _round(radius: Radius, legs: int) -> dict[str, Any]:
    """Return the gain of once round the ring: ρ to the power of its legs."""
    high = None if radius.high is None else radius.high**legs
    return {"gain": radius.value**legs, "low": radius.low**legs, "high": high}


def _cut(matrix: GainMatrix) -> dict[str, Any] | None:
    cut = weakest_cut(matrix)
    if cut.edge is None:
        return None
    tied = [edge for edge, radius in cut.falls if radius <= cut.radius + 1e-9]
    edges = [(i, j) for i, j in tied]
    at = [(matrix.assets.index(i), matrix.assets.index(j)) for i, j in edges]
    draws = np.stack([np.maximum(matrix.draws[:, i, j], 0.0) for i, j in at], 1)
    narrowest = int(np.argmin([matrix.gains[i, j] for i, j in at]))
    share = float((draws.argmin(1) == narrowest).mean())
    return {
        "edge": list(cut.edge),
        "radius": cut.radius,
        "before": cut.before,
        "share": cut.share,
        "agree": cut.agree,
        "falls": [{"from": i, "to": j, "radius": radius} for (i, j), radius in cut.falls],
        "tied": [list(edge) for edge in tied],
        "narrowest": {
            "edge": list(edges[narrowest]),
            "gain": float(matrix.gains[at[narrowest]]),
            "share": share,
        },
    }


def _rounds(
    matrix: GainMatrix,
    clusters: Sequence[Plain],
    ways: _Ways,
    weights: NDArray[np.float64],
    alpha: float,
) -> list[dict[str, Any]]:
    """Return each asset that was made anew: shares, those of the control, and what gains predict.

    The prediction is of the excess over the control, which is what a gain is about.
    """
    started = np.array([one["rounds"] for one in clusters], dtype=np.float64)
    control = np.array([one["control"] for one in clusters], dtype=np.float64)
    excess = started - control
    assets = matrix.assets
    n, steps = len(assets), ways.steps
    rows_of: list[tuple[int, str, tuple[str, ...]]] = [(0, assets[0], ()), *steps]
    at = [(number, assets.index(asset)) for number, asset, _ in rows_of]
    predicted = None
    if not matrix.open:
        observed = np.zeros((len(clusters), steps[-1][0] + 1, n))
        for k, place in enumerate(at):
            observed[(slice(None), *place)] = excess[:, k]
        start = np.zeros(n)
        start[0] = excess[:, 0].mean()
        predicted = forecast(matrix, start, observed, alpha=alpha)
    by_owners = _by_owners(clusters, ways, excess, weights, alpha)
    rows = []
    for k, (number, asset, sources) in enumerate(rows_of):
        row: dict[str, Any] = {
            "round": -(-number // n),
            "step": number,
            "asset": asset,
            "leg": [*sources, asset] if sources else [],
            "share": float(started[:, k].mean()),
            "control": float(control[:, k].mean()),
            "excess": float(excess[:, k].mean()),
            **dict.fromkeys(("predicted", "low", "high", "inside", "linear")),
            "by_owners": by_owners[k],
        }
        if predicted is not None:
            row |= {
                "predicted": float(predicted.predicted[at[k]]),
                "low": float(predicted.low[at[k]]),
                "high": float(predicted.high[at[k]]),
                "inside": bool(predicted.inside[at[k]]),
                "linear": bool(predicted.linear[at[k]]),
            }
        rows.append(row)
    return rows


def _by_owners(
    clusters: Sequence[Plain],
    ways: _Ways,
    excess: NDArray[np.float64],
    weights: NDArray[np.float64],
    alpha: float,
) -> list[dict[str, Any]]:
    """Follow each cluster's start through its own responses to the doses, leg after leg.

    A product of mean gains draws a new owner in every leg; a cluster keeps its own, and what comes
    through once comes through again. Each response is measured once, so that its error counts as
    the owner's own and comes round again: where owners do not differ, this lies too high, and the
    product of means too low where they do. Between doses the response is a straight line; beyond
    the largest it is that of the largest. So this also says where a loop that grows settles.
    Responses of several legs that lead to one asset add up. Intervals resample clusters;
    ``inside`` says whether that of the difference to the rounds, cluster by cluster, holds 0.
    """
    share = np.concatenate([np.full((1, len(clusters)), 1.0), weights]) / len(clusters)
    curves = {}
    for leg in ways.legs:
        read = np.array([[[d["set"], d["left"]] for d in one] for one in _doses(clusters, leg)])
        read = read - read[:, :1]  # what an untouched asset reads is no response
        curves[leg] = np.maximum.accumulate(read[:, :, 0], 1), read[:, :, 1]

    def response(leg: tuple[str, str], at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([np.interp(x, *curve) for x, *curve in zip(at, *curves[leg], strict=True)])

    now = {ways.legs[0][0]: excess[:, 0]}
    followed = [excess[:, 0]]
    for _, group in groupby(ways.steps, key=itemgetter(0)):
        now = {
            asset: np.sum([response((source, asset), now[source]) for source in sources], axis=0)
            for _, asset, sources in group
        }
        followed += now.values()
    out = []
    for k, shares in enumerate(followed):
        gap = _ends(share @ (excess[:, k] - shares), alpha)
        slack = 1e-12
        inside = bool(gap["low"] <= slack and gap["high"] >= -slack)
        out.append({**_ends(share @ shares, alpha), "inside": inside})
    return out


def _ends(values: NDArray[np.float64], alpha: float) -> dict[str, float]:
    low, high = np.quantile(values[1:], [alpha / 2, 1 - alpha / 2])
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


def _change(clusters: Sequence[Plain], alpha: float) -> dict[str, float]:
    """Return by how much the first asset's excess over the control changed in the rounds, paired.

    The interval is Student's over clusters; where all clusters agree it has no width, and a Markov
    bound takes its place.
    """
    gaps = np.array(
        [
            one["rounds"][-1] - one["control"][-1] - (one["rounds"][0] - one["control"][0])
            for one in clusters
        ]
    )
    low, high = mean_limits(gaps, None, alpha / 2, least=-1.0, most=1.0)
    return {"value": float(gaps.mean()), "low": low, "high": high}


def _trace(clusters: Sequence[Plain]) -> list[dict[str, Any]]:
    """Return what each leg of the rounds did in the first cluster, with means over all of them."""
    out = []
    for k, first in enumerate(clusters[0]["trace"]):
        steps = [one["trace"][k] for one in clusters]
        out.append(
            {
                **first,
                "mean": float(np.mean([step["after"] for step in steps])),
                "facts": {
                    name: float(np.mean([step["facts"][name] for step in steps]))
                    for name in first["facts"]
                },
                "queries": float(np.mean([step["queries"] for step in steps])),
            }
        )
    return out
