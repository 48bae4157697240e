"""The gate: compare intervals with limits. There are three verdicts, and it fails closed.

A limit speaks about a class (``inversion``), one of its games (``link_inference``), an attack
(``attack:lira``) or an axis (``axis:model_to_data``), in Shannon bits per use; with ``.metric``
behind it, about a usual metric of those rows (``membership.tpr_at_fpr_1e2``), where larger must
mean worse for the owner.

===============  ==============================================================================
pass             the upper end of every interval (or its proved ceiling) is within the limit
over             a certified lower bound is above the limit
inconclusive     an interval straddles the limit, or something the limit speaks about is not known:
                 failed, missing, not installed, flagged by its null arm, or without an upper end
===============  ==============================================================================

An attack that the scene cannot carry (another modality, no such part, no such access) or that the
plan leaves out, does not count against its class as long as another attack of the class was
measured; a limit that names it, or a class of which nothing was measured, is inconclusive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from hartley import catalog
from hartley.core.errors import UnknownName, UsageError
from hartley.core.taxonomy import Axis
from hartley.reference.schema import baseline_rows

PASS, OVER, INCONCLUSIVE = "pass", "over", "inconclusive"
EXIT = {PASS: 0, OVER: 1, INCONCLUSIVE: 3}
CARRIED = ("modality", "scene", "access", "plan")
"""Causes of a skipped row that are not a fault of the run; ``install`` is a fault of it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict and its reasons; ``checks`` has one entry for each row that a limit covers."""

    status: str
    reasons: tuple[str, ...]
    checks: tuple[Mapping[str, Any], ...] = ()

    @property
    def code(self) -> int:
        """The exit code."""
        return EXIT[self.status]


def judge(document: Mapping[str, Any], limits: Mapping[str, float]) -> Verdict:
    """Compare a run document with limits.

    Without limits nothing can be over: the verdict is ``pass`` when every row that was to be
    measured was, else ``inconclusive``.
    """
    document = {**document, "channels": baseline_rows(document)}
    checks = [check for key, limit in limits.items() for check in _checks(document, key, limit)]
    violated = [
        {"status": INCONCLUSIVE, "reason": f"{_label(row)} {row['status']}: {row['reason']}"}
        for row in document["channels"]
        if row["status"] == "failed" or (row["status"] == "skipped" and not row.get("reason"))
    ]
    if not limits and not any(row["status"] == "measured" for row in document["channels"]):
        violated.append({"status": INCONCLUSIVE, "reason": "nothing was measured"})
    everything: list[Mapping[str, Any]] = [*checks, *violated]
    statuses = {check["status"] for check in everything}
    status = next((s for s in (OVER, INCONCLUSIVE) if s in statuses), PASS)
    reasons = [c["reason"] for c in everything if c["status"] == OVER]
    reasons += [c["reason"] for c in everything if c["status"] == INCONCLUSIVE]
    if not limits:
        reasons.append("no limits were set, so nothing was compared with a limit")
    elif status == PASS:
        reasons += [c["reason"] for c in checks]
    return Verdict(status, tuple(dict.fromkeys(reasons)), tuple(checks))


def _checks(document: Mapping[str, Any], key: str, limit: float) -> Iterator[Mapping[str, Any]]:
    subject, _, metric = key.partition(".")
    rows = [row for row in document["channels"] if _speaks(subject, row)]
    played_rows = [
        row for row in rows if row["status"] != "skipped" or row.get("cause") not in CARRIED
    ]
    if not any(row["status"] == "measured" for row in rows):
        why = "; ".join(f"{_label(row)}: {row.get('reason')}" for row in rows[:3])
        reason = f"{key}: nothing was measured" + (f" ({why})" if why else "")
        yield {"limit": key, "at": limit, "status": INCONCLUSIVE, "reason": reason}
    for row in played_rows:
        status, reason = _row(row, metric, limit)
        yield {
            "limit": key,
            "at": limit,
            "attack": row["attack"],
            "row": row["id"],
            "status": status,
            "reason": f"{key}: {_label(row)} {reason}",
        }


def _row(row: Mapping[str, Any], metric: str, limit: float) -> tuple[str, str]:
    if row["status"] != "measured":
        return INCONCLUSIVE, f"{row['status']}: {row.get('reason') or 'no reason given'}"
    if row.get("flags"):
        return INCONCLUSIVE, "is flagged: " + "; ".join(row["flags"])
    low, ends, unit = _metric(row, metric) if metric else _bits(row)
    if low is not None and low > limit:
        return OVER, f"is at least {low:.4g}{unit}, over the limit {limit:g}"
    if not ends:
        lack = (
            f"metric {metric!r}" if metric and metric not in row.get("metrics", {}) else "upper end"
        )
        return INCONCLUSIVE, f"has no {lack} to compare with the limit {limit:g}"
    high = min(ends)
    if high <= limit:
        return PASS, f"is at most {high:.4g}{unit}, within the limit {limit:g}"
    shown_low = "?" if low is None else f"{low:.4g}"
    return INCONCLUSIVE, f"lies in [{shown_low}, {high:.4g}]{unit}, across the limit {limit:g}"


def _bits(row: Mapping[str, Any]) -> tuple[float | None, list[float], str]:
    bits = row["bits"]
    ends = [end for end in (bits.get("high"), row.get("ceiling")) if end is not None]
    return bits.get("low"), ends, " bit"


def _metric(row: Mapping[str, Any], metric: str) -> tuple[float | None, list[float], str]:
    value = row.get("metrics", {}).get(metric)
    if not isinstance(value, Mapping):  # a bare number has no interval, so it settles nothing
        return None, [], f" {metric}"
    high = value.get("high")
    return value.get("low"), [] if high is None else [high], f" {metric}"


def _speaks(subject: str, row: Mapping[str, Any]) -> bool:
    kind, _, name = subject.rpartition(":")
    if kind == "attack":
        # A row of several stages is of each attack in it.
        stages = (row.get("experiment") or {}).get("stages") or ()
        return name in {row["attack"], *(stage["attack"] for stage in stages)}
    if row.get("game") == "" and row["status"] == "failed":
        return True  # an attack that cannot even be read may be of any class
    # Rows of version 1 carry no class: there a class had one game, of its own name.
    named = {**row, "class": row.get("class", row.get("game"))}
    return name in [named.get(field) for field in ((kind,) if kind else ("class", "game"))]


def _label(row: Mapping[str, Any]) -> str:
    return f"{row['attack']}"


def check_metrics(document: Mapping[str, Any], limits: Iterable[str]) -> None:
    """Check that the rows which a limit covers have the metric that it names.

    A limit of which no row was measured passes this check: the metrics of its rows are not known.

    Raises:
        UsageError: rows were measured, and none has a metric of that name.
    """
    for key in limits:
        subject, _, metric = key.partition(".")
        rows = [r for r in baseline_rows(document) if _speaks(subject, r)]
        metrics = [set(r.get("metrics") or {}) for r in rows if r["status"] == "measured"]
        if not metric or not metrics or metric in (names := set().union(*metrics)):
            continue
        near = sorted(n for n in names if metric in n) or get_close_matches(metric, sorted(names))
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has: {_names(names)}"
        raise UsageError(f"{subject} has no metric named {metric!r}; {hint}")


def _names(known: Iterable[str]) -> str:
    return ", ".join(sorted(known)) or "none"


def check_limit(key: str) -> None:
    """Check that the key of a limit names something that exists.

    Raises:
        UnknownName: it is not the name of a class, game, attack or axis.
    """
    subject, _, _ = key.partition(".")
    kind, _, name = subject.rpartition(":")
    if kind == "axis":
        if name not in set(Axis):
            raise UnknownName("axis", name, list(Axis))
    elif kind == "attack":
        attacks = [e.name for e in catalog.entries("attack") if e.kind == "attack"]
        if name not in attacks:
            raise UnknownName("attack", name, attacks)
    else:
        classes = set(catalog.classes())
        games = {e.name for e in catalog.entries("game") if e.kind == "game"}
        named = {"": classes | games, "class": classes, "game": games}.get(kind, set())
        if name not in named:
            near = (named or classes | games) | {f"axis:{a}" for a in Axis}
            raise UnknownName("class", subject, near)
