"""Waivers: a row may exceed one limit up to some bits, until a day, because a person said why.

A waiver raises the limit of one row to ``up_to`` bits, and does nothing else. So a leak that grows
beyond it is over again, and a row that failed, is flagged, or was played weaker than it ships is
inconclusive as without it. It names the row by its id and the limit by its key: there are no
patterns, which would cover rows that nobody has seen.

Days are of UTC, a waiver ends with its last one. The day is the later one of the clock's and that
of the run, so that a clock that was set back makes no waiver valid again for a new run.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from hartley.core.errors import UsageError, did_you_mean
from hartley.core.input_files import LARGEST_TEXT, read_bytes, toml_table
from hartley.core.toml_mistakes import located

AGAINST = "against"
"""The limit of a waiver on the comparison with an earlier run: bits that the row may leak more."""

LONGEST = timedelta(days=366)
"""From the day that a waiver is given to its last day, at most."""

PASSED = "pass"
USED, NOT_NEEDED, NOT_ENOUGH = "used", "not needed", "not enough"
EXPIRED, NOT_YET, UNMATCHED = "expired", "not yet valid", "unmatched"
NO_EFFECT = {
    EXPIRED: "expired on {expires}: it has no effect",
    NOT_YET: "is valid from {granted}: it has no effect",
    UNMATCHED: "names no row that was played and judged by that limit: it has no effect",
    NOT_NEEDED: "is not needed, as the row passes without it",
    NOT_ENOUGH: "is not enough: the row is over or inconclusive in spite of it",
}
"""What is said of a waiver, by what became of it; that of a row is said with the row."""

TEXTS = ("row", "limit", "owner", "reason")
DATES = ("granted", "expires")
KNOWN = (*TEXTS, "up_to", *DATES)


@dataclass(frozen=True, slots=True)
class Waiver:
    """One waiver.

    Attributes:
        row: id of the row.
        limit: key of the limit, as the limits' file writes it, or ``against``.
        up_to: bits, or units of the limit's metric, that the row may have.
        owner: the person who answers for it.
        reason: why.
        granted, expires: its first and its last day.
    """

    row: str
    limit: str
    up_to: float
    owner: str
    reason: str
    granted: date
    expires: date

    @property
    def words(self) -> str:
        """What a reader must know of it."""
        return f"waived up to {self.up_to:g} until {self.expires} by {self.owner}: {self.reason}"

    def on_check(
        self, check: Mapping[str, Any], declared: float, without: str = ""
    ) -> dict[str, Any]:
        """Return a check of the row that it was applied to, which says so.

        Args:
            check: as a verdict carries it.
            declared: the limit without the waiver.
            without: the same in words, where it is not in the unit of ``up_to``.
        """
        state = USED if check["status"] == PASSED else NOT_ENOUGH
        without = without or f"the limit is {declared:g}"
        reason = f"{check['reason']} ({self.words}; without it {without})"
        return {**check, "reason": reason, "waiver": self.dump(state), "declared": declared}

    def dump(self, state: str) -> dict[str, Any]:
        """Return it as a verdict carries it, with what became of it."""
        return {
            "row": self.row,
            "limit": self.limit,
            "up_to": self.up_to,
            "owner": self.owner,
            "reason": self.reason,
            "granted": self.granted.isoformat(),
            "expires": self.expires.isoformat(),
            "state": state,
        }


@dataclass(frozen=True, slots=True)
class Waivers:
    """The waivers of a file, on one day.

    Attributes:
        today: that they are judged on.
        listed: all of them.
    """

    today: date
    listed: tuple[Waiver, ...] = ()

    def on(self, limit: str, row: str) -> Waiver | None:
        """Return the waiver on a row under a limit that is valid today, or None."""
        named = (w for w in self.listed if (w.limit, w.row) == (limit, row))
        return next((w for w in named if w.granted <= self.today <= w.expires), None)

    def dump(self, checks: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
        """Return them as a verdict carries them, each with what became of it.

        Args:
            checks: of the verdict.
        """
        rows = {(str(c["limit"]), str(c.get("row") or "")): c for c in checks}
        return tuple(w.dump(self._state(w, rows.get((w.limit, w.row)))) for w in self.listed)

    def _state(self, waiver: Waiver, check: Mapping[str, Any] | None) -> str:
        if self.today > waiver.expires:
            return EXPIRED
        if self.today < waiver.granted:
            return NOT_YET
        if check is None:
            return UNMATCHED
        if check["status"] != PASSED:
            return NOT_ENOUGH
        return USED if check.get("waiver") else NOT_NEEDED


def without_effect(
    dumped: Iterable[Mapping[str, Any]], checks: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Say of each waiver that lets no row pass why.

    Args:
        dumped: as ``Waivers.dump`` returns them.
        checks: of the verdict.
    """
    listed = list(checks)
    rows = [(str(check["limit"]), str(check.get("row") or "")) for check in listed]
    in_the_row = {pair for pair, check in zip(rows, listed, strict=True) if check.get("waiver")}
    words = []
    for waiver in dumped:
        pair = (waiver["limit"], waiver["row"])
        if waiver["state"] in NO_EFFECT and not (
            waiver["state"] == NOT_ENOUGH and pair in in_the_row
        ):
            what = NO_EFFECT[waiver["state"]].format(**waiver)
            near = [row for limit, row in rows if limit == waiver["limit"]]
            limits = [limit for limit, row in rows if row == waiver["row"]]
            hint = did_you_mean(waiver["row"], near) or did_you_mean(waiver["limit"], limits)
            hint = hint if waiver["state"] == UNMATCHED else ""
            words.append(
                f"the waiver of {waiver['row']} under {waiver['limit']} by {waiver['owner']} "
                f"{what}{hint}"
            )
    return words


