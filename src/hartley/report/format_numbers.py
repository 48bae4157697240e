"""How numbers are written: never without the interval and the count that belong to them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from hartley.reference.schema import UNASKED, verdict_of, waived

NOTHING = "–"

AXIS_TITLES = {
    "data_to_data": "data → data",
    "data_to_model": "data → model",
    "model_to_data": "model → data",
    "model_to_model": "model → model",
}

VERDICTS = {
    "pass": ("Pass", "every upper end is within its limit"),
    "over": (
        "Over the limit",
        "a lower bound is above its limit at the level of all checks",
    ),
    "inconclusive": ("Inconclusive", "what was not settled does not count as safe"),
}

VERDICTS_AGAINST = {
    "pass": ("Pass", "no row got worse than in the earlier run, and every given limit is kept"),
    "over": (
        "Worse or over the limit",
        "a row leaks more than in the earlier run, or a lower bound is above its limit",
    ),
    "inconclusive": VERDICTS["inconclusive"],
}
"""The same where a run was compared with an earlier one."""

MEANS = {
    "pass": "if any channel that was measured moved more bits than its limit through its readers, "
    "the run would pass with chance at most {alpha}; a pass says nothing about attacks that were "
    "not played",
    "over": "if every channel were within its limits, the run would be over with chance at most "
    "{alpha}, however many limits the plan has",
    "inconclusive": "neither a pass nor over was shown: more trials, or what is missing, settle it",
    UNASKED: "without limits nothing passes or fails",
}
"""What each verdict means, in one sentence that every format prints (``docs/gate.md``)."""

AGAINST_MEANS = {
    "pass": "no row leaks more than the margin more than in the earlier run, each at 95 %, and "
    "every limit that was given is kept; a pass says nothing about attacks that were not played",
    "over": "a row leaks more than in the earlier run, or more than a limit; were neither so, each "
    "of the two questions would be answered so with chance at most 5 %, over all its rows",
    "inconclusive": MEANS["inconclusive"],
}
"""The same where a run was compared with an earlier one."""

EXACT = {
    "chance": "by design",
    "epsilon_delta": "by choice",
    "epsilon_lower": "certified bound",
    "epsilon_lower_gaussian": "certified bound, assuming a Gaussian trade-off family",
    "mu_lower": "certified bound",
    "log2_e": "valid at the end",
    "anytime_p": "valid at any time",
}
"""Metrics without an interval: fixed in advance, or one end of an interval themselves."""

TITLES = {
    "log2_e": "log₂ of the e-value",
    "anytime_p": "anytime-valid p",
    "bits_one_threshold": "bits of the best threshold",
}
"""Names of usual metrics that their words alone do not give."""

ACRONYMS = {"auc", "tpr", "fpr", "asr", "ber", "cer", "psnr", "snr", "ssim", "db", "roc", "f1"}

NO_LIMITS = (
    "No limits were set",
    "nothing was held against a limit, so nothing can be over one; read the bits themselves",
)


def verdict_words(verdict: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return (tone, title, one sentence) of a verdict.

    A run without limits does not say Pass.
    """
    status = verdict_of(verdict)
    if status == UNASKED:
        return ("neutral", *NO_LIMITS)
    if status in VERDICTS:
        title, words = (VERDICTS_AGAINST if verdict.get("against") else VERDICTS)[status]
        if also := waived(verdict):
            title = f"{title}, {also}"
            words += "; where one is waived, within what the waiver allows" * (status == "pass")
        return status, title, words
    return "inconclusive", status, "a verdict that this Hartley does not know"


DEPARTED = "Played otherwise than shipped"
"""The heading of the departures of a verdict, in every format."""


def meaning(verdict: Mapping[str, Any]) -> str:
    """Return what a verdict means, in one sentence; empty for one that is not known."""
    also = f"; save for {words}" if (words := waived(verdict)) else ""
    if verdict.get("against"):
        return AGAINST_MEANS.get(verdict_of(verdict), "") + also
    words = MEANS.get(verdict_of(verdict), "")
    looks = verdict.get("looks") or 1
    alpha = (verdict.get("level") or 0.05 / looks) * looks
    over_looks = f" over all its {looks} looks" if looks > 1 else ""
    return words.format(alpha=f"{100 * alpha:.4g} %{over_looks}") + also


def waiver_words(waiver: Mapping[str, Any]) -> str:
    """Say of which row a waiver is, who answers for it, and what became of it."""
    return (
        f"{waiver['state']}: {waiver['row']} under {waiver['limit']} up to {waiver['up_to']:g} "
        f"until {waiver['expires']} by {waiver['owner']}: {waiver['reason']}"
    )


