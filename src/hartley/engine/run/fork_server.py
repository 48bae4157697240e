"""One process that holds the scene, and of which the workers of a run are forked.

To start, a worker imports torch and builds the scene again: two to three seconds of processor time
each. A copy of a process that has both takes some milliseconds. The command itself cannot be
copied while it plays: it draws a bar in a thread, holds the run's files and knows what its verdict
is confirmed with. So it makes one copy of itself as soon as the scene is built, the fork server,
which keeps nothing but what workers need, plays nothing, and has one thread as long as it lives.

A fork copies one thread and shares every descriptor. Where that could go wrong workers are started
fresh, as on other systems than Linux: another thread is alive, building the scene has opened a file
or a connection or has started a process, a device is in use, or parts of plugins are imported.

Workers are forked twice, so that the command adopts them: it waits for them, and ends them, like
for those that it has started.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import io
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NoReturn

from hartley import catalog
from hartley.core import Scene
from hartley.engine.run import processes, worker
from hartley.engine.run.interrupts import deferred
from hartley.engine.run.own_process import may_play
from hartley.engine.run.threads import THREADS
from hartley.kit.cache import taken_rebuilt

BuiltScene = tuple[str, Scene, Mapping[str, Any]]
"""A scene that was built: the name of its recipe, itself, its parameters."""

_DRIVERS = ("/dev/nvidia", "/dev/kfd", "/dev/dri")
_OPEN = processes.PROC / "self" / "fd"
_LONGEST = 1 << 16
_PATIENCE = 60.0
"""Seconds that the server may take for a fork; before the first it imports what workers need."""
_PRELOADED = (
    *("hartley.engine.run.player", "hartley.channel.measure"),
    *("pyarrow.parquet", "scipy.special", "scipy.optimize"),
)
"""Modules that every worker imports for its first experiment."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a process holds that its copies would share: open descriptors, and child processes."""

    descriptors: frozenset[tuple[str, str]]
    children: frozenset[int]


class ForkedProcess:
    """A worker that was forked, which this process has adopted."""

    def __init__(self, pid: int) -> None:
        """Take its id."""
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, or minus the signal that has ended it; None while it runs."""
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        """Wait until it has ended; return the same."""
        code = self._reap(0)
        return 0 if code is None else code

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, options)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


@dataclass(slots=True)
class ForkServer:
    """The process of which workers are forked.

    Attributes:
        pid: its id.
        control: the socket on which it takes orders; closed once it is of no more use.
    """

    pid: int
    control: socket.socket
    _process: ForkedProcess = field(init=False)

    def __post_init__(self) -> None:
        self._process = ForkedProcess(self.pid)

    def preload(self, modules: Iterable[str]) -> None:
        """Let it import modules that its workers need, while this process goes on."""
        self._send({"preload": list(modules)})

    def fork(self, jobs: int, results: int, prints: int, mark: str) -> ForkedProcess | None:
        """Fork a worker; None where the server is gone or the system makes no process.

        Args:
            jobs, results, prints: the worker's ends of its pipes.
            mark: of the worker (``processes.MARK``).
        """
        if not self._send({"mark": mark}, jobs, results, prints):
            return None
        try:
            answer = json.loads(self.control.recv(_LONGEST))
        except (OSError, ValueError):  # it is gone, or took too long
            self.close()
            return None
        return ForkedProcess(answer["pid"]) if answer["pid"] else None

    def close(self) -> None:
        """End it, once: its id may be another process's after that."""
        if self.control.fileno() < 0:
            return
        self.control.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._process.wait()

    def _send(self, note: Mapping[str, Any], *descriptors: int) -> bool:
        if self.control.fileno() < 0:
            return False
        try:
            socket.send_fds(self.control, [json.dumps(note).encode()], descriptors)
        except OSError:
            self.close()
            return False
        return True


