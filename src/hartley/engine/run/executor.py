"""Play experiments in this process, or spread them over local worker processes.

Workers are forked of a process that holds the scene (``fork_server``), or started fresh where there
is none. They run on one thread each, with the thread limits set before numpy is imported, and each
in a session of its own: a Ctrl-C reaches only this process, which then ends them. A worker that
dies (segmentation fault, ``os._exit``), takes longer or more memory than allowed, or answers what
is not a result fails the one experiment it was playing; a new worker goes on with the rest. So does
one after a failure, and after a part of a plugin, which may have changed anything in its process.
Seeds come from names, so the results do not depend on who played what.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hartley import catalog
from hartley.core import Experiment, Scene
from hartley.core.errors import HartleyError, RunError
from hartley.engine.run import processes, worker_process
from hartley.engine.run.fork_server import ForkServer
from hartley.engine.run.frames import GarbledFrame
from hartley.engine.run.interrupts import deferred
from hartley.engine.run.own_process import may_play
from hartley.engine.run.player import FAILED, Player, Result
from hartley.engine.run.worker_process import WorkerProcess
from hartley.kit.training_news import News, listening
from hartley.store.artifacts import Artifacts

Started = Callable[[Experiment], None]
Finished = Callable[[Experiment, Result], None]
OnNews = Callable[[Experiment, News], None]
Settings = tuple[Path | None, Path | None, bool | None, ForkServer | None]
"""Of workers: the folders of their logs and of loot, which attacks are isolated, their server."""

GIB = 1 << 30
TIME_LIMIT = 6 * 3600.0
"""Seconds that an experiment may take where nothing else is declared."""
MEMORY_SHARE = 0.8
"""Share of the machine's memory that an experiment may take where nothing else is declared."""
SCARCE = 0.03
"""Share of the machine's memory; where less is left, the worker that holds most is ended."""
LARGE = 0.1
"""Share of the machine's memory; what holds less is not ended where memory is scarce."""

_TICK = 0.1
"""Seconds between two looks at the workers; a look may take a twentieth of that on average."""
_START = 300.0
"""Seconds that a worker may take to start."""
_STOPPED = 5.0
"""Seconds after which a worker that was stopped by a signal is ended."""
_FALSE_STARTS = 3
"""Workers that may end before they have begun, one after another."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one experiment may take in a worker process; in this process nothing limits it.

    Attributes:
        seconds: time on the clock, with its deal and, where it is the first of its worker, the
            scene.
        memory: bytes that its processes may hold; None for a share of the machine's memory.
    """

    seconds: float = TIME_LIMIT
    memory: float | None = None


def limits(seconds: float | None, gibibytes: float | None) -> Limits:
    """Return the limits that a user declares; None leaves one to its default."""
    memory = None if gibibytes is None else gibibytes * GIB
    return Limits(TIME_LIMIT if seconds is None else seconds, memory)


@contextlib.contextmanager
def prints_apart() -> Iterator[None]:
    """Send what a part prints to standard error: standard output is for the result alone.

    Libraries in C write to the descriptor itself, so it is redirected too.
    """
    sys.stdout.flush()
    stdout_copy = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(stdout_copy, 1)
        os.close(stdout_copy)


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def perform(
    experiments: Sequence[Experiment],
    *,
    workers: int,
    scene: Scene | None = None,
    scene_params: Mapping[str, Any] | None = None,
    logs: Path | None = None,
    artifacts: Path | None = None,
    limits: Limits = Limits(),
    isolate: bool | None = None,
    server: ForkServer | None = None,
    started: Started,
    finished: Finished,
    on_news: OnNews = lambda _experiment, _news: None,
) -> None:
    """Play experiments and hand over each result as it arrives.

    Args:
        experiments: what to play; those of one group are next to each other.
        workers: number of processes; 0 plays in this one, one experiment after another, where
            this process may play (``own_process``), and in one worker elsewhere.
        scene: the scene without defenses, already built, for playing here.
        scene_params: the parameters it was built with.
        logs: folder for what the workers print.
        artifacts: folder for the loot of chains.
        limits: what one experiment may take.
        isolate: which attacks play in a process of their own (see ``Player``).
        server: the process that workers are forked of; None starts them fresh.
        started: called when an experiment begins, in this process.
        finished: called once an experiment, in this process; what it raises stops everything.
        on_news: called with news of the models that an experiment trains.

    Raises:
        RunError: no worker process can be started.
    """
    if not experiments:
        return
    if not workers and may_play():
        player = Player(Artifacts(artifacts) if artifacts else None, isolate)
        if scene is not None:
            player.hold(experiments[0].scene, scene, scene_params or {})
        for experiment in experiments:
            started(experiment)
            with prints_apart(), listening(partial(on_news, experiment)):
                result = player.run(experiment)
            finished(experiment, result)
        return
    settings = (logs, artifacts, isolate, server)
    with Staff(min(workers or 1, len(experiments)), settings, limits) as staff:
        staff.play(foreign_last(experiments), started, finished, on_news)


