"""The run document, version 2: made here, in the shape of ``reference/run.schema.json``.

A row of ``channels`` is written in two halves: what is known before an attack is played (its place
in the taxonomies, its parameters), and what was measured. A number that is not finite cannot
be written in JSON: it is written as null.
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from hartley import __version__, catalog
from hartley.catalog import Entry
from hartley.channel.exposed_records import exposures
from hartley.channel.trials.assumption_checks import BROKEN
from hartley.channel.trials.carriers import SILENT
from hartley.channel.trials.split_quality import MARK
from hartley.core import Access, Channel, Experiment, Quantity, Slot, Trials
from hartley.reference.frameworks import tags
from hartley.reference.schema import RUN_SCHEMA

NULL_TOLERANCE = 0.02
"""Bits that the null arm may read before a row is flagged, as on a dead scene; few uses cannot
resolve that much, so the width of the row's own interval is allowed too."""

_APART = ("over_ceiling",)
"""Metrics that say nothing which a row does not say elsewhere."""

_LIBRARIES = ("numpy", "scipy", "torch", "scikit-learn", "transformers", "opacus", "pyarrow")


def standing_of(entry: Entry, modality: str, experiment: Experiment) -> dict[str, Any]:
    """Return the half of a row that is known before its experiment is played."""
    plain = experiment.dump()
    return {
        "id": experiment.id,
        "attack": experiment.label,
        "game": entry.game,
        "class": entry.cls or None,
        "axis": entry.axis or None,
        "flow": entry.flow or None,
        "term": entry.term or None,
        "modality": modality,
        "access": _access(entry, experiment),
        "params": dict(experiment.stages[-1].params),
        "paper": entry.paper or None,
        "summary": entry.summary,
        "origin": entry.origin,
        "tags": [dict(tag) for tag in tags(entry.cls, entry.tags)],
        "experiment": {
            name: plain[name] for name in ("stages", "defenses", "knowledge", "replicate")
        },
        "baseline": experiment.baseline,
    }


def _access(entry: Entry, experiment: Experiment) -> list[str]:
    """What the attacks of a row use of the victim, each once.

    Of a copy that an attacker holds they use what they like: only what the copying took counts.
    """
    stages = experiment.stages
    if len(stages) < 2:
        return list(entry.access)
    asking = [
        stage
        for before, stage in zip((None, *stages), stages, strict=False)
        if before is None or before.slot is not Slot.SOURCE
    ]
    used = {word for stage in asking for word in catalog.find("attack", stage.attack).access}
    return sorted(used, key=[*(~Access.NOTHING).words].index)


def unmeasured(
    common: Mapping[str, Any], status: str, reason: str, cause: str | None = None
) -> dict[str, Any]:
    """Return the row of an experiment that was skipped or failed."""
    return {
        **common,
        "status": status,
        "reason": reason or None,
        "cause": cause,
        "loot": None,
        "flags": [],
    }


