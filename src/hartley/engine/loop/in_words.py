"""What the numbers of a loop mean, in words that the command and the reports share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MEANING = (
    "ρ counts compromised assets for each compromised asset and leg. It creates no information: "
    "what leaks of one secret stays below its entropy. What can grow is how much of an asset is "
    "reached."
)


def verdict(one: Mapping[str, Any]) -> str:
    """Say whether a loop grows, as the interval of its radius has it."""
    radius = one["radius"]
    if radius["low"] > 1:
        return "a small compromise grows"
    if radius["high"] is not None and radius["high"] < 1:
        return "a small compromise dies out"
    return "open: the interval holds 1"


def beside(row: Mapping[str, Any]) -> str:
    """Say how a leg of the rounds that were run compares with the forecast."""
    if row["predicted"] is None or not row["leg"]:
        return ""
    if not row["linear"]:
        return "saturated"
    if row["inside"]:
        return "within"
    return "above" if row["excess"] > row["high"] else "below"


def null_or_bent(row: Mapping[str, Any]) -> str:
    """Say of a gain that it may be 0, that its response bends, or nothing."""
    if row["value"] is None:
        return "not measured"
    if row["low"] <= 0 <= row["high"]:
        return "may be 0"
    return "saturates" if row["saturates"] else ""


def facts(step: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return what a leg of the rounds did, by name, with the queries that it took."""
    pairs = list(step["facts"].items())
    return [*pairs, ("queries", step["queries"])] if step["queries"] else pairs
