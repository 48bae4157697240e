"""How many uses, clusters and processor seconds settle each limit of a plan.

The channels are taken from a pilot run in the store, or from declared effects where nothing was
played yet; ``channel.power`` simulates their measurement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hartley import catalog
from hartley.channel import metric_power, power
from hartley.channel.power import Need
from hartley.core import AnswerForm, ChannelSpec, Role, Trials
from hartley.core.errors import BadPlan, BadTrials, UsageError
from hartley.engine.plan.plan import Plan
from hartley.engine.result.gate import check_limit, check_metrics, speaks
from hartley.reference.schema import baseline_rows
from hartley.store.journal import read_journal
from hartley.store.verify import read_verified, trials_of

DOUBT = 0.5
"""How far towards a limit bits are moved that a pilot measured, as a share of its upper arm."""
ANSWERS = "answers"
"""Shared work whose name begins so grows with the victims; other shared work does not."""


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
    form: AnswerForm = AnswerForm.SCORE
    alphabet: int = 2
    role: Role = Role.TAP
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
        "bits": float,
        "uses": int,
        "spread": float,
        "form": AnswerForm,
        "alphabet": int,
        "role": Role,
        "seconds": float,
    }
    values: dict[str, Any] = {}
    for name, _, value in [("bits", "=", pairs[0][2]), *pairs[1:]]:
        if name.strip() not in kinds:
            raise UsageError(f"the effect {key!r} takes {', '.join(kinds)}, got {name.strip()!r}")
        try:
            values[name.strip()] = kinds[name.strip()](value.strip())
        except ValueError:
            kind = kinds[name.strip()]
            known = "a number" if kind in (int, float) else f"one of {', '.join(kind)}"
            raise UsageError(
                f"{name!r} of the effect {key!r} must be {known}, got {value!r}"
            ) from None
    effect = Effect(**values)
    least = {"bits": 0, "spread": 0, "uses": 1, "alphabet": 2, "seconds": 0}
    for name, low in least.items():
        value = getattr(effect, name)
        if value is not None and not (math.isfinite(value) and value >= low):
            raise UsageError(
                f"{name} of the effect {key!r} must be finite and at least {low}, got {value:g}"
            )
    if effect.form is AnswerForm.SCORE and effect.alphabet != 2:
        raise UsageError(
            f"alphabet of the effect {key!r} must be 2 for scores, got {effect.alphabet}; "
            "with more symbols say form=symbol or form=rank"
        )
    return key, effect


def forecast(
    plan: Plan, pilot: Path | None, effects: Mapping[str, Effect], *, seed: int = 0
) -> dict[str, Any]:
    """Return what settles each limit of a plan, in plain values.

    Args:
        plan: its limits are planned for; those on metrics only where there is a pilot.
        pilot: the folder of a finished run of the plan's scene, or None.
        effects: declared channels by what a limit may name; beside a pilot their bits take the
            place of those that it measured.
        seed: of the simulation.

    Raises:
        BadPlan: the plan has no limits.
        UsageError: there is neither a pilot nor an effect, the pilot is of another scene, or an
            effect is above the ceiling of its row.
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
    named_rows = [source.row for _, _, source in covered]
    for key in effects:
        if not any(speaks(key, row) for row in named_rows):
            raise UsageError(
                f"the effect {key!r} must be on what a limit is about, got limits on "
                f"{', '.join(plan.limits)}"
            )
    # As the gate counts: each quantity of each row that has lower ends shares the level.
    tests = len(
        {
            (source.row["id"], metric)
            for key, _, source in covered
            if not (metric := key.partition(".")[2]) or pilot is None or _interval(source, metric)
        }
    )
    judged = [check for check in covered if pilot is not None or "." not in check[0]]
    rows, alpha = [], plan.alpha / max(1, len(plan.looks))
    for key, limit, source in judged:
        if metric := key.partition(".")[2]:
            rows.append(_planned_metric(key, limit, source, alpha=alpha, tests=tests, seed=seed))
            continue
        line, likeness = _planned(key, limit, source, effects if pilot else {}, alpha)
        if likeness is not None:
            need = power.needed(likeness, limit, tests=tests, strict=plan.strict, seed=seed)
            line |= _answer(need)
        rows.append(line)
    named = {key for key, *_ in judged}
    open_ = [
        {
            "limit": key,
            "reason": "no row to plan with"
            if pilot is not None or "." not in key
            else "a metric needs a pilot",
        }
        for key in plan.limits
        if key not in named
    ]
    if pilot is not None:
        played = {source.row["attack"] for source in sources}
        ordered = dict.fromkeys([*plan.least.attacks, *plan.only])
        reason = f"not in the pilot {pilot.name}; name a run that has it with --pilot"
        open_ += [
            {"limit": f"attack:{name}", "reason": reason}
            for name in ordered
            if name not in played and any(e.name == name for e in catalog.entries("attack"))
        ]
    return {
        "pilot": None if pilot is None else pilot.name,
        "tests": tests,
        "alpha": alpha,
        "chance": power.POWER,
        "rows": rows,
        "not_planned": open_,
        "cpu_seconds": _cpu(rows, sources),
    }