def read_waivers(path: Path, document: Mapping[str, Any], today: date | None = None) -> Waivers:
    """Return the waivers in a TOML file.

    Args:
        path: the file, with tables ``[[waiver]]``.
        document: the run that is judged.
        today: the day of the clock, of UTC, unless given.

    Raises:
        UsageError: the file cannot be read, or a waiver lacks an owner, a reason or an end, ends
            more than a year after it was given, or is given twice.
    """
    raw = read_bytes(path, "the waivers", UsageError, LARGEST_TEXT)
    try:
        text = raw.decode("utf-8")
        content = toml_table(text)
    except UnicodeDecodeError:
        raise UsageError(f"{path} must be UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {located(str(error), text)}") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    entries = content.get("waiver")
    if set(content) - {"waiver"} or not isinstance(entries, list) or not entries:
        raise UsageError(f"{path} must have tables [[waiver]] and nothing else")
    listed: dict[tuple[str, str], Waiver] = {}
    for number, entry in enumerate(entries, 1):
        waiver = _waiver(f"{path}, waiver {number}", entry)
        key = (waiver.limit, waiver.row)
        if key in listed:
            raise UsageError(f"{path}, waiver {number}: one row and limit must have one waiver")
        listed[key] = waiver
    clock = datetime.now(UTC).date() if today is None else today
    return Waivers(max([clock, *_days(document)]), tuple(listed.values()))


def _days(document: Mapping[str, Any]) -> Iterator[date]:
    """Yield the days on which a run was begun and finished."""
    for name in ("created", "finished"):
        try:
            yield datetime.fromisoformat(str(document.get(name))).astimezone(UTC).date()
        except ValueError:
            continue


def _waiver(place: str, entry: Any) -> Waiver:
    if not isinstance(entry, dict):
        raise UsageError(f"{place} must be a table")
    for key in entry:
        if key not in KNOWN:
            hint = did_you_mean(key, KNOWN) or f"; it has {', '.join(KNOWN)}"
            raise UsageError(f"{place} must not have {key!r}{hint}")
    for key in TEXTS:
        value = entry.get(key)
        text = value if isinstance(value, str) else ""
        # Signs that nobody sees name nobody, and give no reason.
        says = any(map(str.isalnum, text)) or (text.strip() and key in ("row", "limit"))
        if not says or len(text.splitlines()) > 1:
            raise UsageError(f"{place} must have {key} = a text of one line, got {value!r}")
    for key in DATES:
        value = entry.get(key)
        if not isinstance(value, date) or isinstance(value, datetime):
            bare = " without quotes" if isinstance(value, str) else ""
            day = f"a day such as 2027-01-31{bare}"
            raise UsageError(f"{place} must have {key} = {day}, got {value!r}")
    up_to: Any = entry.get("up_to")
    number = isinstance(up_to, int | float) and not isinstance(up_to, bool)
    if not number or not 0 < up_to < float("inf"):
        raise UsageError(f"{place} must have up_to = a number above 0, got {up_to!r}")
    if not timedelta(0) <= entry["expires"] - entry["granted"] <= LONGEST:
        raise UsageError(
            f"{place} must expire within {LONGEST.days} days after granted, got "
            f"{entry['granted']} and {entry['expires']}"
        )
    return Waiver(**{key: entry[key] for key in KNOWN})
