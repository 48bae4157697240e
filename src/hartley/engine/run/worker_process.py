"""One worker process, as the command sees it: begins, takes an experiment, answers, ends.

It is forked of the run's fork server, or started fresh where there is none. It runs in a session
and process group of its own and on one thread. It answers over a pipe that is
not its standard output; what its parts print goes into its log, of which the beginning and the end
are kept.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hartley.core import Experiment
from hartley.core.control_characters import visible
from hartley.core.errors import RunError
from hartley.engine.run import processes
from hartley.engine.run.fork_server import ForkedProcess, ForkServer
from hartley.engine.run.frames import Frame, Frames, new_token, pack
from hartley.engine.run.threads import THREADS
from hartley.engine.run.worker import CANNOT_ANSWER

_PIECE = 1 << 20
_LOG_BEGINNING, _LOG_END = 1 << 20, 1 << 16
"""Bytes of what a worker prints that its log keeps."""


class Log:
    """What a worker printed: the beginning is written as it arrives, the end is kept."""

    def __init__(self, path: Path | None) -> None:
        """Write to a file, which is made when there is something to write, or to standard error."""
        self._path = path
        self._written = self._left_out = 0
        self._end = b""

    def add(self, content: bytes) -> None:
        """Keep what was printed."""
        beginning = content[: max(0, _LOG_BEGINNING - self._written)]
        self._write(beginning)
        self._written += len(beginning)
        self._left_out += len(content) - len(beginning)
        self._end = (self._end + content)[-_LOG_END:]

    def close(self) -> None:
        """Write the end of what was printed, where only the beginning was written."""
        if self._left_out:
            end = self._end[-min(self._left_out, _LOG_END) :]
            self._write(b"\n... %d bytes left out ...\n" % (self._left_out - len(end)) + end)
        self._left_out = 0

    def cause(self) -> str:
        """Return the most useful line for a dead worker: faulthandler's, or the last."""
        lines = self._end.decode(errors="replace").strip().splitlines()
        causes = [line for line in lines if line.startswith("Fatal Python error")] or lines[-1:]
        return f" ({causes[0][:160]})" if causes else ""

    def _write(self, content: bytes) -> None:
        if not content:
            return
        # A log that cannot be written is no reason to lose a row.
        with contextlib.suppress(OSError, ValueError):
            if self._path is None:
                sys.stderr.write(visible(content.decode(errors="replace")))
                sys.stderr.flush()
            else:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("ab") as file:
                    file.write(content)


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """A worker that was started.

    Attributes:
        number: which one it is.
        process: the process.
        mark: the value of ``processes.MARK`` in its environment.
        jobs, results, prints: descriptors of this process; the last two do not block.
        experiment: what it plays, or None.
        ready: it has said that it can play.
        foreign: parts of plugins that it has played: they may have changed anything in it.
        began: when it was given the experiment, or was started (``time.monotonic``).
        memory_kills: processes that the system had killed for lack of memory when it was started.
        stopped_since: when it was first seen stopped by a signal, or None.
        killed_because: why this process killed it, or empty.
    """

    number: int
    process: subprocess.Popen[bytes] | ForkedProcess
    mark: str
    token: bytes
    jobs: int
    results: int
    prints: int
    log: Log
    frames: Frames
    began: float = field(default_factory=time.monotonic)
    memory_kills: int = field(default_factory=processes.killed_for_memory)
    experiment: Experiment | None = None
    ready: bool = False
    foreign: frozenset[str] = frozenset()
    stopped_since: float | None = None
    killed_because: str = ""
    unsent: bytearray = field(default_factory=bytearray)

    def give(self, experiment: Experiment, foreign: frozenset[str]) -> None:
        """Let it play an experiment, with these parts of plugins."""
        self.experiment, self.began = experiment, time.monotonic()
        self.foreign |= foreign
        self.send({"experiment": experiment.dump()})

    def send(self, note: dict[str, object]) -> None:
        """Send a note; what the pipe does not take now is sent by ``flush``."""
        self.unsent += pack(self.token, note)
        self.flush()

    def flush(self) -> None:
        """Send what has not been sent yet; a worker that is gone is noticed elsewhere."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            while self.unsent:
                del self.unsent[: os.write(self.jobs, self.unsent)]

    def answers(self) -> Iterator[Frame]:
        """Yield what it has answered until now.

        Raises:
            EOFError: it has closed the pipe.
            GarbledFrame: a part wrote into the pipe.
        """
        for piece in _pieces(self.results):
            yield from self.frames.add(piece)

    def keep_prints(self) -> bool:
        """Move what it has printed into its log; return whether it may print more."""
        try:
            for count, piece in enumerate(_pieces(self.prints)):
                self.log.add(piece)
                if count > 15:  # one that prints without end must not keep the others waiting
                    break
        except EOFError:
            return False
        return True

    def kill(self, reason: str) -> None:
        """End it, with all processes of its parts."""
        self.killed_because = reason
        processes.end(self.process.pid, self.mark)

    def death(self) -> str:
        """Say why it has ended; wait for it."""
        self.keep_prints()
        if self.killed_because:
            self.process.wait()
            return self.killed_because
        code = self.process.wait()
        if code == CANNOT_ANSWER:
            return "a part closed the descriptor on which its worker process answers"
        if code < 0:
            killed = processes.killing(-code, self.memory_kills)
            return f"its worker process was {killed}{self.log.cause()}"
        return f"its worker process ended with exit code {code}{self.log.cause()}"

    def dismiss(self) -> None:
        """End it and all that its parts started, wait for it, and close its log."""
        processes.end(self.process.pid, self.mark)
        self.process.wait()
        self.keep_prints()
        self.log.close()
        for descriptor in (self.jobs, self.results, self.prints):
            with contextlib.suppress(OSError):
                os.close(descriptor)


def start(
    number: int,
    logs: Path | None,
    artifacts: Path | None,
    isolate: bool | None = None,
    server: ForkServer | None = None,
) -> WorkerProcess:
    """Start a worker.

    Args:
        number: which one it is.
        logs: folder of the logs, or None.
        artifacts: folder for the loot of chains, or None.
        isolate: which attacks play in a process of their own (see ``Player``).
        server: the process to fork it of; where that cannot be, it is started fresh.

    Raises:
        RunError: the system can start no process.
    """
    mark, token = secrets.token_hex(16), new_token()
    opened: list[int] = []
    process: subprocess.Popen[bytes] | ForkedProcess | None = None
    try:
        opened = _pipes()
        if server is not None:
            process = server.fork(opened[0], opened[3], opened[5], mark)
            if process is None:
                # A server that does not answer may have forked a worker all the same: on these
                # pipes it would take the jobs of the one that is started now.
                _close(opened)
                opened = []
                opened = _pipes()
        if process is None:
            process = _fresh(opened[0], opened[3], opened[5], mark)
    except OSError as error:
        _close(opened)
        raise RunError(f"a worker process cannot be started: {error.strerror or error}") from error
    jobs_end, jobs, results, results_end, prints, prints_end = opened
    _close((jobs_end, results_end, prints_end))
    for descriptor in (jobs, results, prints):
        os.set_blocking(descriptor, False)
    log = Log(None if logs is None else logs / f"worker-{os.getpid()}-{number}.txt")
    worker = WorkerProcess(number, process, mark, token, jobs, results, prints, log, Frames(token))
    folder = str(artifacts.absolute()) if artifacts else None
    worker.send({"path": sys.path, "artifacts": folder, "isolate": isolate})
    return worker


def _pipes() -> list[int]:
    """Return both ends of three pipes, the reading one first: for jobs, results and prints."""
    opened: list[int] = []
    try:
        for _ in range(3):
            opened += os.pipe()
    except OSError:
        _close(opened)
        raise
    return opened


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _fresh(jobs: int, results: int, prints: int, mark: str) -> subprocess.Popen[bytes]:
    """Start a process that imports what it needs and builds its scene itself."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONUNBUFFERED": "1"}
    environment[processes.MARK] = mark
    return subprocess.Popen(
        [
            *(sys.executable, "-P", "-X", "faulthandler", "-m", "hartley.engine.run.worker"),
            *(str(jobs), str(results)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=prints,
        stderr=prints,
        pass_fds=(jobs, results),
        env=environment,
        start_new_session=True,
    )


def _pieces(descriptor: int) -> Iterator[bytes]:
    """Yield what can be read now.

    Raises:
        EOFError: the other side has closed the pipe.
    """
    while True:
        try:
            piece = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return
        if not piece:
            raise EOFError("the pipe is closed")
        yield piece
