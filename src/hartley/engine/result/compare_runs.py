"""Compare two stored runs row by row: the second is worse, better, no worse, or it is open.

Worse and better are decided at the level of all rows together (Holm 1979): if every row leaked as
much as before, the runs would be called worse with chance at most alpha. No worse needs the upper
end of every difference within a margin, so that it needs no correction (an intersection–union
test). Where the second attacker was weaker, fewer bits say nothing about the model: such a row is
neither better nor no worse, and names the setting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hartley.channel.compare import Difference, difference, difference_of_ends, same_questions
from hartley.channel.log_gain import together
from hartley.channel.trials.split_quality import unsettling
from hartley.core import Trials
from hartley.core.errors import HartleyError
from hartley.engine.result.weaker_attacker import weaker_by, weaker_scene
from hartley.reference.measured_row import TABLE

WORSE, BETTER, NO_WORSE, OPEN = "worse", "better", "no worse", "open"
EXIT = {NO_WORSE: 0, WORSE: 1, OPEN: 3}
ALPHA = 0.05
ENDS = ("point", "low", "high")
MARGIN = 0.01
"""Share of the secret that a row may leak more and still count as no worse."""

Load = Callable[[Mapping[str, Any]], Trials | None]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs.

    Attributes:
        document: its run document.
        load: returns the trials of a row, or None where there are none.
    """

    document: Mapping[str, Any]
    load: Load


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows of one experiment.

    Attributes:
        first, second: the rows.
        by: how they were matched, in words; empty for the same id.
        difference: of their bits; None where one was not measured or is flagged.
        reason: why there is none.
    """

    first: Mapping[str, Any]
    second: Mapping[str, Any]
    by: str = ""
    difference: Difference | None = None
    reason: str = ""


def compare_runs(first: Side, second: Side, *, margin: float = MARGIN) -> dict[str, Any]:
    """Return the comparison as plain JSON values.

    Args:
        first: the run that is compared with, such as the last release.
        second: the run in question.
        margin: share of the secret that a row may leak more and still count as no worse.
    """
    pairs, only_first, only_second = _matched(first.document, second.document)
    pairs = [_measured(pair, first, second) for pair in pairs]
    baseline = [p for p in pairs if p.first.get("baseline", True)]
    defended = [p for p in pairs if not p.first.get("baseline", True)]
    scenes = (first.document, second.document)
    weaker = weaker_scene(*reversed(scenes)), weaker_scene(*scenes)
    rows = [*_judged(baseline, margin, weaker), *_judged(defended, margin, weaker)]
    missing = [row for row in only_first if row.get("baseline", True)]
    status, reasons = _verdict(rows, missing)
    return {
        "schema": "hartley.comparison/1",
        "first": _facts(first.document),
        "second": _facts(second.document),
        "alpha": ALPHA,
        "margin": margin,
        "status": status,
        "reasons": reasons,
        "rows": rows,
        "only_first": [_name(row) for row in only_first],
        "only_second": [_name(row) for row in only_second],
        "utility": _utilities(first.document, second.document),
    }


def _facts(document: Mapping[str, Any]) -> dict[str, Any]:
    scene = document["scene"]
    return {
        "id": document["id"],
        "scene": scene.get("name"),
        "digest": scene.get("digest"),
        "seed": document.get("seed"),
        "version": document["version"],
    }


def _matched(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[list[Pair], list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return pairs of rows that were played, and the rows of only one run."""
    left, right = (
        {row["id"]: row for row in document["channels"] if row["status"] != "skipped"}
        for document in (first, second)
    )
    pairs = [Pair(row, right[key]) for key, row in left.items() if key in right]
    rest = [
        [row for key, row in side.items() if key not in other]
        for side, other in ((left, right), (right, left))
    ]
    if all([row.get("origin") for row in side] == [TABLE] for side in rest):
        (a,), (b,) = rest  # a table is named after its file, which says nothing of what it is
        return [Pair(a, b, by=f"matched as tables: {a['id']} → {b['id']}")], [], []
    # First what was added by the plan for comparison; then what the owners have deployed.
    for key_of, kinds in ((_key, (True, False)), (_attack, (True,))):
        named = [_unique(rows, key_of, kinds) for rows in rest]
        for key in [key for key in named[0] if key in named[1]]:
            a, b = named[0][key], named[1][key]
            pairs.append(Pair(a, b, by=_changes(a, b)))
            rest[0].remove(a)
            rest[1].remove(b)
    return pairs, rest[0], rest[1]


