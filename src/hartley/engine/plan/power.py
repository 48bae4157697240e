"""How many uses, clusters and processor seconds settle each limit of a plan.

The channels are taken from a pilot run in the store, or from declared effects where nothing was
played yet; ``channel.power`` simulates their measurement.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hartley.channel import power
from hartley.core import AnswerForm, ChannelSpec, Role
from hartley.core.errors import BadPlan, BadTrials, UsageError
from hartley.engine.plan.plan import Plan
from hartley.engine.result.gate import check_limit, speaks
from hartley.reference.schema import baseline_rows
from hartley.store.journal import read_journal
from hartley.store.runs import read_run
from hartley.store.table import read_trials

DOUBT = 0.5
"""How far towards a limit bits are moved that a pilot measured, as a share of its upper arm."""
ANSWERS = "answers"
"""Shared work whose name begins so grows with the victims; other shared work does not."""
FIXED = 0.9
"""Largest share of a game's time that is taken not to grow with its victims."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A declared channel.

    Attributes:
        bits: bits a use.
        uses: uses in a cluster.
        spread: standard deviation of the bits between clusters.
        form, alphabet, role: of its answers.
        seconds: processor seconds of a cluster, or None.
    """

    bits: float
    uses: int = 1
    spread: float = 0.0
    form: str = "score"
    alphabet: int = 2
    role: str = "tap"
    seconds: float | None = None


def parse_effect(text: str) -> tuple[str, Effect]:
    """Read ``membership=0.04,uses=900,spread=0.01``.

    Raises:
        UsageError: it is not of that form, or a value cannot be one of an effect.
        UnknownName: its key names nothing.
    """
    head, *rest = text.split(",")
    pairs = [part.partition("=") for part in (head, *rest)]
    if not all(equals for _, equals, _ in pairs):
        raise UsageError(
            "an effect must be NAME=BITS, and uses, spread, form, alphabet, role or seconds "
            f"behind commas, got {text!r}; for example: membership=0.04,uses=900"
        )
    key = pairs[0][0].strip()
    check_limit(key)
    kinds: dict[str, Any] = {
        "uses": int,
        "spread": float,
        "form": AnswerForm,
        "alphabet": int,
        "role": Role,
        "seconds": float,
    }
    values: dict[str, Any] = {}
    for name, _, value in [("bits", "=", pairs[0][2]), *pairs[1:]]:
        kind = float if name == "bits" else kinds.get(name.strip())
        try:
            values[name.strip()] = kind(value.strip())
        except (TypeError, ValueError):
            known = f"one of {', '.join(kinds)}" if kind is None else "a value of its kind"
            raise UsageError(
                f"{name!r} of the effect {key!r} must be {known}, got {value!r}"
            ) from None
    effect = Effect(**{k: str(v) if k in ("form", "role") else v for k, v in values.items()})
    least = min(effect.bits, effect.spread, float(effect.uses - 1), float(effect.alphabet - 2))
    if not math.isfinite(effect.bits) or least < 0:
        raise UsageError(
            f"the effect {key!r} must have bits and a spread of at least 0, 1 use and 2 symbols, "
            f"got {text!r}"
        )
    return key, effect


def forecast(
    plan: Plan, pilot: Path | None, effects: Mapping[str, Effect], *, seed: int = 0
) -> dict[str, Any]:
    """Return what settles each limit of a plan, in plain values.

    Args:
        plan: its limits in bits are planned for; those on metrics are listed as not planned.
        pilot: the folder of a finished run of the plan's scene, or None.
        effects: declared channels by what a limit may name; beside a pilot their bits take the
            place of those that it measured.
        seed: of the simulation.

    Raises:
        BadPlan: the plan has no limits.
        UsageError: there is neither a pilot nor an effect, or the pilot is of another scene.
    """
    if not plan.limits:
        raise BadPlan("the plan must have a table [limits], got none; there is nothing to settle")
    if pilot is None and not effects:
        raise UsageError(
            "power needs a pilot run of the plan's scene in the store, or an effect: "
            "--effect membership=0.04,uses=900"
        )
    sources = list(_of_effects(effects)) if pilot is None else list(_of_pilot(pilot, plan))
    covered = [
        (key, limit, source)
        for key, limit in plan.limits.items()
        for source in sources
        if speaks(key.partition(".")[0], source.row)
    ]
    judged = [found for found in covered if "." not in found[0]]
    # As the gate counts: each quantity of each row shares the level.
    tests = len({(source.row["id"], key.partition(".")[2]) for key, _, source in covered})
    rows = []
    for key, limit, source in judged:
        line, likeness = _planned(key, limit, source, effects if pilot else {}, plan.alpha)
        if likeness is not None:
            need = power.needed(likeness, limit, tests=tests, strict=plan.strict, seed=seed)
            line |= {
                "side": need.side or None,
                "clusters": need.clusters or None,
                "uses": need.uses or None,
                "chance": need.chance or None,
                "simulated": need.simulated,
                "reason": None if need.side else "its bits are too near the limit",
            }
        rows.append(line)
    named = {key for key, *_ in judged}
    open_ = [
        {"limit": key, "reason": "a limit on a metric" if "." in key else "no row to plan with"}
        for key in plan.limits
        if key not in named
    ]
    return {
        "pilot": None if pilot is None else pilot.name,
        "tests": tests,
        "chance": power.POWER,
        "rows": rows,
        "not_planned": open_,
        "cpu_seconds": _cpu(rows, sources),
    }


@dataclass(frozen=True, slots=True)
class _Source:
    """A channel to plan with: the row that limits speak of, its trials or its effect, its cost.

    Attributes:
        row: what limits speak of.
        trials, effect: what its shape is taken from.
        clusters: how many it has.
        cpu, scenes: processor seconds of its job without, and of, building scenes.
        fixed: seconds of shared work that does not grow with clusters, by name.
    """

    row: Mapping[str, Any]
    trials: Path | None
    effect: Effect | None
    clusters: int
    cpu: float | None
    scenes: float
    fixed: Mapping[str, float]


def _of_effects(effects: Mapping[str, Effect]) -> Iterator[_Source]:
    for key, effect in effects.items():
        kind, _, name = key.rpartition(":")
        field = {"attack": "attack", "axis": "axis", "game": "game"}.get(kind, "class")
        row = {"id": key, "attack": key, "game": name, "class": name, "status": "measured"}
        yield _Source(row | {field: name}, None, effect, 1, effect.seconds, 0.0, {})


def _of_pilot(pilot: Path, plan: Plan) -> Iterator[_Source]:
    document = read_run(pilot)
    if plan.scene and document["scene"]["name"] != plan.scene:
        raise UsageError(
            f"the pilot {document['id']!r} must be of the plan's scene {plan.scene!r}, got "
            f"{document['scene']['name']!r}"
        )
    _, records = read_journal(pilot / "journal.jsonl")
    keys = {
        line["standing"]["id"]: line["key"]
        for line in records["plan"]["lines"]["rows"]
        if "standing" in line and line["key"]
    }
    for row in baseline_rows(document):
        if row["status"] != "measured":
            continue
        record = records[keys[row["id"]]]
        shared = row.get("shared_seconds") or {}
        spent = record.get("cpu") or {"all": record["seconds"], "scenes": 0.0}
        yield _Source(
            row=row,
            trials=pilot / record["trials"],
            effect=None,
            clusters=row["clusters"],
            cpu=spent["all"] - spent["scenes"],
            scenes=spent["scenes"],
            fixed={name: s for name, s in shared.items() if not name.startswith(ANSWERS)},
        )


def _planned(
    key: str, limit: float, source: _Source, effects: Mapping[str, Effect], alpha: float
) -> tuple[dict[str, Any], power.Likeness | None]:
    """Return the head of a line, and the channel to plan with or None where there is none."""
    bits = (source.row.get("bits") or {}) if source.effect is None else {}
    line: dict[str, Any] = {
        "limit": key,
        "at": limit,
        "attack": source.row["attack"],
        "row": source.row["id"],
        "measured": {k: bits.get(k) for k in ("point", "low", "high")} if bits else None,
        "pilot_clusters": source.clusters if source.effect is None else None,
    }
    try:
        if (effect := source.effect) is not None:
            planned = effect.bits
            spec = ChannelSpec(
                role=Role(effect.role),
                form=AnswerForm(effect.form),
                alphabet=effect.alphabet,
                alpha=alpha,
            )
            likeness = power.declared(spec, planned, uses=effect.uses, spread=effect.spread)
        else:
            assert source.trials is not None
            stated = next((e.bits for k, e in effects.items() if speaks(k, source.row)), None)
            planned = stated if stated is not None else _doubted(bits, limit, source.row)
            likeness = power.from_pilot(read_trials(source.trials), bits["point"], planned)
    except BadTrials as error:
        return line | {"bits": None, "side": None, "reason": str(error)}, None
    return line | {"bits": planned}, likeness


def _doubted(bits: Mapping[str, Any], limit: float, row: Mapping[str, Any]) -> float:
    """Return the measured bits, moved towards the limit by half of the interval's upper arm."""
    point, high, top = bits["point"], bits.get("high"), row.get("ceiling")
    if high is None or (top is not None and high >= top):
        return float(point)  # the upper end says nothing, as with few clusters
    step = DOUBT * (high - point)
    moved = point - step if point > limit else point + step
    # A pilot that cannot say on which side the bits are is planned for at its limit.
    return float(limit if (moved - limit) * (point - limit) <= 0 else moved)


def _cpu(rows: list[dict[str, Any]], sources: list[_Source]) -> float | None:
    """Return the processor seconds of a run in which every game has the clusters it needs most."""
    if any(source.cpu is None for source in sources):
        return None
    games: dict[Any, list[_Source]] = {}
    for source in sources:
        games.setdefault(source.row["game"], []).append(source)
    clusters = {line["row"]: line.get("clusters") or 0 for line in rows}
    total = 0.0
    for members in games.values():
        needs = [clusters.get(s.row["id"], 0) / s.clusters for s in members]
        once: dict[str, float] = {}
        for source in members:
            for name, seconds in source.fixed.items():
                once[name] = max(once.get(name, 0.0), seconds)
        spent = sum(source.cpu or 0.0 for source in members)
        # What was trained in an earlier run was read from the cache, and cost less than it says.
        fixed = min(sum(once.values()), FIXED * spent)
        total += sum(s.scenes for s in members) + fixed + (spent - fixed) * (max(needs) or 1.0)
    return round(total, 1)