def _answer(need: Need, share: float = 1.0) -> dict[str, Any]:
    """Return what a line says of a need, whose clusters count as ``share`` of a row's each."""
    return {
        "side": need.side or None,
        "clusters": math.ceil(need.clusters * share) or None,
        "uses": need.uses or None,
        "chance": need.chance or None,
        "simulated": need.simulated,
        "reason": need.reason or None,
    }


@dataclass(frozen=True, slots=True)
class _Source:
    """A channel to plan with: the row that limits are about, its trials or its effect, its cost.

    Attributes:
        row: what limits are about.
        trials, effect: what its shape is taken from.
        clusters: how many it has.
        growing: processor seconds of its job that grow with clusters: dealing victims, playing and
            judging; None where the pilot's version did not count them apart.
        measuring: those of measuring, which grow about as the root of the clusters: the codes and
            the null arm of a few rows cost as much as those of many.
        fixed: the others: imports, building scenes, what a deal does once (a baseline of its
            records), reference models and other shared work.
    """

    row: Mapping[str, Any]
    trials: Callable[[], Trials] | None
    effect: Effect | None
    clusters: int
    growing: float | None
    fixed: float
    measuring: float = 0.0


def _of_effects(effects: Mapping[str, Effect]) -> Iterator[_Source]:
    for key, effect in effects.items():
        kind, _, name = key.rpartition(":")
        field = {"attack": "attack", "axis": "axis", "game": "game"}.get(kind, "class")
        row = {"id": key, "attack": key, "game": name, "class": name, "status": "measured"}
        yield _Source(row | {field: name}, None, effect, 1, effect.seconds, 0.0)


def _of_pilot(pilot: Path, plan: Plan) -> Iterator[_Source]:
    document = read_verified(pilot).document
    check_metrics(document, plan.limits)
    if plan.scene and document["scene"]["name"] != plan.scene:
        raise UsageError(
            f"the pilot {document['id']!r} must be of the plan's scene {plan.scene!r}, got "
            f"{document['scene']['name']!r}"
        )
    records = read_journal(pilot / "journal.jsonl").records
    keys = {
        line["standing"]["id"]: line["key"]
        for line in records["plan"]["lines"]["rows"]
        if "standing" in line and line["key"]
    }
    for row in baseline_rows(document):
        if row["status"] != "measured":
            continue
        record = records[keys[row["id"]]]
        spent = record.get("cpu")
        growing, fixed, measuring = None, 0.0, 0.0
        if spent is not None and "plays" in spent:
            shared = row.get("shared_seconds") or {}
            once = sum(s for name, s in shared.items() if not name.startswith(ANSWERS))
            # Each attack that used it lists shared work, and one of them did it.
            played = min(row["seconds"], spent["plays"])
            dealing = spent["deals"] - spent.get("deals_once", 0.0)
            growing, measuring = dealing + max(spent["plays"] - once, played), spent["measures"]
            fixed = spent["all"] - growing - measuring
        yield _Source(
            row=row,
            trials=partial(trials_of, pilot, record),
            effect=None,
            clusters=row["clusters"],
            growing=growing,
            fixed=fixed,
            measuring=measuring,
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
        "shifted": False,
    }
    try:
        if (effect := source.effect) is not None:
            planned = effect.bits
            _check_ceiling(line, planned, math.log2(effect.alphabet))
            spec = ChannelSpec(
                role=effect.role,
                form=effect.form,
                alphabet=effect.alphabet,
                alpha=alpha,
            )
            likeness = power.declared(spec, planned, uses=effect.uses, spread=effect.spread)
        else:
            assert source.trials is not None
            stated = next((e.bits for k, e in effects.items() if speaks(k, source.row)), None)
            doubt = doubted(bits, limit, source.row.get("ceiling"))
            planned = doubt if stated is None else stated
            if stated is not None:
                _check_ceiling(line, stated, source.row.get("ceiling"))
            line["shifted"] = stated is None and doubt != bits["point"]
            likeness = power.from_pilot(source.trials(), bits["point"], planned)
            likeness = replace(likeness, spec=replace(likeness.spec, alpha=alpha))
    except BadTrials as error:
        return line | {"planned": None, "side": None, "reason": str(error)}, None
    return line | {"planned": planned}, likeness


