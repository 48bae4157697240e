"""The gate: compare intervals with limits. There are three verdicts, and it fails closed.

A limit speaks about a class (``inversion``), one of its games (``link_inference``), an attack
(``attack:lira``) or an axis (``axis:model_to_data``), in Shannon bits per use; with ``.metric``
behind it, about a usual metric of those rows (``membership.tpr_at_fpr_1e2``), where larger must
mean worse for the owner.

===============  ==============================================================================
pass             the upper end of every interval (or its proved ceiling) is within the limit
over             a certified lower bound is above the limit at the level of all checks together
inconclusive     an interval straddles the limit, or something the limit speaks about is not known:
                 failed, missing, not installed, flagged by its null arm, or without an upper end;
                 or a row is above its limit alone, and not at the level of all checks
===============  ==============================================================================

*Over* is decided at family level: were every channel within its limits, a run would be over with
chance at most alpha, however many checks its plan has and however they depend on each other. A row
gives lower bounds at falling alpha (``lows``), so the p-value of "at most the limit" is the least
of those alpha whose lower bound is above the limit, and Holm's procedure (1979) runs over them.
*Pass* needs no such correction: a run passes only if every upper end is within its limit, so a
channel above its limit must fool its own upper end (an intersection–union test).

A limit is passed by the attacks that ship, as they ship: every attack that it covers and that the
scene can carry must be measured with at least its shipped settings (``departures``), at an alpha of
at most 0.05. A plan that leaves attacks out, or plays them weaker, is inconclusive until the limits
say what is enough (``least``). An attack that the scene cannot carry (another modality, no such
part, no such access) does not count against its class as long as another one was measured. Limits
on metrics that no run can break (``largest_values``) do not make a pass alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf
from typing import Any

from hartley import catalog
from hartley.channel.trials.split_quality import unsettling
from hartley.core.errors import UnknownName, UsageError
from hartley.core.taxonomy import Axis
from hartley.engine.result.departures import declared
from hartley.engine.result.enough import (
    absent_attacks,
    alpha_of,
    departures_in_words,
    loose_alpha,
    other_scene,
    shortfalls,
    spared,
    with_departures,
)
from hartley.engine.result.largest_values import largest
from hartley.engine.result.least import ALPHA, Least
from hartley.engine.result.waivers import AGAINST, Waiver, Waivers, without_effect
from hartley.reference.schema import baseline_rows

PASS, OVER, INCONCLUSIVE = "pass", "over", "inconclusive"
EXIT = {PASS: 0, OVER: 1, INCONCLUSIVE: 3}
CARRIED = ("modality", "scene", "access", "plan")
"""Causes of a skipped row that are not a fault of the run; ``install`` is a fault of it."""

BESIDE = {
    **dict.fromkeys(("epsilon", "epsilon_lower"), "epsilon"),
    **dict.fromkeys(("min_capacity", "leakage"), "min_capacity"),
}
"""Quantities besides bits that a row certifies from below, by their names in a limit."""
IN_WORDS = {"epsilon": "ε", "min_capacity": "bit of min-capacity"}
NEVER = (
    "a limit on {} can be over and is never passed, since attacks bound it from below alone: for a "
    "pass leave it out, which the other limits decide"
)

IDLE = (
    "no run can break any of these limits, so that a pass would say nothing: at least one must be "
    "below the largest value that its quantity can have"
)

SHIPPED = Least()
"""What counts where the limits state nothing: everything that ships, as it ships."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict and its reasons.

    Attributes:
        status: ``pass``, ``over`` or ``inconclusive``.
        reasons: in words.
        checks: one entry for each row that a limit covers.
        level: alpha of "over" over all checks together; None where nothing was tested.
        tested: how many checks that level is shared among. Two limits on one quantity of one row
            count once: its lower bounds hold for both.
        strict: whether a pass had to count what victims who showed nothing could hide.
        departures: in words, whatever was played otherwise than it ships, weaker or with fewer
            trials, also where no limit is about it.
        looks: how many looks the plan declares; ``level`` is that of one of them.
        against: the comparison with the run of the last release; None where there was none.
        waivers: that were given, with what became of each.
    """

    status: str
    reasons: tuple[str, ...]
    checks: tuple[Mapping[str, Any], ...] = ()
    level: float | None = None
    tested: int = 0
    strict: bool = False
    departures: tuple[str, ...] = ()
    looks: int = 1
    against: Mapping[str, Any] | None = None
    waivers: tuple[Mapping[str, Any], ...] = ()

    @property
    def code(self) -> int:
        """The exit code."""
        return EXIT[self.status]

    def dump(self) -> dict[str, Any]:
        """Return the verdict as a run document carries it."""
        return {
            "status": self.status,
            "reasons": list(self.reasons),
            "checks": [dict(check) for check in self.checks],
            "level": self.level,
            "tested": self.tested,
            "strict": self.strict,
            "departures": list(self.departures),
            **({"looks": self.looks} if self.looks > 1 else {}),
            **({} if self.against is None else {"against": dict(self.against)}),
            **({"waivers": [dict(w) for w in self.waivers]} if self.waivers else {}),
        }


@dataclass(frozen=True, slots=True)
class _Check:
    """One row against one limit; without an interval it is settled by its ``reason``.

    Attributes:
        key, limit, row, metric: what is compared with what.
        lows: (alpha, certified lower bound) pairs, alpha falling.
        ends: upper ends, of which the least counts.
        unit: of the numbers, in words.
        level: alpha of the row's own interval.
        reason: why it is inconclusive whatever its numbers say, or an empty string.
        short: why it is not a pass although its numbers are within the limit, or an empty string.
        least: that no attack can bound the quantity from above, or an empty string.
        other_unit: that the limit is about another unit than the row, or an empty string.
        waiver: that raised the limit of this row, if any.
        declared: the limit without it.
    """

    key: str
    limit: float
    row: Mapping[str, Any] | None
    metric: str = ""
    lows: tuple[tuple[float, float], ...] = ()
    ends: tuple[float, ...] = ()
    unit: str = ""
    level: float = ALPHA
    reason: str = ""
    short: str = ""
    least: str = ""
    other_unit: str = ""
    waiver: Waiver | None = None
    declared: float = 0.0

    @property
    def channel(self) -> tuple[str, str]:
        """The row and the quantity that its lower bounds are of."""
        return ("" if self.row is None else self.row["id"], self.metric)

    @property
    def p_value(self) -> float:
        """The least alpha whose lower bound, as all those before it, is above the limit; or 1."""
        p = 1.0
        if not self.reason:
            for alpha, low in self.lows:
                if low <= self.limit:
                    break
                p = alpha
        return p


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a pass asks besides numbers within limits.

    Attributes:
        strict: whether it counts what victims who showed nothing could hide.
        least: what must have been played.
        other_scene: why the scene is not the one that the limits are about, or an empty string.
        waivers: that raise limits of single rows, if any.
    """

    strict: bool
    least: Least
    other_scene: str
    waivers: Waivers | None = None


