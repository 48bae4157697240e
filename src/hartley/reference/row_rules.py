"""What holds between the fields of a run document, which a JSON schema cannot say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

_BLIND = ("value", "low", "high", "n")
"""What the gate reads of the blind baseline's AUC."""
SLACK = 1e-9
"""How far two numbers that are the same may differ as they are written."""


def broken_rules(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what contradicts itself in a run document, one sentence each."""
    rows = document["channels"]
    for row_id, count in Counter(row.get("id") for row in rows).items():
        if count > 1:
            yield f"the id {row_id!r} must belong to one row, got {count}"
    for index, row in enumerate(rows):
        if row["status"] == "measured":
            yield from (f"channels[{index}].{fault}" for fault in _of_measured(row))
        elif row.get("bits") is not None:
            yield f"channels[{index}].bits must be absent: the row is {row['status']}"
        if row.get("baseline") is True and row.get("added"):
            yield f"channels[{index}].baseline must be false: the row is behind an added defense"
        if row.get("baseline") is False and not row.get("added"):
            yield f"channels[{index}].baseline must be true: no defense was added to the row"
    yield from _of_verdict(document["verdict"])


def _of_measured(row: Mapping[str, Any]) -> Iterator[str]:
    bits = row.get("bits")
    if not isinstance(bits, Mapping):
        yield "bits must be an object, got none"
        return
    yield from _ordered("bits", bits.get("low"), bits.get("point"), bits.get("high"))
    yield from _ordered("bits.null", bits.get("null_low"), bits.get("null"), bits.get("null_high"))
    yield from _falling("bits", bits.get("lows"), bits.get("low"), bits.get("alpha"))
    n, clusters = row.get("n"), row.get("clusters")
    if n is not None and clusters is not None and clusters > n:
        yield f"clusters must be at most n, {n}, got {clusters}"
    blind = (row.get("metrics") or {}).get("blind_auc")
    if isinstance(blind, Mapping) and any(blind.get(k) is None for k in _BLIND):
        yield f"metrics.blind_auc must have {', '.join(_BLIND)}, got {', '.join(map(str, blind))}"
        return
    for name, metric in (row.get("metrics") or {}).items():
        if isinstance(metric, Mapping):
            low, high = metric.get("low"), metric.get("high")
            yield from _ordered(f"metrics.{name}", low, metric.get("value"), high)
            yield from _falling(f"metrics.{name}", metric.get("lows"), low, bits.get("alpha"))


def _ordered(name: str, low: Any, point: Any, high: Any) -> Iterator[str]:
    """Yield what is out of order in low ≤ point ≤ high, of which some may be absent."""
    given = [("low", low), ("point", point), ("high", high)]
    present = [(word, value) for word, value in given if value is not None]
    for (less_word, less), (more_word, more) in pairwise(present):
        if less > more + SLACK * max(1.0, abs(more)):
            yield f"{name}: {less_word} must be at most {more_word}, got {less:g} and {more:g}"


def _falling(name: str, lows: Any, low: Any, alpha: Any) -> Iterator[str]:
    """Yield what is wrong with lower bounds at falling alpha: the first is the row's own."""
    pairs: Sequence[Sequence[float]] = lows or ()
    for (alpha_before, before), (alpha_after, after) in pairwise(pairs):
        if alpha_after >= alpha_before or after > before + SLACK:
            yield f"{name}.lows must fall with alpha, got {after:g} at {alpha_after:g}"
            return
    if pairs and (low is None or abs(pairs[0][1] - low) > SLACK * max(1.0, abs(low))):
        yield f"{name}.lows must begin with low, got {pairs[0][1]:g} and {low}"
    if pairs and alpha is not None and abs(pairs[0][0] - alpha) > SLACK:
        yield f"{name}.lows must begin at alpha {alpha:g}, got {pairs[0][0]:g}"


def _of_verdict(verdict: Mapping[str, Any]) -> Iterator[str]:
    """Yield where the status of a verdict is not that of its checks."""
    statuses = {check.get("status") for check in verdict.get("checks") or ()}
    worst = next((word for word in ("over", "inconclusive") if word in statuses), "pass")
    if verdict.get("status") == "pass" and worst != "pass":
        yield f"verdict.status must be {worst}, as one of its checks is, got pass"