def holdings() -> Holdings:
    """Return what this process holds now; nothing where the system does not say."""
    names = set()
    with contextlib.suppress(OSError):
        for link in _OPEN.iterdir():
            with contextlib.suppress(OSError):
                names.add((link.name, str(link.readlink())))
    table = processes.process_table()
    this = os.getpid()
    children = {pid for pid, one in table.items() if one.parent == this and one.state != "Z"}
    return Holdings(frozenset(names), frozenset(children))


def obstacle(before: Holdings) -> str:
    """Say why no worker may be forked of this process; empty where they may.

    Args:
        before: what it held before the scene was built.
    """
    return next(_obstacles(before), "")


def _obstacles(before: Holdings) -> Iterator[str]:
    if sys.platform != "linux":
        yield f"{sys.platform} does not fork them safely"
    if names := _other_threads():
        yield f"another thread is alive: {', '.join(names)}"
    if not _OPEN.is_dir():
        yield "the system does not say what files are open"
    now = holdings()
    if opened := {name for _, name in now.descriptors - before.descriptors}:
        yield f"the scene holds what its copies would share: {', '.join(sorted(opened))}"
    if now.children - before.children:
        yield "the scene has started a process"
    torch = sys.modules.get("torch")
    for device in ("cuda", "xpu"):
        if torch is not None and getattr(torch, device).is_initialized():
            yield f"the scene uses {device}"
    # To ask for a device is enough: its driver cannot be used in a copy.
    drivers = {name for _, name in now.descriptors if name.startswith(_DRIVERS)}
    if drivers:
        yield f"the driver of a device is open: {', '.join(sorted(drivers))}"
    imported = [
        entry.name
        for kind in ("attack", "defense", "game")
        for entry in catalog.entries(kind)
        if entry.origin != "hartley" and entry.module in sys.modules
    ]
    if imported:
        yield f"parts of plugins are imported: {', '.join(imported)}"


def _other_threads() -> list[str]:
    """Return the names of all threads but this one, those of libraries in C too."""
    names = [t.name for t in threading.enumerate() if t is not threading.current_thread()]
    tasks = processes.PROC / "self" / "task"
    if not names and tasks.is_dir():
        this = str(threading.get_native_id())
        with contextlib.suppress(OSError):  # one may end meanwhile
            names = [(t / "comm").read_text().strip() for t in tasks.iterdir() if t.name != this]
    return names


@contextlib.contextmanager
def serving(
    built_scene: BuiltScene,
    before: Holdings,
    watch: Callable[[str, Mapping[str, Any]], None] = lambda _event, _facts: None,
) -> Iterator[ForkServer | None]:
    """Have a process that workers are forked of; None where they must be started fresh.

    Args:
        built_scene: the scene of the run.
        before: what this process held before the scene was built.
        watch: called with ``forking``, so that no thread of a display is alive, and then with
            ``forked``, whose ``reason`` says why no worker will be.
    """
    if may_play():  # a program that calls Hartley, whose state no copy should share
        yield None
        return
    server = None
    try:
        watch("forking", {})
        reason = obstacle(before)
        with deferred():
            server = None if reason else start(built_scene)
        watch("forked", {"reason": reason or ("" if server else "the system makes no process")})
        yield server
    finally:
        if server is not None:
            with deferred():
                server.close()