def measured(trials: Trials, channel: Channel) -> dict[str, Any]:
    """Return the half of a row that is known once its channel was measured."""
    bits, null = channel.bits, channel.null
    row: dict[str, Any] = {
        "status": "measured",
        "reason": None,
        "cause": None,
        "role": str(trials.spec.role),
        "form": str(trials.spec.form),
        "unit": trials.spec.unit,
        "alphabet": trials.spec.alphabet,
        "knowledge": trials.knowledge,
        "queried": trials.queried,
        "planted": trials.spec.planted,
        "registration": trials.spec.registration,
        "commit": trials.spec.commit,
        "run_id": trials.run_id or None,
        "loot": trials.loot or None,
        "cost": dict(trials.cost),
        "n": channel.n,
        "clusters": channel.clusters,
        "uses": channel.uses,
        "rounds": rounds_of(trials),
        "seconds": channel.seconds,
        "shared_seconds": dict(trials.shared_seconds),
        "bits": {
            "point": bits.value,
            "low": bits.lower,
            "high": channel.high,
            "quantity": channel.quantity or None,
            "lows": [[level, low] for level, low in channel.lows],
            "hidden": hidden(channel),
            "certifiable": certifiable(channel),
            "share": share_of_secret(bits.value, bits.lower, channel.high, trials.spec.alphabet),
            "raw": channel.raw,
            "null": null.value,
            "null_low": null.lower,
            "null_high": null.upper,
            "kind": str(bits.kind),
            "alpha": bits.alpha if bits.alpha is not None else trials.spec.alpha,
        },
        "ceiling": _top(channel.ceiling),
        "capacity": _value(channel.capacity),
        "leakage": None if channel.leakage is None else channel.leakage.lower,
        "beside": {
            name: {"low": lows[0][1], "high": _proved(name, trials), "lows": lows}
            for name, lows in channel.beside.items()
        },
        "signal": channel.signal,
        "noise": channel.noise,
        "snr_db": None if not channel.snr or channel.snr <= 0 else 10 * math.log10(channel.snr),
        "rate_bits_per_s": channel.rate,
        "budget_bits": channel.budget_bits,
        "authorised_bits": channel.authorised,
        "metrics": {name: v for name, v in channel.metrics.items() if name not in _APART},
        "estimator": channel.estimator,
        "assumptions": list(bits.assumptions),
        "curve": {name: list(points) for name, points in channel.curve.items()},
        "flags": flags(channel),
    }
    if (worst := exposures(trials)) is not None:
        row["exposed"] = {**asdict(worst), "records": [asdict(one) for one in worst.records]}
    if channel.epidemic:
        row["epidemic"] = {name: list(shares) for name, shares in channel.epidemic.items()}
    if trials.pictures:
        row |= {"pictures": [dict(one) for one in trials.pictures]}
    if trials.tuning:
        # The parameters that were chosen, in the place of those that the plan would have played.
        row |= {"params": dict(trials.params), "tuning": dict(trials.tuning)}
    plain: dict[str, Any] = finite(row)
    return plain


def rounds_of(trials: Trials) -> int | None:
    """Return how often the game was dealt; None for a table of another tool."""
    import numpy as np

    return None if trials.cluster is None else len(np.unique(trials.cluster))


def flags(channel: Channel) -> list[str]:
    """Say what makes a measurement untrustworthy: above all, bits that its null arm certifies."""
    doubts = []
    bits = channel.bits
    width = (channel.high or bits.value) - (bits.lower or 0.0)
    if channel.null.value > max(NULL_TOLERANCE, width):
        doubts.append(
            f"its null arm reads {channel.null.value:.3g} bit although it leaks nothing: the "
            "measurement or the game is wrong"
        )
    if channel.null.lower:
        doubts.append(
            f"it certifies {channel.null.lower:.3g} bit of redrawn secrets in three of four draws: "
            "the measurement or the game is wrong"
        )
    doubts += [doubt for doubt in bits.assumptions if doubt.startswith((MARK, BROKEN, SILENT))]
    if "dpi_violation" in channel.metrics:
        doubts.append(
            f"it certifies {channel.metrics['dpi_violation']:.3g} bit more than the proved "
            "ceiling: a side channel, a false claim, or a bug"
        )
    return doubts


def _proved(name: str, trials: Trials) -> float | None:
    """Return the proved upper end of a quantity besides bits, or None: no attack gives one."""
    # The claim whose δ the lower bounds are at (``score_audit.declared_delta``).
    claims = [b.params["epsilon"] for b in trials.spec.bounds if b.kind == "dp"]
    return claims[0] if name == "epsilon" and claims else None


def share_of_secret(
    point: float, low: float | None, high: float | None, candidates: int
) -> dict[str, float | None]:
    """Return bits as shares of the entropy of a secret that is one of equally likely candidates.

    Bits of uses of different alphabets cannot be compared; the shares can.
    """
    entropy = math.log2(max(2, candidates))
    ends = {"point": point, "low": low, "high": high}
    return {name: None if value is None else value / entropy for name, value in ends.items()}