def judged(verdict: Mapping[str, Any]) -> str:
    """Write what a verdict was made with after the run; empty for that of the run's own plan."""
    facts = verdict.get("judged")
    if not isinstance(facts, Mapping):
        return ""
    against = (verdict.get("against") or {}).get("first", {}).get("id")
    digest = str(facts.get("limits_sha256", ""))[:12]
    given = [f"with {facts['limits']} (SHA-256 {digest})"] if facts.get("limits") else []
    given += [f"with the waivers of {facts['waivers']}"] if facts.get("waivers") else []
    given += [f"against {against}"] if against else []
    return f"judged {' and '.join(given)} at {facts.get('time')}"


ROLES = {
    "tap": "what reaches the attacker",
    "inject": "what the attacker gets through",
    "jam": "what the attack destroys",
}


def number(value: Any, digits: int = 3) -> str:
    """Write a number for a person: about three figures, thin groups, a dash for nothing."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "NaN"
    size = abs(value)
    if isinstance(value, int) or (size >= 1000 and value == round(value)):
        text = f"{value:,.0f}".replace(",", "\u202f")
    elif size >= 1e5 or 0 < size < 10 ** -(digits + 1):
        text = f"{value:.2e}"
    elif 0 < size < 10**-digits:
        text = f"{value:.{digits + 1}f}"  # as ``bits`` does: not 0.000 beside [0.0004, 0.0004]
    else:
        places = max(0, digits - max(0, math.floor(math.log10(size)))) if size >= 1 else digits
        text = f"{value:,.{places}f}".replace(",", "\u202f")
    return text.replace("-", "−")


def bits(value: Any) -> str:
    """Write bits: three decimals, a fourth for small values, never a power of ten."""
    if not isinstance(value, int | float) or not math.isfinite(value) or abs(value) >= 1e-3:
        return number(value)
    return number(0.0) if abs(value) < 5e-5 else f"{value:.4f}".replace("-", "−")


def span(low: Any, high: Any) -> str:
    """Write an interval; an absent end is written out."""
    if low is None and high is None:
        return "no interval"
    if high is None:
        return f"≥ {bits(low)}"
    if low is None:
        return f"≤ {bits(high)}"
    return f"[{bits(low)}, {bits(high)}]"


def quantity(value: Any) -> tuple[str, str]:
    """Return (number, interval and count) of a metric: a float, or {value, low, high, n}."""
    if not isinstance(value, Mapping):
        return number(value), "no interval"
    point = value.get("value", value.get("point"))
    words = span(value.get("low"), value.get("high"))
    if value.get("n") is not None:
        words += f", n {number(int(value['n']))}"
    return number(point), words


def figure(value: Any) -> str:
    """Write a figure with its interval where it has one: a number, or {value, low, high, n}."""
    if not isinstance(value, Mapping):
        return number(value)
    if value.get("low") is None and value.get("high") is None:
        return number(value.get("value"))
    return " ".join(quantity(value))


def usual(name: str, value: Any) -> tuple[str, str]:
    """Return (number, words) of a usual metric: its interval, or what it has in its place."""
    if name in EXACT:
        return number(value.get("value") if isinstance(value, Mapping) else value), EXACT[name]
    return quantity(value)


def count(n: Any, one: str, many: str = "") -> str:
    """Write a count with its noun, for example ``16 clusters``."""
    return f"{number(n)} {one}" if n == 1 else f"{number(n)} {many or one + 's'}"


def level(alpha: float | None) -> str:
    """Write the level of one end of an interval: ``95 %`` at an alpha of 0.05, the default."""
    return f"{100 * (1 - (alpha or 0.05)):.4g} %"


def units(row: Mapping[str, Any]) -> str:
    """Say in how many clusters the uses of a row are; empty where each is independent."""
    clusters = row.get("clusters")
    return "" if clusters in (None, row.get("n")) else f"in {count(clusters, 'cluster')}"


def params(values: Mapping[str, Any] | None) -> str:
    """Write parameters as ``name=value``, in their order."""
    return ", ".join(f"{key}={value}" for key, value in (values or {}).items())


def played_params(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a row, with the reference models that it trained.

    A scene may order fewer than the attack asks for, or leave out those that add little; what the
    attack was allowed is beside it.
    """
    values = dict(row.get("params") or {})
    allowed, trained = values.get("references"), (row.get("cost") or {}).get("models")
    if isinstance(allowed, int) and trained is not None:
        number_trained = round(trained * (row.get("rounds") or 1))
        if number_trained < allowed:
            values["references"] = f"{number_trained} of at most {allowed}"
    return values


