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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from hartley.core.errors import UsageError, did_you_mean
from hartley.core.toml_mistakes import located

AGAINST = "against"
"""The limit of a waiver on the comparison with an earlier run: bits that the row may leak more."""

LONGEST = timedelta(days=366)
"""From the day that a waiver is given to its last day, at most."""

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


@dataclass(slots=True)
class Waivers:
    """The waivers of a file, on one day.

    Attributes:
        today: that they are judged on.
        listed: all of them.
        used: (limit, row) of those that raised a limit.
    """

    today: date
    listed: tuple[Waiver, ...] = ()
    used: set[tuple[str, str]] = field(default_factory=set)

    def on(self, limit: str, row: str) -> Waiver | None:
        """Return the waiver on a row under a limit that is valid today, or None."""
        for waiver in self.listed:
            if (waiver.limit, waiver.row) == (limit, row) and self.is_valid(waiver):
                self.used.add((limit, row))
                return waiver
        return None

    def is_valid(self, waiver: Waiver) -> bool:
        """Whether a waiver is valid today."""
        return waiver.granted <= self.today <= waiver.expires

    def states(self) -> Iterator[tuple[Waiver, str]]:
        """Yield each waiver with what became of it: used, expired, not yet valid or unmatched."""
        for waiver in self.listed:
            if self.today > waiver.expires:
                yield waiver, "expired"
            elif self.today < waiver.granted:
                yield waiver, "not yet valid"
            else:
                used = (waiver.limit, waiver.row) in self.used
                yield waiver, "used" if used else "unmatched"

    def notes(self) -> list[str]:
        """Say of each waiver that has no effect why."""
        words = {
            "expired": "expired on {0.expires}",
            "not yet valid": "is valid from {0.granted}, and the day is {1}",
            "unmatched": "matches no measured row under a limit of that key",
        }
        return [
            f"the waiver of {waiver.row} under {waiver.limit} by {waiver.owner} "
            f"{words[state].format(waiver, self.today)}: it has no effect"
            for waiver, state in self.states()
            if state in words
        ]

    def dump(self) -> list[dict[str, Any]]:
        """Return them as a verdict carries them."""
        return [waiver.dump(state) for waiver, state in self.states()]


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
    try:
        text = path.read_text("utf-8")
        content = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} must be UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {located(str(error), text)}") from None
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
    return Waivers(max(clock, *_days(document), clock), tuple(listed.values()))


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
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            raise UsageError(f"{place} must have {key} = a text of one line, got {value!r}")
    for key in DATES:
        value = entry.get(key)
        if not isinstance(value, date) or isinstance(value, datetime):
            raise UsageError(f"{place} must have {key} = a day such as 2027-01-31, got {value!r}")
    up_to: Any = entry.get("up_to")
    number = isinstance(up_to, int | float) and not isinstance(up_to, bool)
    if not number or not 0 < up_to < float("inf"):
        raise UsageError(f"{place} must have up_to = a number above 0, got {up_to!r}")
    if not entry["granted"] <= entry["expires"] <= entry["granted"] + LONGEST:
        raise UsageError(
            f"{place} must expire within {LONGEST.days} days after granted, got "
            f"{entry['granted']} and {entry['expires']}"
        )
    return Waiver(**{key: entry[key] for key in KNOWN})