class Staff:
    """The workers of one run, or of one seat of a cluster.

    Attributes:
        killed: keys of experiments whose worker was killed by others, and not for lack of memory.
    """

    def __init__(self, size: int, settings: Settings, limits: Limits) -> None:
        self._size, self._settings, self._limits = size, settings, limits
        self._workers: dict[int, WorkerProcess] = {}
        self._count = self._false_starts = 0
        self._selector = selectors.DefaultSelector()
        self._machine = processes.memory_of_machine()
        self.killed: set[str] = set()
        self._next_look = 0.0
        self._on_news: OnNews = lambda _experiment, _news: None

    def __enter__(self) -> Staff:
        return self

    def __exit__(self, *_: object) -> None:
        with deferred():
            for worker in list(self._workers.values()):
                self._dismiss(worker)
            self._selector.close()

    def play(
        self, todo: list[Experiment], started: Started, finished: Finished, on_news: OnNews
    ) -> None:
        """Play experiments until all have ended."""
        self._on_news = on_news
        if (server := self._settings[-1]) is not None:
            server.preload(_modules(todo))
        while todo or self._busy():
            while len(self._workers) < self._size and self._starting() < len(todo):
                self._hire()
            for worker in list(self._workers.values()):
                if worker.ready and worker.experiment is None and todo:
                    self._assign(worker, todo, started)
            for experiment, result in self._events():
                finished(experiment, result)

    def warm_up(self) -> None:
        """Start the workers before there is a job, and wait until they are ready.

        Raises:
            RunError: no worker process can be started.
        """
        while not all(worker.ready for worker in self._workers.values()) or not self._workers:
            while len(self._workers) < self._size:
                self._hire()
            for _ in self._events():
                pass

    def _busy(self) -> bool:
        return any(worker.experiment is not None for worker in self._workers.values())

    def _starting(self) -> int:
        return sum(worker.experiment is None for worker in self._workers.values())

    def _hire(self) -> None:
        with deferred():
            worker = worker_process.start(self._count, *self._settings)
            self._workers[worker.number] = worker
        self._count += 1
        for descriptor in (worker.results, worker.prints):
            self._selector.register(descriptor, selectors.EVENT_READ, worker)

    def _assign(self, worker: WorkerProcess, todo: list[Experiment], started: Started) -> None:
        """Give a worker the next experiment, or replace it where its state would not be sound."""
        busy = {w.experiment.group for w in self._workers.values() if w.experiment is not None}
        experiment = todo[next_place(todo, busy)]
        foreign = _foreign(experiment)
        if not worker.foreign <= foreign:
            self._dismiss(worker)
            return
        todo.remove(experiment)
        started(experiment)
        worker.give(experiment, foreign)

    def _dismiss(self, worker: WorkerProcess) -> None:
        del self._workers[worker.number]
        for descriptor in (worker.results, worker.prints):
            with contextlib.suppress(KeyError):
                self._selector.unregister(descriptor)
        worker.dismiss()

    def _events(self) -> Iterator[tuple[Experiment, Result]]:
        """Wait a little; yield the experiments that have ended."""
        self._selector.select(_TICK)
        for worker in list(self._workers.values()):
            worker.flush()
            if not worker.keep_prints():
                with contextlib.suppress(KeyError):
                    self._selector.unregister(worker.prints)
            yield from self._answered(worker)
        if time.monotonic() >= self._next_look:
            yield from self._look()

    def _answered(self, worker: WorkerProcess) -> Iterator[tuple[Experiment, Result]]:
        ended = processes.has_ended(worker.process)  # before the last of its answers is read
        try:
            for note, content in worker.answers():
                if (ended_one := self._ended(worker, note, content)) is None:
                    continue
                yield ended_one
                result = ended_one[1]
                if result.status == FAILED and not result.mistake:
                    self._dismiss(worker)
                    return
        except GarbledFrame:
            yield from self._killed(worker, "a part wrote into the pipe of its worker process")
            return
        except EOFError:
            until = time.monotonic() + 1
            while not ended and time.monotonic() < until:
                time.sleep(0.002)
                ended = processes.has_ended(worker.process)
            if not ended:
                worker.kill("a part closed the descriptor on which its worker process answers")
                ended = True
        if ended:
            yield from self._died(worker)

    def _ended(
        self, worker: WorkerProcess, note: Mapping[str, Any], content: bytes
    ) -> tuple[Experiment, Result] | None:
        """Return the experiment that a worker says has ended; None where it says something else.

        Raises:
            GarbledFrame: it answers what it was not asked.
        """
        experiment = worker.experiment
        if note.get("ready"):
            worker.ready, self._false_starts = True, 0
            return None
        if experiment is not None and "training" in note:
            self._on_news(experiment, note["training"])
            return None
        if experiment is None or note.get("key") != experiment.key:
            raise GarbledFrame("it answers what was not asked")
        worker.experiment = None
        return experiment, Result(**note["result"], content=content)

    def _look(self) -> Iterator[tuple[Experiment, Result]]:
        """Hold the workers to their limits."""
        began = time.monotonic()
        # A worker adopts what its parts leave behind, so that all of it descends from the worker.
        table = processes.families(worker.process.pid for worker in self._workers.values())
        memory = {
            worker.number: processes.memory_of(processes.belonging(worker.process.pid, table))
            for worker in self._workers.values()
        }
        for worker in list(self._workers.values()):
            if reason := self._excess(worker, memory[worker.number], began, table):
                yield from self._killed(worker, reason)
        yield from self._relieve(memory)
        self._next_look = time.monotonic() + max(_TICK, 20 * (time.monotonic() - began))

    def _relieve(self, memory: Mapping[int, int]) -> Iterator[tuple[Experiment, Result]]:
        """End the worker that holds most before the system chooses a process to kill."""
        if not self._machine or (processes.memory_left() or GIB) > SCARCE * self._machine:
            return
        holders = {n: size for n, size in memory.items() if n in self._workers}
        largest = max(holders, key=holders.__getitem__, default=None)
        if largest is not None and holders[largest] > LARGE * self._machine:
            size = f"{holders[largest] / GIB:.3g} GiB"
            reason = f"the machine had no memory left, and it held most ({size}); use fewer workers"
            yield from self._killed(self._workers[largest], reason)

    def _excess(
        self,
        worker: WorkerProcess,
        memory: int,
        now: float,
        table: Mapping[int, processes.Process],
    ) -> str:
        """Return why a worker is ended, or an empty string."""
        limits = self._limits
        process = table.get(worker.process.pid)
        if process is None or process.state != "T":
            worker.stopped_since = None
        elif worker.stopped_since is None:
            worker.stopped_since = now
        elif now - worker.stopped_since > _STOPPED:
            return "its worker process was stopped by a signal (SIGSTOP)"
        if worker.experiment is None:
            late = not worker.ready and now - worker.began > _START
            return f"it was not ready after {_START:.0f} s" if late else ""
        if now - worker.began > limits.seconds:
            return (
                f"it took longer than the time limit of {limits.seconds:g} s; "
                "raise it with --time-limit SECONDS or [executor] time_limit"
            )
        most = limits.memory or (self._machine or 0) * MEMORY_SHARE
        if most and memory > most:
            return (
                f"it held more than the memory limit of {most / GIB:.3g} GiB; "
                "raise it with --memory-limit GIB or [executor] memory_limit"
            )
        return ""

    def _killed(self, worker: WorkerProcess, reason: str) -> Iterator[tuple[Experiment, Result]]:
        worker.kill(reason)
        yield from self._died(worker)

    def _died(self, worker: WorkerProcess) -> Iterator[tuple[Experiment, Result]]:
        """Let a dead worker go; its experiment has failed.

        Raises:
            RunError: workers end before they have begun.
        """
        reason = worker.death()
        self._dismiss(worker)
        if not worker.ready:
            self._false_starts += 1
            if self._false_starts >= _FALSE_STARTS:
                raise RunError(f"a worker process cannot be started: {reason}")
        if worker.experiment is not None:
            experiment, worker.experiment = worker.experiment, None
            if _killed_by_others(worker):
                self.killed.add(experiment.key)
            yield experiment, Result(FAILED, {"reason": reason, "seconds": 0.0})