def judge(
    document: Mapping[str, Any],
    limits: Mapping[str, float],
    *,
    strict: bool = False,
    least: Least = SHIPPED,
    scene: Mapping[str, Any] | None = None,
    waivers: Waivers | None = None,
) -> Verdict:
    """Compare a run document with limits.

    Without limits nothing can be over: the verdict is ``pass`` when every row that was to be
    measured was, else ``inconclusive``.

    Args:
        document: the run document, or a mapping with its ``channels``.
        limits: the largest allowed value by what the limit speaks about.
        strict: a row passes only if also what victims who showed nothing could hide
            (``bits.hidden``) is within its limit.
        least: what must have been played for a pass.
        scene: parameters of the scene that the limits are about; None where they do not name it,
            so that it must be the shipped one.
        waivers: that raise limits of single rows.
    """
    # Limits hold without defenses; but a row that crashed behind one was to be measured too.
    defended = [
        {**row, "attack": row["id"]}
        for row in document["channels"]
        if not row.get("baseline", True) and row["status"] == "failed"
    ]
    document = {**document, "channels": [with_departures(r) for r in baseline_rows(document)]}
    terms = _Terms(strict, least, other_scene(document, scene), waivers)
    compared = [
        check
        for key, limit in limits.items()
        for check in _compare(document, key, limit, terms)
        if not (check.other_unit and _of_its_own(check, limits))
    ]
    tested = [c for c in compared if c.lows]
    level = min((c.level for c in tested), default=None)
    level = None if level is None else min(level, ALPHA)
    over = set() if level is None else _holm(compared, level)
    channels = len({c.channel for c in tested})
    checks = [_settled(c, i in over, channels, strict) for i, c in enumerate(compared)]
    violated = [
        {"status": INCONCLUSIVE, "reason": f"{_label(row)} {row['status']}: {row['reason']}"}
        for row in [*document["channels"], *defended]
        if row["status"] == "failed" or (row["status"] == "skipped" and not row.get("reason"))
    ]
    if any(c.metric for c in compared) and all(map(_unbreakable, compared)):
        violated.append({"status": INCONCLUSIVE, "reason": IDLE})
    measured = any(row["status"] == "measured" for row in document["channels"])
    if not limits and not measured and not _looped(document):
        violated.append({"status": INCONCLUSIVE, "reason": "nothing was measured"})
    everything: list[Mapping[str, Any]] = [*checks, *violated]
    statuses = {check["status"] for check in everything}
    status = next((s for s in (OVER, INCONCLUSIVE) if s in statuses), PASS)
    reasons = [c["reason"] for c in everything if c["status"] == OVER]
    reasons += [c["reason"] for c in everything if c["status"] == INCONCLUSIVE]
    reasons += [c["reason"] for c in checks if c["status"] == PASS]
    if not limits:
        reasons.append("no limits were set, so nothing was compared with a limit")
    given = waivers.dump(checks) if waivers else ()
    reasons += without_effect((w for w in given if w["limit"] != AGAINST), checks)
    if looks := document.get("looks"):
        reasons.append(look_in_words(looks))
    return Verdict(
        status,
        tuple(dict.fromkeys(reasons)),
        tuple(checks),
        level,
        channels,
        strict,
        tuple(departures_in_words(document)),
        len(looks["rounds"]) if looks else 1,
        waivers=given,
    )


