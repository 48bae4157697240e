"""Sentences about single rows: bits with their interval, their kind, n and what weakens them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hartley.engine.result.departures import words_of
from hartley.report.evidence.statements import Statement, name_of, quoted, row_id, row_ids, word
from hartley.report.findings import class_of
from hartley.report.format_numbers import (
    bits,
    count,
    level,
    low_of_all,
    metric,
    number,
    plain,
    units,
    usual,
    widest,
)
from hartley.report.summary import access_in_words, what_is_read

KIND = {
    "certified": "the lower end is certified and the upper end is calibrated",
    "calibrated": "both ends are calibrated and neither is certified",
    "estimate": "it is an estimate, of which nothing is certified",
    "theory": "it is from theory and was not measured",
}
"""What the ends of a row's interval are, by ``bits.kind``."""


def figures(row: Mapping[str, Any]) -> str:
    """Write the bits of a row with interval, level, kind and n."""
    value = row["bits"]
    low, high = value.get("low"), value.get("high")
    ends = f"[{bits(low)}, {bits(high)}]" if None not in (low, high) else _one_end(low, high)
    n = f"n {number(row.get('n'))} {units(row)}".strip()
    return (
        f"{bits(value['point'])} bit per {word(row.get('unit') or 'use')} {ends}, {n}, where "
        f"{KIND.get(value.get('kind'), 'its kind is not known')} at {level(value.get('alpha'))}"
    )


def _one_end(low: Any, high: Any) -> str:
    if low is None and high is None:
        return "without an interval"
    return f"at most {bits(high)}" if low is None else f"at least {bits(low)}"


def measured(row: Mapping[str, Any]) -> Statement:
    """Say what a row measured."""
    role = row.get("role")
    if role == "inject":
        what = "gets this much through"
    elif role == "jam":
        what = "destroys this much of what the owner's channel carries"
    else:
        what = f"reads this much about {what_is_read(row)}"
    who = _who(row)
    behind = behind_words(row)
    return Statement(
        f"{name_of(row)}, played by {who}{behind or ','} {what}: {figures(row)}.",
        (row_id(row),),
    )


def _who(row: Mapping[str, Any]) -> str:
    """Say who could play a row's attack."""
    if not row.get("access") and row.get("role") == "inject":
        return "someone without access to the model"
    words = access_in_words(row)
    return f"{words[:1].lower()}{words[1:]}"


def without(row: Mapping[str, Any], baseline: Mapping[str, Any]) -> Statement:
    """Say what the attack of a row behind a defense reads without it."""
    return Statement(
        f"Without {word(row.get('added'))}, {name_of(baseline)} has {figures(baseline)}.",
        (row_id(row), row_id(baseline)),
    )


def behind_words(row: Mapping[str, Any]) -> str:
    """Say which added defense a row was played behind, and by which attacker."""
    if row.get("baseline", True):
        return ""
    knows = {"static": " without knowing of it,", "adaptive": " with knowledge of it,"}
    return f", behind {word(row.get('added'))}{knows.get(str(row.get('knowledge')), ',')}"


def usual_metrics(row: Mapping[str, Any], names: Sequence[str]) -> Iterator[Statement]:
    """Yield a sentence for each of these usual metrics that a row has."""
    for name in names:
        value = (row.get("metrics") or {}).get(name)
        if value is not None:
            point, words = usual(name, value)
            words = words.replace(", n ", " with n ")
            chance = ", where chance is 0.5" if name == "auc" else ""
            yield Statement(
                f"The metric {word(metric(name))} of {name_of(row)} is {point} ({words}){chance}.",
                (row_id(row),),
            )


def weaknesses(rows: Sequence[Mapping[str, Any]]) -> Iterator[Statement]:
    """Yield what weakens rows: settings below the shipped ones."""
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        for one in row.get("departures") or ():
            weaker = ", which is weaker" if one["weaker"] else ""
            words = f"Played otherwise than shipped{weaker}: {quoted(words_of(one))}"
            alike.setdefault(words, []).append(row)
    for words, those in alike.items():
        yield Statement(f"{words}.", row_ids(those))


def flagged(rows: Sequence[Mapping[str, Any]]) -> Iterator[Statement]:
    """Yield the flags of rows, which settle nothing."""
    for row in rows:
        for flag in row.get("flags") or ():
            yield Statement(
                f"{name_of(row)} is flagged and settles nothing: {quoted(flag)}.", (row_id(row),)
            )


def failed(rows: Sequence[Mapping[str, Any]]) -> Iterator[Statement]:
    """Yield why rows failed."""
    for row in rows:
        reason = quoted(row.get("reason") or "no reason given")
        yield Statement(f"{name_of(row)} failed and was not measured: {reason}.", (row_id(row),))


def together(rows: Sequence[Mapping[str, Any]]) -> Iterator[Statement]:
    """Yield what several rows of one class say together: the level of all, the largest end."""
    best = widest(list(rows))
    if best is None or len(rows) < 2:
        return
    unit = word(best.get("unit") or "use")
    cls = word(plain(class_of(best)))
    low = low_of_all(best["bits"], len(rows), best["bits"].get("alpha") or 0.05)
    if low is not None:
        yield Statement(
            f"It is the widest of {number(len(rows))} rows of {cls} per {unit}, and at the level "
            f"of all of them together it certifies {bits(low)} bit.",
            row_ids(rows),
        )
    highs = [row["bits"].get("high") for row in rows]
    if None not in highs:
        yield Statement(
            f"The largest upper end of these {count(len(rows), 'row')} is {bits(max(highs))} bit "
            f"per {unit}, and bounds no attack that was not played.",
            row_ids(rows),
        )