def _interval(source: _Source, metric: str) -> dict[str, float] | None:
    """Return point, low and high of a row's metric, or None where it has no interval."""
    value = (source.row.get("metrics") or {}).get(metric)
    if not isinstance(value, Mapping) or value.get("low") is None or value.get("high") is None:
        return None
    return {"point": value["value"], "low": value["low"], "high": value["high"]}


def _planned_metric(
    key: str, limit: float, source: _Source, *, alpha: float, tests: int, seed: int
) -> dict[str, Any]:
    """Return the line of a limit on a metric: the pilot's clusters are drawn anew."""
    name = key.partition(".")[2]
    interval = _interval(source, name)
    line: dict[str, Any] = {
        "limit": key,
        "at": limit,
        "attack": source.row["attack"],
        "row": source.row["id"],
        "measured": interval,
        "pilot_clusters": source.clusters,
        "shifted": False,
        "planned": None,
        "side": None,
    }
    if interval is None:
        known = name in (source.row.get("metrics") or {})
        reason = (
            "without an interval, however many clusters there are" if known else "not in its row"
        )
        return line | {"reason": f"its metric {name} is {reason}"}
    assert source.trials is not None
    try:
        pilot = metric_power.resampled(source.trials(), name)
    except BadTrials as error:
        return line | {"reason": f"its metric {name} cannot be planned: {error}"}
    pilot = replace(pilot, spec=replace(pilot.spec, alpha=alpha))
    base = metric_power.chance_of(name, source.row["metrics"])
    excess = {end: value - base for end, value in interval.items()}
    largest = source.row["metrics"].get("exposure_max", 1.0) if name == "exposure" else 1.0
    top = excess["high"] if interval["high"] == largest else None
    planned = base + doubted(excess, limit - base, top)
    need = metric_power.needed(
        pilot,
        limit,
        planned=planned,
        chance=base,
        tests=tests,
        seed=seed,
    )
    line |= {"planned": planned, "shifted": planned != base + excess["point"]}
    line |= _answer(need, source.clusters / pilot.units)
    if limit < base:
        guess = f"an attack that only guesses, at {base:.4g}, is over this limit"
        line["reason"] = "; ".join(filter(None, (line["reason"], guess)))
    return line


def _check_ceiling(line: Mapping[str, Any], bits: float, ceiling: float | None) -> None:
    """Refuse to plan with more bits than a use can move.

    Raises:
        UsageError: the effect is above the ceiling.
    """
    if ceiling is not None and bits > ceiling:
        raise UsageError(
            f"the effect on {line['attack']!r} must be at most {ceiling:.4g} bit a use, its "
            f"ceiling, got {bits:g}"
        )


def doubted(bits: Mapping[str, Any], limit: float, top: float | None) -> float:
    """Return the measured bits, moved towards the limit by half of the interval's upper arm.

    They are moved at most a third of the way (of their ratio), since the number of uses grows with
    the square of what is left.
    """
    point, high = bits["point"], bits.get("high")
    if high is None or (top is not None and high >= top):
        return float(point)  # the upper end says nothing, as with few clusters
    step = DOUBT * (high - point)
    if min(point, limit) <= 0:
        return float(point)
    third = limit * (point / limit) ** (2 / 3)
    return float(max(point - step, third) if point > limit else min(point + step, third))


def cpu_seconds(pilot: Path, plan: Plan, growth: float) -> float | None:
    """Return the processor seconds of a run with ``growth`` times the clusters of its pilot.

    Args:
        pilot: the folder of a finished run.
        plan: of the scene of that run.
        growth: at least 1.
    """
    sources = list(_of_pilot(pilot, plan))
    rows = [{"row": s.row["id"], "clusters": s.clusters * growth} for s in sources]
    return _cpu(rows, sources)


def _cpu(rows: list[dict[str, Any]], sources: list[_Source]) -> float | None:
    """Return the processor seconds of a run in which every game has the clusters it needs most."""
    if any(source.growing is None for source in sources):
        return None
    clusters: dict[str, float] = {}
    for line in rows:
        clusters[line["row"]] = max(clusters.get(line["row"], 0), line.get("clusters") or 0)
    needs: dict[Any, float] = {}
    for source in sources:
        share = clusters.get(source.row["id"], 0) / source.clusters
        needs[source.row["game"]] = max(needs.get(source.row["game"], 0.0), share)
    seconds = 0.0
    for source in sources:
        share = needs[source.row["game"]] or 1.0
        seconds += source.fixed + (source.growing or 0.0) * share
        seconds += source.measuring * math.sqrt(share)
    return round(seconds, 1)