def look_in_words(looks: Mapping[str, Any]) -> str:
    """Say at which of its declared looks a run was judged, and what that costs."""
    rounds, look = looks["rounds"], looks["look"]
    return (
        f"judged at look {look} of {len(rounds)}, after {rounds[look - 1]} rounds; every look that "
        "the plan declares has an equal share of alpha"
    )


def _looped(document: Mapping[str, Any]) -> bool:
    """Whether a closed loop was measured, which has gains and no bits."""
    return any(loop.get("radius") is not None for loop in document.get("loops") or ())


def _holm(checks: Sequence[_Check], level: float) -> set[int]:
    """Return the indices of the checks that are over by Holm's procedure (1979) at ``level``.

    The level is shared among the channels that have lower bounds and are not over all their limits
    yet. Limits on one channel are nested: the first false "over" of a channel is at its least limit
    that holds, which its lower bounds fail with chance at most alpha, so that it counts once.
    A flagged row settles nothing, and still counts: whether it is flagged depends on its numbers.
    """
    over: set[int] = set()
    while True:
        rest = [i for i, check in enumerate(checks) if check.lows and i not in over]
        share = level / max(1, len({checks[i].channel for i in rest}))
        more = {i for i in rest if checks[i].p_value <= share}
        if not more:
            return over
        over |= more


def _compare(
    document: Mapping[str, Any], key: str, limit: float, terms: _Terms
) -> Iterator[_Check]:
    subject, _, metric = key.partition(".")
    metric = BESIDE.get(metric, metric)
    rows = [row for row in document["channels"] if speaks(subject, row)]
    needed = {name for name in terms.least.attacks if covers(subject, name)}
    played_rows = [
        row
        for row in rows
        if row["status"] != "skipped"
        or (row.get("cause") not in CARRIED and not spared(row, needed))
    ]
    if not any(row["status"] == "measured" for row in rows):
        why = "; ".join(f"{_label(row)}: {row.get('reason')}" for row in rows[:3])
        if not rows and any(not row.get("class") for row in document["channels"]):
            why = "a row without a class is not about it; measure it again with --class"
        reason = "nothing was measured" + (f" ({why})" if why else "")
        yield _Check(key, limit, None, reason=reason)
    elif reason := absent_attacks(rows, needed, subject, document):
        yield _Check(key, limit, None, reason=reason)
    shorts = shortfalls(rows, needed, terms.least)
    declared_limit = limit
    for row in played_rows:
        if row["status"] != "measured":
            reason = f"{row['status']}: {row.get('reason') or 'no reason given'}"
            yield _Check(key, declared_limit, row, metric, reason=reason)
            continue
        lows, ends, unit = _metric(row, metric) if metric else _bits(row, terms.strict)
        waiver = terms.waivers.on(key, row["id"]) if terms.waivers else None
        if waiver is not None and not declared_limit < min(waiver.up_to, min(ends, default=inf)):
            waiver = None  # it asks for no more than the limit, or the row is within the limit
        limit = declared_limit if waiver is None else waiver.up_to
        other = other_unit(subject, row, rows)
        if other:
            # It is never over a limit on something else, and only a pass where it is within it.
            shown_low = f"{lows[0][1]:.4g}" if lows else "?"
            unit = f"{unit} per {row['unit']}"
            own_key = f"attack:{row['attack']}" + f".{metric}" * bool(metric)
            other = (
                f"reads at least {shown_low}{unit}, and {other}: give it a limit of its own, "
                f'"{own_key}" = …'
            )
            lows = []
        # The least lower bound that is above the limit: a blind baseline must not explain it.
        above = min((low for _, low in lows if low > limit), default=None)
        flags = "; ".join(unsettling(row, limit, above, in_bits=not metric))
        outside = min(ends, default=inf) > limit
        yield _Check(
            key=key,
            limit=limit,
            row=row,
            metric=metric,
            lows=tuple(lows),
            ends=tuple(ends),
            unit=unit,
            level=alpha_of(row),
            least=NEVER.format(IN_WORDS[metric].removeprefix("bit of "))
            if lows and metric in IN_WORDS
            else "",
            reason=f"is flagged: {flags}" if flags else other if outside else "",
            other_unit=other,
            short=terms.other_scene or loose_alpha(row, terms.least) or shorts.get(row["id"], ""),
            waiver=waiver,
            declared=declared_limit,
        )


