"""What the numbers of a loop mean, in words that the command and the reports share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MEANING = (
    "ρ counts compromised assets for each compromised asset and leg. It creates no information: "
    "what leaks of one secret stays below its entropy. What can grow is how much of an asset is "
    "reached."
)


def ring_of(one: Mapping[str, Any]) -> int:
    """Return how many legs the ring has; further legs of a loop are chords."""
    return len(one["path"]) - 1


def steps_of(one: Mapping[str, Any]) -> dict[tuple[int, str], list[Mapping[str, Any]]]:
    """Return what the legs of the rounds did, by step and the asset that they made anew."""
    steps: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
    for step in one["trace"]:
        steps.setdefault(step_key(step, step["to"]), []).append(step)
    return steps


def step_key(row: Mapping[str, Any], asset: str) -> tuple[int, str]:
    """Return what joins legs with the row that they led to: the step and the asset.

    Of a run from before there were chords the round: a ring passes each asset once in it.
    """
    return row.get("step", row["round"]), asset


def verdict(one: Mapping[str, Any]) -> str:
    """Say whether a loop grows near 0, as the interval of its radius has it."""
    radius = one["radius"]
    if radius["low"] > 1:
        return "by its gains a small compromise grows"
    if radius["high"] is not None and radius["high"] < 1:
        return "by its gains a small compromise dies out"
    return "open by its gains: the interval holds 1"


def rounds_say(one: Mapping[str, Any]) -> str:
    """Say what the rounds that were run did, which may be other than what the gains predict."""
    change, rows = one["change"], one["rounds"]
    if change["low"] > 0:
        word = "grew"
    elif change["high"] < 0:
        word = "fell"
    else:
        word = "neither grew nor fell beyond chance"
    return (
        f"in {rows[-1]['round']} rounds that were run the share of {rows[0]['asset']} above that "
        f"of an untouched loop {word}: {rows[0]['excess']:.3f} → {rows[-1]['excess']:.3f}, "
        f"change {change['value']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]"
    )


def beside(row: Mapping[str, Any]) -> str:
    """Say how a leg of the rounds that were run compares with the forecast."""
    if row["predicted"] is None or not row["leg"]:
        return ""
    if not row["linear"]:
        return "saturated"
    if row["inside"]:
        return "within"
    return "above" if row["excess"] > row["high"] else "below"


def owner_by_owner(row: Mapping[str, Any], digits: int = 3) -> str:
    """Return the forecast that follows each owner, and that the rounds are beside it if they are.

    Empty of a run from before owners were followed.
    """
    followed = row.get("by_owners")
    if followed is None:
        return ""
    value, low, high = (f"{followed[end]:.{digits}f}" for end in ("value", "low", "high"))
    word = "" if followed["inside"] else ", the rounds differ"
    return f"{value} [{low}, {high}]{word}"


def null_or_bent(row: Mapping[str, Any]) -> str:
    """Say of a gain that it may be 0, that its response bends, or nothing."""
    if row["value"] is None:
        return "not measured"
    if row["low"] <= 0 <= row["high"]:
        return "may be 0"
    if not row["saturates"]:
        return ""
    return "saturates" if row["bend"][0] < 0 else "steepens"


def facts(steps: Iterable[Mapping[str, Any]]) -> list[tuple[str, float]]:
    """Return what legs of the rounds did, by name, with the queries that each took."""
    return [
        pair
        for step in steps
        for pair in (
            *step["facts"].items(),
            *([("queries", step["queries"])] if step["queries"] else []),
        )
    ]


def cut_words(one: Mapping[str, Any]) -> str:
    """Say which leg to cut, each having been tried."""
    cut = one["cut"]
    if cut is None:
        return "none, nothing goes round"
    narrow, tied = cut["narrowest"], len(cut["tied"])
    if tied > 1:
        ends = "opens the ring" if ring_of(one) == len(one["legs"]) else "ends every way round"
        return (
            f"any of {tied} legs {ends if cut['radius'] <= 0 else 'slows it alike'}; the narrowest "
            f"is {' → '.join(narrow['edge'])} (× {narrow['gain']:.2f}), in {narrow['share']:.0%} "
            "of resamples"
        )
    rest = "" if cut["radius"] > 0 else ", without which nothing goes round"
    return f"{' → '.join(cut['edge'])}{rest}, in {cut['share']:.0%} of resamples"


def once_round(one: Mapping[str, Any]) -> str:
    """Say over which way the gain of a loop is: once round a ring, or as many legs as it has."""
    legs = ring_of(one)
    return "once round" if legs == len(one["legs"]) else f"in {legs} legs"


def settings_say(one: Mapping[str, Any]) -> str:
    """Say what the attackers of a loop chose in front of a defense; empty where there was none."""
    rows = one.get("settings") or ()
    if not rows:
        return ""
    parts = []
    for row in rows:
        tried = [each for each in row["tried"] if each["left"] is not None]
        if not row["tried"]:
            parts.append(f"{row['attack']} declares no other setting")
        elif not tried:
            parts.append(f"{row['attack']} as it is, since no setting could be played")
        else:
            words = ", ".join(f"{name} = {value}" for name, value in row["setting"].items())
            best = max(each["left"] for each in tried)
            usual = row["tried"][0]["left"]
            than = "as it is" if usual is None else f"{usual:.3f} as it is"
            parts.append(
                f"{row['attack']} {words} of {len(row['tried'])} settings "
                f"(leaves {best:.3f}; {than})"
            )
    return (
        f"settings that the attackers chose on {rows[0]['owners']} owners who are not measured, "
        f"leg by leg: {'; '.join(parts)}"
    )
