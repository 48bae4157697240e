"""Rows of the run document as the page prints them: every number beside its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hartley.engine.result.edge_family import settings_apart
from hartley.reference import objective_of
from hartley.report.format_numbers import (
    AXIS_TITLES,
    NOTHING,
    ROLES,
    bits,
    count,
    figure,
    level,
    metric,
    number,
    params,
    plain,
    played_params,
    quantity,
    share,
    span,
    tuned,
    units,
    usual,
)

SHOWN = 5
"""Usual metrics in the table itself; the others are in the row's details."""


def channel(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a measured channel for the table."""
    bits_of_row = row["bits"]
    role = str(row.get("role") or "")
    knows = row.get("knowledge")
    kind = ", ".join(
        word
        for word in (
            plain(str(row.get("game") or "")),
            role,
            f"{knows} attacker" if knows and knows != "none" else "",
        )
        if word
    )
    metrics = _usual(row)
    return {
        "attack": row["attack"],
        "kind": kind,
        "flags": list(row.get("flags") or ()),
        "point": bits(bits_of_row.get("point")),
        "span": span(bits_of_row.get("low"), bits_of_row.get("high")),
        "share": share(row)[0],
        "secret": share(row)[1],
        "unit": row.get("unit") or "use",
        "ceiling": bits(row.get("ceiling")),
        "null": bits(bits_of_row.get("null")),
        "null_high": span(bits_of_row.get("null_low"), bits_of_row.get("null_high")),
        "n": number(row.get("n")),
        "clusters": units(row),
        "metrics": metrics[:SHOWN],
        "queries": count(row.get("uses"), "query", "queries"),
        "seconds": number(_seconds(row), 2),
        "rate": number(row.get("rate_bits_per_s")),
        "snr": number(row.get("snr_db"), 1),
        "snr_kind": _snr_kind(row),
        "params": params(played_params(row)) or "no parameters",
        "details": _details(row, role, metrics[SHOWN:]),
        "tags": list(row.get("tags") or ()),
    }


PROMINENT = (
    *("auc", "set_p_value", "blind_auc", "blind_bits", "tpr_at_fpr_1e2", "tpr_at_fpr_1e3"),
    "worst_percentile_advantage",
)
"""Metrics that are always in the table where present: an AUC is shown with its baseline."""


def _usual(row: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Metrics as (name, number, interval): those with an interval first; n where it is another."""
    metrics = (row.get("metrics") or {}).items()
    ordered = sorted(
        metrics,
        key=lambda item: (
            not isinstance(item[1], Mapping),
            PROMINENT.index(item[0]) if item[0] in PROMINENT else len(PROMINENT),
        ),
    )
    same = {"n": None}
    return [
        (
            metric(name),
            *usual(
                name,
                {**value, **same}
                if isinstance(value, Mapping) and value.get("n") == row.get("n")
                else value,
            ),
        )
        for name, value in ordered
    ]


def _snr_kind(row: Mapping[str, Any]) -> str:
    if row.get("snr_db") is None:
        return ""
    return "measured" if row.get("signal") is not None else "equivalent"


def _details(
    row: Mapping[str, Any], role: str, more: list[tuple[str, str, str]]
) -> list[tuple[str, str]]:
    bits_of_row = row["bits"]
    uses, unit, shared = row.get("n"), row.get("unit") or "use", row.get("shared_seconds") or {}
    seconds = _seconds(row)
    facts: list[tuple[str, Any]] = [
        ("more metrics", "; ".join(" ".join(words) for words in more)),
        ("role", f"{role}: {ROLES[role]}" if role in ROLES else None),
        ("secrets", None if row.get("planted", True) else "not drawn by the auditor"),
        ("flow, move", ", ".join(str(row[k]) for k in ("flow", "term") if row.get(k))),
        ("objective", objective_of(row.get("flow"))),
        ("access", ", ".join(row.get("access") or ())),
        ("paper", row.get("paper")),
        ("bits of", bits_of_row.get("quantity")),
        ("estimator", row.get("estimator")),
        ("assumptions", "; ".join(row.get("assumptions") or ())),
        ("level", f"{bits_of_row.get('kind')}, each end at {level(bits_of_row.get('alpha'))}"),
        ("raw point", f"{bits(bits_of_row.get('raw'))} bit, before correction and clipping"),
        ("could hide", _with(bits_of_row.get("hidden"), "bit, had no victim shown anything")),
        (
            "could certify",
            _with(bits_of_row.get("certifiable"), "bit at most, from so few victims"),
        ),
        ("S, N", _pair(row.get("signal"), row.get("noise"))),
        ("bandwidth", f"{number(uses / seconds)} uses a second" if uses and seconds else None),
        ("within budget", _with(row.get("budget_bits"), "bit")),
        (
            "authorised",
            _with(row.get("authorised_bits"), "bit per query (the allowed answers)"),
        ),
        ("capacity", _with(row.get("capacity"), f"bit per {unit}")),
        ("min-capacity", _with(_least(row), f"bit per {unit} at least (maximal leakage)")),
        ("cost", ", ".join(f"{plain(k)} {number(v)}" for k, v in (row.get("cost") or {}).items())),
        ("own work", _with(row.get("seconds") if shared else None, "s")),
        ("shared work", ", ".join(f"{name} {number(s, 2)} s" for name, s in shared.items())),
        ("loot", row.get("loot")),
    ]
    return [(name, str(value)) for name, value in facts if value]


def _seconds(row: Mapping[str, Any]) -> float:
    """The time of a row's own work and of the work that it shares: the rate counts both."""
    shared: Mapping[str, float] = row.get("shared_seconds") or {}
    return float(row.get("seconds") or 0.0) + sum(shared.values())


def _least(row: Mapping[str, Any]) -> float | None:
    """The certified min-capacity; None where nothing is certified."""
    return row.get("leakage") or None


def _pair(signal: Any, noise: Any) -> str | None:
    return None if signal is None else f"S {number(signal)}, N {number(noise)}"


def _with(value: Any, unit: str) -> str | None:
    return None if value is None else f"{number(value)} {unit}"


def by_reason(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return each reason once, with the number and the names of the rows that have it."""
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(str(row.get("reason") or "no reason given"), []).append(row["attack"])
    return [
        {"reason": reason, "count": number(len(attacks)), "attacks": ", ".join(attacks)}
        for reason, attacks in names.items()
    ]


def unmeasured(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a skipped or failed row."""
    return {
        "attack": str(row["attack"]),
        "game": plain(str(row.get("game") or NOTHING)),
        "axis": AXIS_TITLES.get(str(row.get("axis")), NOTHING),
        "reason": str(row.get("reason") or "no reason given"),
    }


def defense(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a defense with the bits that remain of each attack, and its cost."""
    covered = row.get("coverage") or {}
    return {
        "name": row["name"],
        "term": row.get("term") or NOTHING,
        "stage": row.get("stage") or NOTHING,
        "params": params(row.get("params")),
        "status": _trouble(row),
        "note": str(row.get("note") or ""),
        "rows": [
            {
                "attack": value.get("attack", row_id),
                "cells": [
                    _residual(value, key, str(value.get("reason") or ""))
                    for key in ("undefended", "static", "adaptive")
                ],
                "coverage": _coverage(covered.get(row_id)),
            }
            for row_id, value in (row.get("residual") or {}).items()
        ],
        "utility": [_utility(name, value) for name, value in (row.get("utility") or {}).items()],
    }


def _trouble(row: Mapping[str, Any]) -> str:
    """Why a defense was not applied, where the document says so."""
    if row.get("reason"):
        status = row.get("status")
        return f"{status}: {row['reason']}" if status else str(row["reason"])
    return ""


def _residual(one: Mapping[str, Any], key: str, reason: str) -> tuple[str, str]:
    value = one.get(key)
    if value is None:
        return (reason or "not measured") if key != "undefended" else "not measured", ""
    point, words = quantity(value)
    chosen = tuned(one.get("tuned")) if key == "adaptive" else ""
    return point, f"{words}; {chosen}" if chosen else words


def _coverage(value: Mapping[str, Any] | None) -> tuple[str, str]:
    if not value:
        return NOTHING, ""
    point, low = value.get("point"), value.get("low")
    share = NOTHING if point is None else f"{100 * point:.0f} %"
    return share, "no lower end" if low is None else f"≥ {100 * low:.0f} %"


def _utility(name: str, one: Mapping[str, Any]) -> dict[str, str]:
    before, after = one.get("before"), one.get("after")
    change = NOTHING
    old, new = (v.get("value") if isinstance(v, Mapping) else v for v in (before, after))
    if isinstance(old, int | float) and isinstance(new, int | float):
        words = number(new - old)
        change = "no change" if old == new else words if words[0] == "−" else f"+{words}"
    return {
        "name": metric(name),
        "before": figure(before),
        "after": figure(after),
        "change": change,
    }


def edges(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the edges of a run with their gains; those of the same names with what differs."""
    rows = document.get("edges") or ()
    apart = settings_apart(rows, document["channels"])
    return [_edge(row, words) for row, words in zip(rows, apart, strict=True)]


def _edge(row: Mapping[str, Any], apart: str) -> dict[str, str]:
    path = row.get("path")
    fresh = (
        {True: "yes", False: "no"}.get(bool(row["queried"]), "") if "queried" in row else NOTHING
    )
    names = " → ".join(map(str, path)) if isinstance(path, list | tuple) else str(path or "")
    return {
        "from": str(row.get("from", "")),
        "to": str(row.get("to", "")),
        "path": f"{names} ({apart})" if apart else names,
        "gain": number(row.get("gain")),
        "span": span(row.get("low"), row.get("high")),
        "times": _times(row.get("log_gain")),
        "against": " + ".join(row.get("control") or ()) or "alone",
        "family": str(row.get("family", NOTHING)),
        "fresh": fresh,
    }


def _times(gain: Mapping[str, Any] | None) -> str:
    """How many times as many bits, or why there is no such number."""
    if not gain:
        return NOTHING
    if gain["scale"] != "log2":
        return f"not a number: {gain['why']}" if gain.get("why") else NOTHING
    low, high = (None if gain[end] is None else 2 ** gain[end] for end in ("low", "high"))
    return f"{number(2 ** gain['value'])} {span(low, high)}"