def _of_its_own(check: _Check, limits: Iterable[str]) -> bool:
    """Whether a row of another unit has a limit that names it, on the same quantity."""
    assert check.row is not None
    named = (key.partition(".") for key in limits)
    return any(
        subject == f"attack:{check.row['attack']}" and BESIDE.get(metric, metric) == check.metric
        for subject, _, metric in named
    )


def other_unit(subject: str, row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Say which unit a limit is about where a row is about another, or nothing.

    A limit on a class or a game is about the unit of the game, such as a record. An attack may
    play the game in another, such as a set of documents, of which a bit is something else. What a
    plan orders for all rows of a game, such as groups, is the unit of its limits too.

    Args:
        subject: of the limit.
        row: that it covers.
        rows: all that it covers.
    """
    game = declared("game", str(row.get("game") or ""))
    usual, unit = getattr(game, "unit", ""), row.get("unit")
    if subject.startswith("attack:") or not unit or not usual or unit == usual:
        return ""
    alike = [r for r in rows if r["status"] == "measured" and r.get("game") == row.get("game")]
    chosen = getattr(declared("attack", row["attack"]), "game_params", {})
    if usual not in {r.get("unit") for r in alike} and not chosen:
        return ""
    return f"the limit is about a {usual}"


def _settled(check: _Check, over: bool, tested: int, strict: bool) -> dict[str, Any]:
    """Return the entry of ``checks``: what was compared, its status and the reason in words."""
    entry = {"limit": check.key, "at": check.limit}
    if check.row is None:
        return entry | {"status": INCONCLUSIVE, "reason": f"{check.key}: {check.reason}"}
    status, reason = _answer(check, over, tested, strict)
    entry |= {
        "attack": check.row["attack"],
        "row": check.row["id"],
        "status": status,
        "reason": f"{check.key}: {_label(check.row)} {reason}",
        "p": check.p_value if check.lows else None,
    }
    return entry if check.waiver is None else check.waiver.on_check(entry, check.declared)


def _answer(check: _Check, over: bool, tested: int, strict: bool) -> tuple[str, str]:
    if check.reason:
        return INCONCLUSIVE, check.reason
    limit, unit = check.limit, check.unit
    low = check.lows[0][1] if check.lows else None
    family = f"at the level of all {tested} checks"
    if over:
        at_family = f" {family}" if tested > 1 else ""
        return OVER, f"is at least {low:.4g}{unit}, over the limit {limit:g}{at_family}"
    if low is not None and low > limit:
        reason = (
            f"is above the limit {limit:g} alone (at least {low:.4g}{unit} at "
            f"{100 * (1 - check.level):.4g} %), not {family}"
        )
        lack = "; its lower bound is known at one level only"
        lack += "" if check.metric else ": measure the run again"
        return INCONCLUSIVE, reason + (lack if len(check.lows) < 2 else "")
    assert check.row is not None
    if not check.ends:
        reason = f"has no {_lack(check, strict)} to compare with the limit {limit:g}"
        if check.least:
            reason = f"is at least {low:.4g}{unit}, below the limit {limit:g}; {check.least}"
        return INCONCLUSIVE, reason
    high = min(check.ends)
    if high <= limit:
        within = f"is at most {high:.4g}{unit}, within the limit {limit:g}"
        alone = None if check.metric else check.row["bits"].get("high")
        if strict and alone is not None and alone < high:
            hidden = f"{_units(check.row)} that showed nothing could hide that much"
            within += f" (strict: {hidden}; its upper end is {alone:.4g})"
        short = f", but {check.short}" if check.short else ""
        idle = f"; {words}" if (words := _unbreakable(check)) else ""
        return INCONCLUSIVE if short else PASS, within + (short or idle)
    shown_low = "?" if low is None else f"{low:.4g}"
    bits = {} if check.metric else check.row["bits"]
    alone, hint = bits.get("high"), ""
    if strict and alone is not None and alone <= limit:
        hint = f" (strict: {_units(check.row)} that showed nothing could hide that much)"
    if (most := bits.get("certifiable")) is not None and most <= limit:
        hint += f"; {_units(check.row)} can certify at most {most:.4g}{unit}"
    reason = f"lies in [{shown_low}, {high:.4g}]{unit}, across the limit {limit:g}{hint}"
    return INCONCLUSIVE, reason


def _unbreakable(check: _Check) -> str:
    """Say why no run can break a limit, or an empty string."""
    top = None if check.row is None else largest(check.row, check.metric)
    if top is None or check.limit < top:
        return ""
    place = "above" if check.limit > top else "at"
    what = f"the largest value of {check.metric}," if check.metric else "the ceiling"
    return f"the limit {check.limit:g} is {place} {what} {top:.4g}: it can never be broken"


def _lack(check: _Check, strict: bool) -> str:
    assert check.row is not None
    if check.metric and check.metric not in check.row.get("metrics", {}):
        return f"metric {check.metric!r}"
    if strict and not check.metric and check.row["bits"].get("high") is not None:
        return "figure of what uses that showed nothing could hide (strict)"
    return "upper end"


def _units(row: Mapping[str, Any]) -> str:
    clusters, n = row.get("clusters"), row.get("n")
    return f"{n} uses" if clusters in (None, n) else f"{clusters} clusters"


def _bits(
    row: Mapping[str, Any], strict: bool
) -> tuple[list[tuple[float, float]], list[float], str]:
    bits = row["bits"]
    high = bits.get("high")
    if strict and high is not None:
        hidden = bits.get("hidden")
        high = None if hidden is None else max(high, hidden)
    ends = [end for end in (high, row.get("ceiling")) if end is not None]
    return _lows(bits, alpha_of(row)), ends, " bit"


def _metric(
    row: Mapping[str, Any], metric: str
) -> tuple[list[tuple[float, float]], list[float], str]:
    if known := (row.get("beside") or {}).get(metric):
        high = known.get("high")
        return _lows(known, alpha_of(row)), [] if high is None else [high], f" {IN_WORDS[metric]}"
    value = row.get("metrics", {}).get(metric)
    if not isinstance(value, Mapping):  # a bare number has no interval, so it settles nothing
        return [], [], f" {metric}"
    high = value.get("high")
    return _lows(value, alpha_of(row)), [] if high is None else [high], f" {metric}"


def _lows(value: Mapping[str, Any], alpha: float) -> list[tuple[float, float]]:
    """Return the lower bounds by falling alpha; a row of an older run has one."""
    if pairs := value.get("lows"):
        return sorted(((float(a), float(low)) for a, low in pairs), reverse=True)
    low = value.get("low")
    return [] if low is None else [(alpha, low)]


def speaks(subject: str, row: Mapping[str, Any]) -> bool:
    """Whether a limit on ``subject`` (class, game, attack:NAME or axis:NAME) covers a row."""
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


def covers(subject: str, attack: str) -> bool:
    """Whether a limit on ``subject`` covers an attack of the catalogue."""
    entry = next((e for e in catalog.entries("attack") if e.name == attack), None)
    if entry is None:
        return False
    fields = {"attack": attack, "game": entry.game, "class": entry.cls, "axis": entry.axis}
    return speaks(subject, {**fields, "status": "skipped"})


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
        rows = [r for r in baseline_rows(document) if speaks(subject, r)]
        metrics = [_limitable(r) for r in rows if r["status"] == "measured"]
        if not metric or not metrics or metric in (names := set().union(*metrics)):
            continue
        near = sorted(n for n in names if metric in n) or get_close_matches(metric, sorted(names))
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has: {_names(names)}"
        raise UsageError(f"{subject} has no metric named {metric!r}; {hint}")


def _limitable(row: Mapping[str, Any]) -> set[str]:
    """The names of what a limit can be about besides the bits of a row."""
    beside = {name for name, key in BESIDE.items() if key in (row.get("beside") or {})}
    return beside | set(row.get("metrics") or {})


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
        if not kind and any(
            e.name == name and e.kind == "attack" for e in catalog.entries("attack")
        ):
            raise UsageError(f'{name!r} is an attack; write its limit as "attack:{key}"')
        if name not in named:
            near = (named or classes | games) | {f"axis:{a}" for a in Axis}
            raise UnknownName("class", subject, near)