def _unique(
    rows: Sequence[Mapping[str, Any]],
    key_of: Callable[[Mapping[str, Any]], tuple[Any, ...]],
    kinds: Sequence[bool],
) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """Rows by their key, where only one row has it; ``kinds`` says whether of the baseline."""
    keyed = [(key_of(row), row) for row in rows if row.get("baseline", True) in kinds]
    keys = [key for key, _ in keyed]
    return {key: row for key, row in keyed if keys.count(key) == 1}


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Attack, game, replicate, and the defenses with what the attacker knows of them."""
    knowledge = (row.get("experiment") or {}).get("knowledge") or row.get("knowledge")
    return (row.get("baseline", True), *_attack(row), tuple(_defenses(row)), knowledge)


def _attack(row: Mapping[str, Any]) -> tuple[Any, ...]:
    experiment = row.get("experiment") or {}
    stages = experiment.get("stages") or [{"attack": row["attack"], "game": row.get("game")}]
    played = tuple((stage["attack"], stage.get("game")) for stage in stages)
    return (played, experiment.get("replicate", 0))


def _defenses(row: Mapping[str, Any]) -> list[str]:
    defenses = (row.get("experiment") or {}).get("defenses") or ()
    return [str(d.get("name", d)) if isinstance(d, Mapping) else str(d) for d in defenses]


def _changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """Say in what two rows of one attack differ."""
    before, after = ({**_parameters(row)} for row in (first, second))
    words = [
        f"{name} {before.get(name, 'absent')} → {after.get(name, 'absent')}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]
    # A scene may allow fewer reference models than the attack's parameter asks for.
    models = [(row.get("cost") or {}).get("models") for row in (first, second)]
    if models[0] != models[1]:
        trained = " → ".join("none" if number is None else f"{number:g}" for number in models)
        words.append(f"models trained by the attacker {trained}")
    deployed = ["+".join(_defenses(row)) or "none" for row in (first, second)]
    if deployed[0] != deployed[1]:
        words.append(f"deployed defenses {' → '.join(deployed)}")
    listed = ", ".join(words) or "their parameters are the same"
    return f"matched by attack and game: {listed}"


def _parameters(row: Mapping[str, Any]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for stage in (row.get("experiment") or {}).get("stages") or ():
        for field in ("params", "game_params"):
            parameters |= dict(stage.get(field) or {})
    return parameters or dict(row.get("params") or {})


def _measured(pair: Pair, first: Side, second: Side) -> Pair:
    """Return the pair with the difference of its bits."""
    for row, side in ((pair.first, first), (pair.second, second)):
        if row["status"] != "measured":
            reason = f"{row['status']} in {side.document['id']}: {row.get('reason')}"
            return Pair(pair.first, pair.second, pair.by, reason=reason)
        if flags := unsettling(row, 0.0, row["bits"].get("low")):
            reason = f"flagged in {side.document['id']}: {'; '.join(flags)}"
            return Pair(pair.first, pair.second, pair.by, reason=reason)
    if pair.first.get("alphabet") != pair.second.get("alphabet"):
        return Pair(pair.first, pair.second, pair.by, reason="secrets of unlike size")
    points = (pair.first["bits"]["point"], pair.second["bits"]["point"])
    trials = first.load(pair.first), second.load(pair.second)
    if (trials[0] is None or trials[1] is None) and (how := _one_measurement(pair, first, second)):
        most = math.log2(max(2, pair.first.get("alphabet") or 2))
        between = Difference(0.0, 0.0, math.inf, True, most, how)
    elif trials[0] is None or trials[1] is None:
        alpha = pair.first["bits"].get("alpha") or ALPHA
        alphabet = pair.first.get("alphabet") or 2
        between = difference_of_ends(pair.first["bits"], pair.second["bits"], alphabet, alpha)
    else:
        # The seed deals the coins; equal columns alone could be chance, or one constant answer.
        paired = first.document.get("seed") == second.document.get("seed")
        paired = paired and same_questions(trials[0], trials[1])
        try:
            between = difference(trials[0], trials[1], points, paired=paired)
        except HartleyError as error:
            return Pair(pair.first, pair.second, pair.by, reason=str(error))
    return Pair(pair.first, pair.second, pair.by, between)


def _one_measurement(pair: Pair, first: Side, second: Side) -> str:
    """Say why two rows are one measurement, where trials are not there to show it; else empty.

    Equal bits alone do not show it: two models that were read in full have equal bits.
    """
    measured = ("bits", "n", "clusters", "registration", "form")
    if any(pair.first.get(name) != pair.second.get(name) for name in measured):
        return ""
    if pair.first.get("origin") == pair.second.get("origin") == TABLE:
        digests = [side.document["scene"].get("digest") for side in (first, second)]
        return "the same rows, measured alike" if digests[0] and len({*digests}) == 1 else ""
    played = pair.first.get("run_id")
    return "the same play, measured alike" if played and played == pair.second.get("run_id") else ""


def _judged(
    pairs: Sequence[Pair], margin: float, scenes: tuple[list[str], list[str]]
) -> list[dict[str, Any]]:
    """Return the rows of the comparison, with a status each at the level of all of them.

    Args:
        pairs: of one family.
        margin: share of the secret that a row may leak more.
        scenes: in what the second scene, and the first, gives an attacker less than the other.
    """
    measured = [i for i, pair in enumerate(pairs) if pair.difference is not None]
    above = {i: pairs[i].difference.p_above() for i in measured}  # type: ignore[union-attr]
    below = {i: pairs[i].difference.p_below() for i in measured}  # type: ignore[union-attr]
    worse, better = together(above, ALPHA), together(below, ALPHA)
    rows = []
    for i, pair in enumerate(pairs):
        entry: dict[str, Any] = {
            **_name(pair.second),
            "first_id": pair.first["id"],
            "matched": pair.by or None,
            "first": _ends(pair.first),
            "second": _ends(pair.second),
        }
        between = pair.difference
        if between is None:
            rows.append({**entry, "difference": None, "status": OPEN, "reason": pair.reason})
            continue
        low, high = between.ends(ALPHA)
        allowed = margin * between.most
        status = WORSE if i in worse else BETTER if i in better else OPEN
        if status == OPEN and high <= allowed:
            status = NO_WORSE
        weaker = [
            [*scene, *weaker_by(*rows_of_pair)]
            for scene, rows_of_pair in zip(
                scenes, ((pair.second, pair.first), (pair.first, pair.second)), strict=True
            )
        ]
        reason = _reason(status, between, allowed, len(measured))
        if status in (BETTER, NO_WORSE) and weaker[0]:
            status, reason = OPEN, f"the second attacker was weaker: {'; '.join(weaker[0])}"
        elif status == WORSE and weaker[1]:
            reason += f"; but the first attacker was weaker: {'; '.join(weaker[1])}"
        figures = {"point": between.point, "low": low, "high": high}
        rows.append(
            {
                **entry,
                "difference": {
                    **figures,
                    "paired": between.paired,
                    "how": between.how,
                    "p_worse": above[i],
                    "p_better": below[i],
                },
                "status": status,
                "reason": reason,
                "weaker": {"first": weaker[1], "second": weaker[0]},
            }
        )
    return rows


def _reason(status: str, between: Difference, allowed: float, tests: int) -> str:
    low, high = between.ends(ALPHA)
    family = f" at the level of all {tests} rows" if tests > 1 else ""
    if status == WORSE:
        return f"at least {max(0.0, low):.3g} bit more{family}"
    if status == BETTER:
        return f"at least {max(0.0, -high):.3g} bit less{family}"
    if status == NO_WORSE:
        return f"at most {max(0.0, high):.3g} bit more, within the margin {allowed:.3g}"
    alone = " alone, not" + family if low > 0 and family else ""
    more = f"more{alone}" if alone else "more or less"
    return f"between {low:.3g} and {high:.3g} bit {more}, across the margin {allowed:.3g}"


def _name(row: Mapping[str, Any]) -> dict[str, Any]:
    experiment = row.get("experiment") or {}
    return {
        "id": row["id"],
        "attack": row["attack"],
        "game": row.get("game"),
        "defenses": _defenses(row),
        "knowledge": experiment.get("knowledge") or row.get("knowledge"),
        "baseline": row.get("baseline", True),
    }


def _ends(row: Mapping[str, Any]) -> dict[str, Any] | None:
    bits = row.get("bits")
    return None if not bits else {k: bits.get(k) for k in ENDS}


def _verdict(
    rows: Iterable[Mapping[str, Any]], missing: Sequence[Mapping[str, Any]]
) -> tuple[str, list[str]]:
    """Return the status of the whole comparison, and why."""
    judged = [row for row in rows if row["baseline"]]
    worse = [f"{row['attack']}: {row['reason']}" for row in judged if row["status"] == WORSE]
    if worse:
        return WORSE, worse
    reasons = [f"{row['attack']}: {row['reason']}" for row in judged if row["status"] == OPEN]
    reasons += [f"{row['attack']}: only in the first run" for row in missing]
    if not judged:
        reasons.append("no row is in both runs")
    return (OPEN, reasons) if reasons else (NO_WORSE, [])


def _utilities(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return what both models are worth to their owners, as far as both runs have recorded it."""
    before, after = _utility(first), _utility(second)
    return {
        name: {"first": before[name], "second": after[name]} for name in before if name in after
    }


def _utility(document: Mapping[str, Any]) -> dict[str, Any]:
    """Utility of the undefended model, or the numbers that the scene states of it."""
    figures: dict[str, Any] = {}
    for defense in document.get("defenses") or ():
        for name, pair in (defense.get("utility") or {}).items():
            figures.setdefault(name, pair["before"])
    for name, value in (document["scene"].get("facts") or {}).items():
        words = ("accuracy", "perplexity", "loss", "f1", "utility")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and math.isfinite(value) and any(word in name.lower() for word in words):
            figures.setdefault(name, {"value": value, "low": None, "high": None, "n": None})
    return figures
