"""Play experiments in this process, or spread them over local worker processes.

Workers are started fresh (never forked), on one thread each, with the thread limits set before
numpy is imported, and each in a process group of its own: a Ctrl-C reaches only this process, which
then ends them. A worker that dies (segmentation fault, out of memory, ``os._exit``) fails the one
experiment it was playing; a new worker goes on with the rest. Seeds come from names, so the results
do not depend on who played what.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hartley.core import Experiment, Scene
from hartley.engine.run.player import FAILED, Player, Result
from hartley.engine.run.threads import THREADS
from hartley.engine.run.worker import receive, send
from hartley.store.artifacts import Artifacts

Started = Callable[[Experiment], None]
Finished = Callable[[Experiment, Result], None]


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
    started: Started,
    finished: Finished,
) -> None:
    """Play experiments and hand over each result as it arrives.

    Args:
        experiments: what to play; those of one group are next to each other.
        workers: number of processes; 0 plays in this one, one experiment after another.
        scene: the scene without defenses, already built, for playing here.
        scene_params: the parameters it was built with.
        logs: folder for what the workers print.
        artifacts: folder for the loot of chains.
        started: called when an experiment begins, in this process.
        finished: called once an experiment, in this process; what it raises stops everything.
    """
    if not workers or not experiments:
        player = Player(Artifacts(artifacts) if artifacts else None)
        if scene is not None:
            player.hold(scene, scene_params or {})
        for experiment in experiments:
            started(experiment)
            with prints_apart():
                result = player.run(experiment)
            finished(experiment, result)
        return
    _spread(list(experiments), min(workers, len(experiments)), (logs, artifacts), started, finished)


@dataclass(slots=True)
class _Worker:
    number: int
    process: subprocess.Popen[bytes]
    log: Path | None
    experiment: Experiment | None = None
    reader: threading.Thread | None = field(default=None, repr=False)


def _spread(
    experiments: list[Experiment],
    workers: int,
    folders: tuple[Path | None, Path | None],
    started: Started,
    finished: Finished,
) -> None:
    inbox: queue.SimpleQueue[tuple[int, Result | None]] = queue.SimpleQueue()
    staff: dict[int, _Worker] = {}
    count = 0
    try:
        while experiments or any(w.experiment for w in staff.values()):
            while experiments and len(staff) < workers:
                staff[count] = _hire(count, *folders, inbox)
                count += 1
            for worker in staff.values():
                if worker.experiment is None and experiments:
                    busy = {w.experiment.group for w in staff.values() if w.experiment is not None}
                    worker.experiment = experiments.pop(_next(experiments, busy))
                    started(worker.experiment)
                    _give(worker, worker.experiment)
            number, result = inbox.get()
            worker = staff[number]
            if result is None:
                result = Result(FAILED, {"reason": _death(worker), "seconds": 0.0})
                _dismiss(staff.pop(number))
            experiment, worker.experiment = worker.experiment, None
            if experiment is not None:
                finished(experiment, result)
    finally:
        for worker in staff.values():
            _dismiss(worker)


def _next(experiments: Sequence[Experiment], busy: set[tuple[str, ...]]) -> int:
    """Choose the next experiment: one whose deal nobody else is training, if there is one."""
    for index, experiment in enumerate(experiments):
        if experiment.group not in busy:
            return index
    return 0


def _hire(
    number: int,
    logs: Path | None,
    artifacts: Path | None,
    inbox: queue.SimpleQueue[tuple[int, Result | None]],
) -> _Worker:
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONUNBUFFERED": "1"}
    log = None
    if logs is not None:
        logs.mkdir(parents=True, exist_ok=True)
        log = logs / f"worker-{os.getpid()}-{number}.txt"
    with log.open("wb") if log else contextlib.nullcontext() as printed:
        process = subprocess.Popen(
            [sys.executable, "-P", "-X", "faulthandler", "-m", "hartley.engine.run.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=printed,
            env=environment,
            start_new_session=True,
        )
    worker = _Worker(number, process, log)
    worker.reader = threading.Thread(target=_listen, args=(worker, inbox), daemon=True)
    worker.reader.start()
    with contextlib.suppress(BrokenPipeError):
        assert process.stdin is not None
        artifacts_path = str(artifacts.absolute()) if artifacts else None
        send(process.stdin, {"path": sys.path, "artifacts": artifacts_path})
    return worker


def _give(worker: _Worker, experiment: Experiment) -> None:
    with contextlib.suppress(BrokenPipeError):  # the listener reports its death
        assert worker.process.stdin is not None
        send(worker.process.stdin, experiment.dump())


def _listen(worker: _Worker, inbox: queue.SimpleQueue[tuple[int, Result | None]]) -> None:
    """Pass on what a worker answers; None when it is dead."""
    assert worker.process.stdout is not None
    try:
        while True:
            head, content = receive(worker.process.stdout)
            inbox.put((worker.number, Result(**head, content=content)))
    except (EOFError, OSError, ValueError):
        inbox.put((worker.number, None))


def _death(worker: _Worker) -> str:
    code = worker.process.wait()
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"its worker process was killed by {signal.Signals(-code).name}{_last(worker)}"
    return f"its worker process ended with exit code {code}{_last(worker)}"


def _last(worker: _Worker) -> str:
    """The most useful line of a dead worker's log: faulthandler's, or the last."""
    if worker.log is None:
        return ""
    lines = worker.log.read_text(errors="replace").strip().splitlines()
    causes = [line for line in lines if line.startswith("Fatal Python error")] or lines[-1:]
    return f" ({causes[0][:160]})" if causes else ""


def _dismiss(worker: _Worker) -> None:
    """End a worker and all that its parts started, and wait for it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    if worker.reader is not None:
        worker.reader.join(timeout=5)
    for stream in (worker.process.stdin, worker.process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    if worker.log is not None and worker.log.exists() and not worker.log.stat().st_size:
        worker.log.unlink()
