"""What goes on while a model is audited, a line for each event; and the words of it.

The command line writes these lines into a file or a pipe, a program where somebody looks on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from hartley.core.control_characters import one_line

Write = Callable[[str], object]

APART = 10.0
"""Seconds between two lines about the models that are trained."""


class Lines:
    """One line for each event, for a file, a pipe or a notebook."""

    def __init__(
        self,
        write: Write,
        clock: Callable[[], float] = time.monotonic,
        *,
        verbose: bool = False,
    ) -> None:
        self.verbose = verbose
        self.write = write
        self.reasons, self.clock = Reasons(), clock
        self.total, self.ended, self.began = 0, 0, clock()
        self.latest, self.choices = self.began, set[str]()

    def on_event(self, event: str, facts: Mapping[str, Any]) -> None:
        """Write the line of an event of ``engine.assess``."""
        if event == "scene":
            self.write(building(facts["name"]))
        elif event == "not resumable":
            self.write(not_resumable(facts))
        elif event == "forked" and facts["reason"] and self.verbose:
            self.write(not_forked(facts))
        elif event == "healed":
            self.write(healed(facts))
        elif event == "jobs":
            already_done = f", {facts['kept']} of them already done" if facts["kept"] else ""
            jobs = f"{facts['total']} job{'' if facts['total'] == 1 else 's'}"
            self.write(f"run {facts['run']}: {jobs}{already_done}{expected(facts)}")
            self.total, self.ended, self.began = facts["total"] - facts["kept"], 0, self.clock()
            self.latest = self.began
        elif event == "training":
            self._train(facts)
        elif event == "chosen" and facts["words"] not in self.choices:
            self.choices.add(facts["words"])  # every worker comes to the same
            self.write(f"  {facts['words']}")
        elif event == "ended":
            line = f"{facts['status']:7} {facts['job'].words()} ({facts['seconds']:.1f} s)"
            self.ended += 1
            self.write(f"  {line}{self._left(facts.get('share'))}{self.reasons.once(facts)}")
        elif event == "kept":
            self.write(
                f"run {facts['run']} is complete; these are its results (--fresh plays it again)"
            )

    def _train(self, facts: Mapping[str, Any]) -> None:
        """Say which model is trained, but seldom: a file of a long run must stay readable."""
        now = self.clock()
        if now - self.latest >= APART:
            self.latest = now
            self.write(f"  {facts['job'].words()}: {training(facts)}")

    def _left(self, share: float | None) -> str:
        """Say how many jobs are left, and about how long they take."""
        left = self.total - self.ended
        if left <= 0:
            return ""
        share = self.ended / self.total if share is None else share
        seconds = time_left(self.clock() - self.began, share)
        return f"; {left} left" + ("" if seconds is None else f", about {duration(seconds)}")


def time_left(elapsed: float, share: float) -> float | None:
    """Return the seconds that the rest of a run takes, if it goes on as until now.

    Args:
        elapsed: seconds since it began.
        share: of its work that is done, 0..1, as ``engine.plan.work`` judges it.
    """
    return elapsed * (1 - share) / share if share > 0 else None


def expected(facts: Mapping[str, Any]) -> str:
    """Say what the jobs of a run are expected to take, where something is known of that."""
    seconds = facts.get("seconds")
    if seconds is None or seconds < 60:
        return ""
    return f"; about {duration(seconds)} of processor time are left by what is known of such jobs"


def duration(seconds: float) -> str:
    """Write a rough time in the unit that suits it."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1.0, seconds):.0f} s"


def training(facts: Mapping[str, Any]) -> str:
    """Say which model is trained and how long the rest takes: reference 17 of 64, 3 min 20 s left.

    The first of them shows how long they take.
    """
    left = "" if facts["left"] is None else f", {precise(facts['left'])} left"
    return f"{facts['what']} {facts['number']} of {facts['of']}{left}"


def precise(seconds: float) -> str:
    """Write a time in the two units that suit it."""
    whole = max(1, round(seconds))
    for large, size, small, part in (("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {large} {whole % size // part} {small}"
    return f"{whole} s"


def not_resumable(facts: Mapping[str, Any]) -> str:
    """Say that a run is not continued, and how it would be."""
    return (
        f"the scene {facts['name']} is not resumable, because its model declares no identity: "
        "every run starts from the beginning (of an endpoint, --revision VERSION gives it one)"
    )


def not_forked(facts: Mapping[str, Any]) -> str:
    """Say why workers are started anew."""
    return f"workers are started one by one instead of being forked: {facts['reason']}"


def building(name: str) -> str:
    """Say what is built first; a model of the user's own is read, whatever the scene is called."""
    return (
        "reading your model and data" if name.startswith("own_") else f"building the scene {name}"
    )


def healed(facts: Mapping[str, Any]) -> str:
    """Say what was damaged in a run, and is made again."""
    return f"run {facts['run']}: {facts['reason']}"


class Reasons:
    """Why jobs were skipped or failed; a reason that many jobs share is written out once."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def once(self, facts: Mapping[str, Any]) -> str:
        """Return the reason of an event, to follow its line; of the second alike that it is."""
        reason = facts.get("reason")
        if not reason:
            return ""
        repeated = reason in self.seen
        self.seen.add(reason)
        return ": for the same reason" if repeated else f": {reason}"


def looked_at() -> bool:
    """Whether somebody looks on: standard error is a terminal, or the program is a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def to_stderr(line: str) -> None:
    """Write a line of a program's audit, whose arguments have names of Python."""
    from hartley.program.wording import in_python

    words = in_python(line).replace("--fresh plays", "fresh=True plays")
    sys.stderr.write(one_line(words) + "\n")
    sys.stderr.flush()
