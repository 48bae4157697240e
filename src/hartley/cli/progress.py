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
from hartley.program.progress import (
    Lines,
    Reasons,
    building,
    duration,
    healed,
    not_forked,
    not_resumable,
    time_left,
    training,
)

Watch = Callable[[str, Mapping[str, Any]], None]
LINES = 6
"""Things that are played at a time, each on a line of its own above the bar, at most."""


@contextmanager
def watching(*, verbose: bool = False) -> Iterator[Watch]:
    """Yield the function that the engine calls with each event; it writes to standard error.

    Args:
        verbose: say also why workers are started anew instead of being forked.
    """
    if not lively(sys.stderr):
        yield Lines(note, verbose=verbose).on_event
        return
    bars = _board()
    others = set(threading.enumerate())
    with bars:
        drawing = set(threading.enumerate()) - others
        yield _Bars(bars, drawing, verbose=verbose).on_event


def _board() -> Any:
    """Return rich's bar, with a line above it for each thing that is played.

    Beside the bar two attacks and the models that they train leave no room for the times.
    """
    from rich.console import Console, RenderableType
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text

    class Board(Progress):
        playing: tuple[str, ...] = ()

        def get_renderables(self) -> Iterator[RenderableType]:
            texts = list(self.playing[:LINES])
            if len(self.playing) > LINES:
                texts.append(f"and {len(self.playing) - LINES} more")
            for text in texts:
                yield Text(one_line(text), no_wrap=True, overflow="ellipsis")
            yield from super().get_renderables()

    return Board(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=Console(stderr=True),
        transient=True,
    )


def _shown(text: str) -> str:
    """Return text that a bar shows as it is: without marks of rich's and control characters."""
    from rich.markup import escape

    return escape(one_line(text))


class _Bars:
    """The one bar of a run, and above it what is being played."""

    def __init__(
        self, bars: Any, drawing: Iterable[threading.Thread] = (), *, verbose: bool = False
    ) -> None:
        self.drawing, self.verbose = drawing, verbose
        self.bars, self.task, self.playing = bars, None, dict[str, str]()
        self.clock, self.began = time.monotonic, time.monotonic()
        self.training, self.choices = dict[str, str](), set[str]()
        self.reasons = Reasons()

    def on_event(self, event: str, facts: Mapping[str, Any]) -> None:
        if event == "scene":
            title = _shown(building(facts["name"]))
            self.task = self.bars.add_task(title, total=None, left="so far")
        elif event in ("forking", "forked"):
            self._fork(event, facts)
        elif event in ("not resumable", "healed"):
            words = healed if event == "healed" else not_resumable
            self.bars.console.print(_shown(words(facts)))
        elif event == "jobs":
            self.bars.update(self.task, total=facts["total"], completed=facts["kept"])
            self.began = self.clock()
        elif event == "started":
            self.playing[facts["job"].key] = facts["job"].words()
        elif event in ("training", "chosen"):
            self._train(event, facts)
        elif event == "ended":
            self._end(facts)
        elif event == "measuring":
            self.bars.update(self.task, description="measuring")
        if self.playing:
            self.bars.update(self.task, description="playing")
        self.bars.playing = tuple(
            words + self.training.get(key, "") for key, words in self.playing.items()
        )

    def _fork(self, event: str, facts: Mapping[str, Any]) -> None:
        """Leave the engine alone with one thread, as long as it makes a copy of this process."""
        if event == "forking":
            self.bars.stop()
            for thread in self.drawing:
                thread.join()
            return
        self.bars.start()
        if facts["reason"] and self.verbose:
            self.bars.console.print(_shown(not_forked(facts)))

    def _train(self, event: str, facts: Mapping[str, Any]) -> None:
        if event == "training":
            self.training[facts["job"].key] = f": {training(facts)}"
        elif facts["words"] not in self.choices:
            self.choices.add(facts["words"])  # every worker comes to the same
            self.bars.console.print(_shown(facts["words"]))

    def _end(self, facts: Mapping[str, Any]) -> None:
        for texts in (self.playing, self.training):
            texts.pop(facts["job"].key, None)
        self.bars.advance(self.task)
        seconds = time_left(self.clock() - self.began, facts.get("share") or 0.0)
        left = "so far" if seconds is None else f"so far, about {duration(seconds)} left"
        self.bars.update(self.task, left=left)
        if facts["status"] == "failed":
            why = _shown(self.reasons.once(facts))
            self.bars.console.print(f"[red]failed[/red] {_shown(facts['job'].words())}{why}")


def lines_of_training() -> Callable[[Any, Mapping[str, Any]], None]:
    """Return what writes a line now and then about the models that one attack trains."""
    lines = Lines(note)

    def on_news(job: Any, news: Mapping[str, Any]) -> None:
        lines.on_event("chosen" if "words" in news else "training", {"job": job, **news})

    return on_news
