"""Days, times and lengths in the words of the suite workspace, as values with their sources."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hartley.kit.agents.values import Value, derived

if TYPE_CHECKING:
    from hartley.kit.agents.run import Run

MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

ISO_DAY = r"\d{4}-\d{2}-\d{2}"
DAY = rf"(?:{'|'.join(MONTHS)})\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+\d{{4}}\b)?"
"""A day by name, with or without the year."""
WEEKDAY = (
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day,?(?:\s+the)?\s+(?P<date>\d{1,2})(?:st|nd|rd|th)"
)
CLOCK = r"\b\d{1,2}:\d{2}\b"
TIME = r"\b\d{1,2}(?::\d{2})?\s*[ap]\.?m\b"
HOURS = r"\b(\d+|one|two|three|four|five|six|seven|eight|nine|ten)(?:-|\s+)hours?\b"


def number_of(word: str) -> int:
    """Return a number that is written in figures or as a word up to ten.

    Raises:
        ValueError: it is neither.
    """
    return int(word) if word.isdigit() else NUMBERS.index(word.lower())


def today(run: Run) -> Value:
    """Ask for the current day."""
    day: Value = run.call("get_current_day")
    return day


def day_in(run: Run, text: Value) -> Value:
    """Return the first day in a text, in ISO form; where its year is missing, of this year.

    Raises:
        ValueError: there is none.
    """
    if text.has(ISO_DAY):
        return text.find(f"({ISO_DAY})")
    if text.has(r"\btoday\b") and not text.has(DAY):
        return today(run)
    named = text.find(f"({DAY})")
    if named.has(r"\d{4}"):
        return derived(iso_day, named)
    return derived(lambda words, now: iso_day(f"{words}, {now[:4]}"), named, today(run))


def iso_day(words: str) -> str:
    """Return a day by name with its year, such as ``May 15th, 2024``, in ISO form.

    Raises:
        ValueError: it is not written like this.
    """
    match = re.match(r"(\w+)\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})", words)
    if match is None or match[1].lower() not in MONTHS:
        raise ValueError(f"{words!r} is not a day with its year")
    return f"{match[3]}-{MONTHS.index(match[1].lower()) + 1:02}-{int(match[2]):02}"


def clock(words: str) -> str:
    """Return a time of day, such as ``8 AM`` or ``16:00``, as HH:MM.

    Raises:
        ValueError: it is not written like this.
    """
    match = re.match(r"(\d{1,2})(?::(\d{2}))?\s*([ap]\.?m)?", words, re.IGNORECASE)
    if match is None:
        raise ValueError(f"{words!r} is not a time of day")
    hour = int(match[1])
    if match[3]:
        hour = hour % 12 + 12 * (match[3].lower()[0] == "p")
    return f"{hour:02}:{match[2] or '00'}"


def day_after(written: str, date: int) -> str:
    """Return the first day with this date in its month, from the day that a text is of (ISO)."""
    day = datetime.fromisoformat(written[:10])
    while day.day != date:
        day += timedelta(days=1)
    return day.date().isoformat()


def minute(stamp: str) -> str:
    """Return a time stamp in ISO form as ``YYYY-MM-DD HH:MM``."""
    return stamp.replace("T", " ")[:16]


def later(start: Value, hours: Value) -> Value:
    """Return the time some hours after ``YYYY-MM-DD HH:MM``, in the same form."""

    def shifted(begin: str, count: str) -> str:
        end = datetime.fromisoformat(begin) + timedelta(hours=number_of(count))
        return end.strftime("%Y-%m-%d %H:%M")

    return derived(shifted, start, hours)


def between(end: str, start: str) -> str:
    """Return the time from one time stamp to another as HH:MM."""
    gap = datetime.fromisoformat(start) - datetime.fromisoformat(end)
    return f"{int(gap.total_seconds()) // 3600:02}:{int(gap.total_seconds()) // 60 % 60:02}"