def tuning(record: Mapping[str, Any] | None) -> str:
    """Write how a setting was chosen: which, out of how many, what each read, what trying cost."""
    if not record:
        return ""
    tries = [f"{params(tried['setting'])}: {_tried(tried)}" for tried in record["tried"]]
    cost = f"{number(record['queries'])} queries and {number(record['seconds'], 2)} s"
    return (
        f"{params(record['setting'])}, of {len(tries)} settings on "
        f"{count(record['rounds'], 'round')} that are not measured, for {cost} "
        f"({'; '.join(tries)})"
    )


def tuned(chosen: Mapping[str, Any] | None) -> str:
    """Write what an adaptive attacker chose, for the cell of what it read."""
    if not chosen:
        return ""
    there = "" if chosen["bits"] is None else f", {bits(chosen['bits'])} bit there"
    return (
        f"with {params(chosen['setting'])} (best of {chosen['settings']} settings on "
        f"{count(chosen['rounds'], 'tuning round')}{there})"
    )


def _tried(attempt: Mapping[str, Any]) -> str:
    if attempt["bits"] is None:
        return f"not playable, {attempt['reason']}"
    return f"{bits(attempt['bits'])} bit"


def plain(name: str) -> str:
    """Write a name of a metric or a class for a person."""
    return name.replace("_", " ")


def metric(name: str) -> str:
    """Write the name of a usual metric: acronyms as such, rates in percent."""
    if name in TITLES:
        return TITLES[name]
    if match := re.fullmatch(r"tpr_at_fpr_1e(\d)", name):
        return f"TPR at {10 ** (2 - int(match[1])):g} % FPR"
    return " ".join(w.upper() if w in ACRONYMS else w for w in name.split("_"))


def bits_line(channel: Mapping[str, Any]) -> str:
    """Write one measured channel's bits in a line of text."""
    interval = channel["bits"]
    return (
        f"{bits(interval.get('point'))} bit per {channel.get('unit') or 'use'} "
        f"{span(interval.get('low'), interval.get('high'))}, n {number(channel.get('n'))}"
    )


def share(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the share of the secret's entropy with its interval, and what the secret is one of.

    A run that was measured before shares were written has neither.
    """
    shares = row["bits"].get("share")
    if not shares:
        return NOTHING, ""
    ends = [shares.get("low"), shares.get("high")]
    words = "" if None in ends else f" [{', '.join(map(percent, ends))}]"
    return percent(shares["point"]) + words, f"1 in {number(row.get('alphabet'))}"


ROUND_OFF = 1e-12
"""Shares below it are 0, computed in floating point."""


def percent(value: float) -> str:
    """Write a share in percent, with enough digits that small ones are not 0."""
    value = 0.0 if abs(value) < ROUND_OFF else value
    return f"{100 * value:.3g}%" if value < 0.1 else f"{100 * value:.0f}%"


def widest(channels: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the channel with the highest certified share of its secret, or None.

    Bits of unlike uses cannot be ranked: half of one bit is more of a secret than one of ten bits.
    Where two certify alike the point decides.
    A row that its null arm flags is not a measurement, and a row with an added defense is not a
    headline.
    """
    measured = [
        c
        for c in channels
        if c["status"] == "measured"
        and not c.get("flags")
        # Defenses that the owner has deployed are part of what is measured.
        and c.get("baseline", c.get("knowledge") in (None, "none"))
    ]
    return max(measured, key=_shares, default=None)


def certified_share(row: Mapping[str, Any]) -> tuple[int, float]:
    """Return how many candidates a row's secret has, and the certified share of its entropy."""
    candidates = max(2, row.get("alphabet") or 2)
    low = row["bits"].get("low") or 0.0
    return candidates, min(1.0, max(0.0, low / math.log2(candidates)))


def low_of_all(value: Mapping[str, Any], rows: int, alpha: float = 0.05) -> float | None:
    """Return a lower end at the level of this many rows together; None where it is not known."""
    pairs = value.get("lows") or ()
    return max((low for level, low in pairs if level <= alpha / rows * (1 + 1e-9)), default=None)


def highest(intervals: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the largest upper end; None where one is not known.

    Whichever of the quantities is the largest, this is above its own end. Its interval alone would
    not do: the one whose point is the largest need not be it.
    """
    ends = [interval.get("high") for interval in intervals]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def sentence(words: str) -> str:
    """Write a clause as a sentence."""
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _shares(channel: Mapping[str, Any]) -> tuple[float, float]:
    bits_of_row = channel["bits"]
    entropy = math.log2(max(2, channel.get("alphabet") or 2))
    low, point = bits_of_row.get("low"), bits_of_row.get("point")
    return -1.0 if low is None else low / entropy, (point or 0.0) / entropy
