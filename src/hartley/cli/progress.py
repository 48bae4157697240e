"""Progress of long work: bars in a terminal, single lines in a file or a pipe."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hartley.cli.terminal import lively, note
from hartley.core.control_characters import one_line

Watch = Callable[[str, Mapping[str, Any]], None]


@contextmanager
def watching(*, verbose: bool = False) -> Iterator[Watch]:
    """Yield the function that the engine calls with each event; it writes to standard error.

    Args:
        verbose: say also why workers are started anew instead of being forked.
    """
    if not lively(sys.stderr):
        yield _Lines(verbose=verbose).on_event
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    others = set(threading.enumerate())
    with bars:
        drawing = set(threading.enumerate()) - others
        yield _Bars(bars, drawing, verbose=verbose).on_event


def _shown(text: str) -> str:
    """Return text that a bar shows as it is: without marks of rich's and control characters."""
    from rich.markup import escape

    return escape(one_line(text))


class _Bars:
    """The one bar of a run, and what is being played."""

    def __init__(
        self, bars: Any, drawing: Iterable[threading.Thread] = (), *, verbose: bool = False
    ) -> None:
        self.drawing, self.verbose = drawing, verbose
        self.bars, self.task, self.playing = bars, None, dict[str, str]()
        self.training, self.choices = dict[str, str](), set[str]()
        self.reasons = _Reasons()

    def on_event(self, event: str, facts: Mapping[str, Any]) -> None:
        if event == "scene":
            self.task = self.bars.add_task(_shown(_building(facts["name"])), total=None)
        elif event in ("forking", "forked"):
            self._fork(event, facts)
        elif event in ("not resumable", "healed"):
            words = _healed if event == "healed" else _not_resumable
            self.bars.console.print(_shown(words(facts)))
        elif event == "jobs":
            self.bars.update(self.task, total=facts["total"], completed=facts["kept"])
        elif event == "started":
            self.playing[facts["job"].key] = facts["job"].words()
        elif event in ("training", "chosen"):
            self._train(event, facts)
        elif event == "ended":
            self._end(facts)
        elif event == "measuring":
            self.bars.update(self.task, description="measuring")
        if self.playing:
            texts = (words + self.training.get(key, "") for key, words in self.playing.items())
            self.bars.update(self.task, description=_shown(", ".join(texts)))

    def _fork(self, event: str, facts: Mapping[str, Any]) -> None:
        """Leave the engine alone with one thread, as long as it makes a copy of this process."""
        if event == "forking":
            self.bars.stop()
            for thread in self.drawing:
                thread.join()
            return
        self.bars.start()
        if facts["reason"] and self.verbose:
            self.bars.console.print(_shown(_not_forked(facts)))

    def _train(self, event: str, facts: Mapping[str, Any]) -> None:
        if event == "training":
            self.training[facts["job"].key] = f": {_training(facts)}"
        elif facts["words"] not in self.choices:
            self.choices.add(facts["words"])  # every worker comes to the same
            self.bars.console.print(_shown(facts["words"]))

    def _end(self, facts: Mapping[str, Any]) -> None:
        for texts in (self.playing, self.training):
            texts.pop(facts["job"].key, None)
        self.bars.advance(self.task)
        if facts["status"] == "failed":
            why = _shown(self.reasons.once(facts))
            self.bars.console.print(f"[red]failed[/red] {_shown(facts['job'].words())}{why}")


APART = 10.0
"""Seconds between two lines about the models that are trained."""


class _Lines:
    """One line for each event, for a file or a pipe."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, verbose: bool = False
    ) -> None:
        self.verbose = verbose
        self.reasons, self.clock = _Reasons(), clock
        self.total, self.ended, self.began = 0, 0, clock()
        self.latest, self.choices = self.began, set[str]()

    def on_event(self, event: str, facts: Mapping[str, Any]) -> None:
        if event == "scene":
            note(_building(facts["name"]))
        elif event == "not resumable":
            note(_not_resumable(facts))
        elif event == "forked" and facts["reason"] and self.verbose:
            note(_not_forked(facts))
        elif event == "healed":
            note(_healed(facts))
        elif event == "jobs":
            already_done = f", {facts['kept']} of them already done" if facts["kept"] else ""
            note(f"run {facts['run']}: {facts['total']} jobs{already_done}")
            self.total, self.ended, self.began = facts["total"] - facts["kept"], 0, self.clock()
            self.latest = self.began
        elif event == "training":
            self._train(facts)
        elif event == "chosen" and facts["words"] not in self.choices:
            self.choices.add(facts["words"])  # every worker comes to the same
            note(f"  {facts['words']}")
        elif event == "ended":
            line = f"{facts['status']:7} {facts['job'].words()} ({facts['seconds']:.1f} s)"
            self.ended += 1
            note(f"  {line}{self._left()}{self.reasons.once(facts)}")
        elif event == "kept":
            note(f"run {facts['run']} is complete; these are its results (--fresh plays it again)")

    def _train(self, facts: Mapping[str, Any]) -> None:
        """Say which model is trained, but seldom: a file of a long run must stay readable."""
        now = self.clock()
        if now - self.latest >= APART:
            self.latest = now
            note(f"  {facts['job'].words()}: {_training(facts)}")

    def _left(self) -> str:
        """Say how many jobs are left and about how long they take, as long as those before."""
        left = self.total - self.ended
        if left <= 0:
            return ""
        seconds = (self.clock() - self.began) / self.ended * left
        return f"; {left} left, about {duration(seconds)}"


def duration(seconds: float) -> str:
    """Write a rough time in the unit that suits it."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1.0, seconds):.0f} s"


def lines_of_training() -> Callable[[Any, Mapping[str, Any]], None]:
    """Return what writes a line now and then about the models that one attack trains."""
    lines = _Lines()

    def on_news(job: Any, news: Mapping[str, Any]) -> None:
        lines.on_event("chosen" if "words" in news else "training", {"job": job, **news})

    return on_news


def _training(facts: Mapping[str, Any]) -> str:
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


def _not_resumable(facts: Mapping[str, Any]) -> str:
    return (
        f"the scene {facts['name']} is not resumable, because its model declares no identity: "
        "every run starts from the beginning (of an endpoint, --revision VERSION gives it one)"
    )


def _not_forked(facts: Mapping[str, Any]) -> str:
    return f"workers are started one by one instead of being forked: {facts['reason']}"


def _building(name: str) -> str:
    """Say what is built first; a model of the user's own is read, whatever the scene is called."""
    return (
        "reading your model and data" if name.startswith("own_") else f"building the scene {name}"
    )


def _healed(facts: Mapping[str, Any]) -> str:
    return f"run {facts['run']}: {facts['reason']}"


class _Reasons:
    """Why jobs were skipped or failed; a reason that many jobs share is written out once."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def once(self, facts: Mapping[str, Any]) -> str:
        reason = facts.get("reason")
        if not reason:
            return ""
        repeated = reason in self.seen
        self.seen.add(reason)
        return ": for the same reason" if repeated else f": {reason}"