def _killed_by_others(worker: WorkerProcess) -> bool:
    """Whether a worker that has ended was killed by neither this process nor the system."""
    by_signal = worker.process.returncode == -signal.SIGKILL and not worker.killed_because
    return by_signal and processes.killed_for_memory() <= worker.memory_kills


def next_place(experiments: Sequence[Experiment], busy: set[tuple[str, ...]]) -> int:
    """Choose the next experiment: one whose deal nobody else is training, if there is one."""
    for index, experiment in enumerate(experiments):
        if experiment.group not in busy:
            return index
    return 0


def _foreign(experiment: Experiment) -> frozenset[str]:
    """Return the parts of plugins that an experiment plays, besides its scene, which all share."""
    names = {("defense", defense.name) for defense in experiment.defenses}
    for stage in experiment.stages:
        names |= {("attack", stage.attack), ("game", stage.game)}
    return frozenset(f"{kind} {name}" for kind, name in names if not _is_own(kind, name))


def _modules(experiments: Sequence[Experiment]) -> list[str]:
    """Return the modules of all attacks and games that are played, but for those of plugins."""
    stages = [stage for experiment in experiments for stage in experiment.stages]
    names = {("attack", stage.attack) for stage in stages} | {("game", s.game) for s in stages}
    return sorted(catalog.find(*name).module for name in names if _is_own(*name))


def _is_own(kind: str, name: str) -> bool:
    try:
        return catalog.find(kind, name).origin == "hartley"
    except HartleyError:
        return False


def foreign_last(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Order the experiments of each group: after a part of a plugin its worker is replaced."""
    first: dict[tuple[str, ...], int] = {}
    for place, experiment in enumerate(experiments):
        first.setdefault(experiment.group, place)
    return sorted(experiments, key=lambda e: (first[e.group], len(_foreign(e))))