def hidden(channel: Channel) -> float | None:
    """Return the most that the row's units, had they all shown nothing, could hide of the ceiling.

    A unit that leaks everything with chance q shows nothing in m units with chance (1 − q)^m: at
    most 1 − alpha^(1/m) of the ceiling is hidden.
    """
    alpha, m = channel.bits.alpha, channel.clusters
    top = _top(channel.ceiling)
    return None if alpha is None or m < 1 or top is None else (1.0 - alpha ** (1.0 / m)) * top


def certifiable(channel: Channel) -> float | None:
    """Return the most that any bound can certify from m units: alpha^(1/m) of the ceiling."""
    alpha, m = channel.bits.alpha, channel.clusters
    top = _top(channel.ceiling)
    return None if alpha is None or m < 1 or top is None else alpha ** (1.0 / m) * top


def rows_digest(trials: Trials) -> str:
    """Return the SHA-256 (hex) of the rows, column by column: two tables of one digest are one."""
    state = hashlib.sha256()
    for name in ("truth", "guess", "reference", "cluster", "item", "split", "order"):
        column = getattr(trials, name)
        if column is not None:
            array = np.ascontiguousarray(column)
            state.update(f"{name} {array.dtype.str} {array.shape}".encode())
            state.update(array.tobytes())
    return state.hexdigest()


def figure(value: Any) -> dict[str, Any]:
    """Return {value, low, high, n} of a scene's utility; a plain number has no interval."""
    if isinstance(value, Mapping):
        return {name: value.get(name) for name in ("value", "low", "high", "n")}
    low, high = getattr(value, "low", None), getattr(value, "high", None)
    return {"value": float(value), "low": low, "high": high, "n": getattr(value, "n", None)}


def interval(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return {point, low, high, n} of a measured row, else None."""
    if row["status"] != "measured":
        return None
    bits = row["bits"]
    return {"point": bits["point"], "low": bits["low"], "high": bits["high"], "n": row["n"]}


def document(
    *,
    identity: str,
    plan: Mapping[str, Any],
    scene: Mapping[str, Any],
    created: str,
    channels: Sequence[Mapping[str, Any]],
    edges: Sequence[Mapping[str, Any]],
    defenses: Sequence[Mapping[str, Any]],
    verdict: Mapping[str, Any],
    notes: Sequence[str],
    devices: Sequence[str] = ("cpu",),
) -> dict[str, Any]:
    """Return the whole run document; ``devices`` are those that anything was computed on."""
    result: dict[str, Any] = finite(
        {
            "schema": RUN_SCHEMA,
            "id": identity,
            "created": created or now(),
            "finished": now(),
            "version": __version__,
            "seed": plan.get("seed", 0),
            "scene": dict(scene),
            "plan": dict(plan),
            "host": host(devices),
            "channels": list(channels),
            "edges": list(edges),
            "loops": [],
            "weakest_cut": None,
            "defenses": list(defenses),
            "choice": None,
            "verdict": dict(verdict),
            "notes": list(notes),
        }
    )
    return result


def host(devices: Sequence[str]) -> dict[str, Any]:
    """Return what ran the run: versions, processors, threads, device."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "threads": 1,
        "device": ", ".join(dict.fromkeys(devices)),
        "versions": versions,
    }


def now() -> str:
    """The time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def finite(value: Any) -> Any:
    """Return plain JSON values: mappings, lists, strings, whole and finite numbers, null."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if hasattr(value, "tolist"):
        return finite(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else str(value)


def _value(quantity: Quantity | None) -> float | None:
    return None if quantity is None else quantity.value


def _top(quantity: Quantity) -> float | None:
    top = quantity.upper if quantity.upper is not None else quantity.value
    return top if math.isfinite(top) else None