def start(built_scene: BuiltScene) -> ForkServer | None:
    """Start the server as a copy of this process; None where the system makes no process.

    From then on this process adopts what its descendants leave behind.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    command_end, server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = os.getpid()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _leave_on_error(lambda: _be_server(server_end, command, blocked, built_scene))
    except OSError:
        command_end.close()
        return None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        server_end.close()
    processes.adopt_orphans()
    command_end.settimeout(_PATIENCE)
    server = ForkServer(pid, command_end)
    server.preload(_PRELOADED)
    return server


def _leave_on_error(act: Callable[[], NoReturn]) -> NoReturn:
    """Never return into the frames of the process that this one is a copy of."""
    try:
        act()
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
    finally:
        os._exit(1)


def _be_server(
    control: socket.socket, command: int, mask: set[int | signal.Signals], built_scene: BuiltScene
) -> NoReturn:
    processes.end_with_parent(command)
    processes.offer_to_be_killed()
    os.setsid()
    _reset_signals(mask)
    nothing = os.open(os.devnull, os.O_RDWR)
    _keep_descriptors(stdin=nothing, prints=nothing, others=[control.fileno()])
    taken_rebuilt()  # the command reports them
    gc.freeze()  # no worker walks, and so copies, what is here for good
    while True:
        content, descriptors, _, _ = socket.recv_fds(control, _LONGEST, 3)
        if not content:  # the command has closed its end
            os._exit(0)
        note = json.loads(content)
        for module in note.get("preload", ()):
            with contextlib.suppress(Exception):  # a worker that needs it says what is wrong
                import_module(module)
        if "preload" in note:
            gc.freeze()
            continue
        pid = None  # where a module that was imported here has begun a thread
        if not _other_threads():
            pid = _fork_twice(command, descriptors, note["mark"], built_scene)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(json.dumps({"pid": pid}).encode())


def _fork_twice(
    command: int, descriptors: list[int], mark: str, built_scene: BuiltScene
) -> int | None:
    """Fork a process that forks the worker and ends; return the id of the worker, or None."""
    reading, writing = os.pipe()
    try:
        between = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        return None
    if between == 0:

        def fork() -> NoReturn:
            if (copy := os.fork()) == 0:
                _be_worker(command, descriptors, mark, built_scene)
            os.write(writing, copy.to_bytes(8, "big"))
            os._exit(0)

        _leave_on_error(fork)
    os.close(writing)
    answer = os.read(reading, 8)
    os.close(reading)
    os.waitpid(between, 0)  # it has ended: whoever adopts the worker has done so
    if len(answer) < 8:
        return None
    pid = int.from_bytes(answer, "big")
    process = processes.process_table().get(pid)
    if process is None or process.parent != command:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return None
    return pid


def _be_worker(
    command: int, descriptors: list[int], mark: str, built_scene: BuiltScene
) -> NoReturn:
    """Become what a worker is that was started fresh, with the scene that is here."""
    jobs, results, prints = descriptors
    os.setsid()
    _keep_descriptors(stdin=None, prints=prints, others=[jobs, results])
    os.environ.update(dict.fromkeys(THREADS, "1"), PYTHONUNBUFFERED="1")
    processes.mark_this(mark)
    faulthandler.enable()
    _renew_randomness()
    worker.work(jobs, results, command, built_scene)


def _reset_signals(mask: set[int | signal.Signals]) -> None:
    """Give signals back to the system; ignore Ctrl-C, which stops the command, and closed pipes."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):  # some belong to the library of C
            if signal.getsignal(number) not in (signal.SIG_IGN, signal.SIG_DFL, None):
                signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _keep_descriptors(stdin: int | None, prints: int, others: Iterable[int]) -> None:
    """Let this process have its three standard streams and some descriptors, and no more."""
    if stdin is not None:
        os.dup2(stdin, 0)
    os.dup2(prints, 1)
    os.dup2(prints, 2)
    low = 3
    for descriptor in sorted(others):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, max(int(link.name) for link in _OPEN.iterdir()) + 1)
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        raw = io.FileIO(number, mode, closefd=False)
        stream = io.TextIOWrapper(raw, errors="replace", write_through=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _renew_randomness() -> None:
    """Let this process draw what a fresh one would, and not what other workers draw.

    Parts draw from generators that they are handed; ``random`` renews itself.
    """
    if (random := sys.modules.get("numpy.random")) is not None:
        random.seed()
    if (torch := sys.modules.get("torch")) is not None:
        torch.default_generator.set_state(torch.Generator().get_state())
