"""The processes of a worker: which they are, how much memory they hold, and how all of them end.

A part may start processes, put them into sessions of their own and leave them behind. On Linux
they are found in ``/proc``; elsewhere a worker's process group alone is known, and memory is not
watched.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PROC = Path("/proc")
MARK = "HARTLEY_WORKER"
"""A worker's name in its environment, which the processes that it starts inherit."""

_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36  # linux/prctl.h
_ENVIRONMENT = 47
"""The place of env_start among the fields behind the name in ``/proc/PID/stat``, see proc(5)."""
_PATIENCE = 5.0
"""Seconds to wait until processes that were killed are gone."""
_A_MOMENT = 1.0
"""Seconds that the system may take to move and to end what was killed."""


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the process table.

    Attributes:
        state: R, S, D, T (stopped by a signal), Z (ended, but not yet waited for) …
        parent, group, session: ids of processes.
    """

    state: str
    parent: int
    group: int
    session: int


def process_table() -> dict[int, Process]:
    """Return every process that can be seen, by its id; empty where there is no ``/proc``."""
    table = {}
    for folder in PROC.iterdir() if PROC.is_dir() else ():
        if folder.name.isdigit() and (process := _process(int(folder.name))) is not None:
            table[int(folder.name)] = process
    return table


def families(leaders: Iterable[int]) -> dict[int, Process]:
    """Return processes and all that descends from them, by id.

    It reads a few files where ``process_table`` reads one of each process of the machine. Where the
    system does not list children, that is what it returns.
    """
    if not (PROC / "self" / "task" / str(os.getpid()) / "children").exists():
        return process_table()
    table = {}
    unread = list(leaders)
    while unread:
        pid = unread.pop()
        if pid not in table and (process := _process(pid)) is not None:
            table[pid] = process
            unread += _children(pid)
    return table


def _process(pid: int) -> Process | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        # The name of a process is in brackets, and may hold anything, brackets too.
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
        state, parent, group, session = text.rpartition(")")[2].split()[:4]
        return Process(state, int(parent), int(group), int(session))
    return None


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process."""
    children: list[int] = []
    with contextlib.suppress(OSError):  # it may end meanwhile
        for thread in (PROC / str(pid) / "task").iterdir():
            children += map(int, (thread / "children").read_text().split())
    return children


def belonging(leader: int, table: Mapping[int, Process], mark: str = "") -> set[int]:
    """Return the ids of the processes that belong to a worker and have not ended.

    They are the worker, what descends from it, what is in its session or group, and, where a mark
    is given, whatever has that mark in its environment.
    """
    members = {leader}
    grown = True
    while grown:
        grown = False
        for pid, process in table.items():
            related = process.parent in members or leader in (process.group, process.session)
            if pid not in members and (related or (mark and _marked(pid, mark))):
                members.add(pid)
                grown = True
    return {pid for pid in members if pid in table and table[pid].state not in "ZX"}


def descends(pid: int, ancestor: int, table: Mapping[int, Process]) -> bool:
    """Whether a process is a child of another, or a child of its child and so on."""
    ancestors: set[int] = set()
    while pid in table and pid not in ancestors:
        ancestors.add(pid)
        pid = table[pid].parent
        if pid == ancestor:
            return True
    return False


def end(leader: int, mark: str = "") -> None:
    """Kill a worker and every process that belongs to it, and wait until they are gone.

    The worker is stopped first, so that it cannot start others meanwhile, and killed last: what it
    left behind has moved to it (``adopt_orphans``), and would move on. What moves to this process
    is buried here, but for the worker, which its own starter waits for.
    """
    if leader != os.getpid():
        _signal([leader], signal.SIGSTOP)
    until = time.monotonic() + _PATIENCE
    ended: set[int] = set()
    while time.monotonic() < until:
        table = process_table()
        others = belonging(leader, table, mark) - {leader, os.getpid()}
        ended |= others | {pid for pid in table if descends(pid, leader, table)}
        if not others:
            break
        _signal(others, signal.SIGKILL)
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    _signal([leader], signal.SIGKILL)
    if leader != os.getpid():
        _bury(ended, leader)


def _bury(pids: set[int], leader: int) -> None:
    """Take the ends of processes that have moved here from a leader that was killed."""
    until = time.monotonic() + _A_MOMENT
    while pids and time.monotonic() < until:
        for pid in list(pids):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    pids.discard(pid)
        # What has another parent than the leader by now has moved elsewhere.
        table = process_table()
        pids &= {pid for pid in table if table[pid].parent in (leader, os.getpid())}
        time.sleep(0.002)


def end_descendants() -> None:
    """Kill whatever still descends from this process, and wait until it is gone."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        table = process_table()
        descendants = [pid for pid in table if descends(pid, os.getpid(), table)]
        if not descendants:
            return
        _signal(descendants, signal.SIGKILL)
        time.sleep(0.002)


class Waitable(Protocol):
    """A child process, such as ``subprocess.Popen``."""

    @property
    def pid(self) -> int:
        """Its id."""

    def poll(self) -> int | None:
        """Return how it ended; None while it runs."""


def has_ended(process: Waitable) -> bool:
    """Whether a child has ended; where the system lets it, its id is not given away by that."""
    if not hasattr(os, "waitid"):  # as on macOS
        return process.poll() is not None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def memory_of(pids: Iterable[int]) -> int:
    """Return the bytes that processes hold in memory, without files that can be read again.

    What two of them share since a fork counts twice.
    """
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += _kibibytes(PROC / str(pid) / "status", ("RssAnon", "RssShmem"))
    return total * 1024


def memory_of_machine() -> int | None:
    """Return the bytes of memory that this machine, or the container of this process, has."""
    sizes = []
    with contextlib.suppress(OSError):
        sizes.append(_kibibytes(PROC / "meminfo", ("MemTotal",)) * 1024)
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max" is not a number: it has none
            sizes.append(int((Path("/sys/fs/cgroup") / limit).read_text()))
    return min((size for size in sizes if size > 0), default=None)


def memory_left() -> int | None:
    """Return the bytes of memory that the machine can still give away, if it is known."""
    with contextlib.suppress(OSError):
        return _kibibytes(PROC / "meminfo", ("MemAvailable",)) * 1024 or None
    return None


def killed_for_memory() -> int:
    """Return how many processes the system has killed for lack of memory since it began."""
    with contextlib.suppress(OSError):
        for line in (PROC / "vmstat").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def killing(number: int, kills_before: int) -> str:
    """Say in words what killed a process, such as ``killed by SIGSEGV``.

    Args:
        number: the signal.
        kills_before: ``killed_for_memory`` of when the process was started.
    """
    words = f"killed by {signal_name(number)}"
    if number == signal.SIGKILL and killed_for_memory() > kills_before:
        words += " because the machine had no memory left; use fewer workers"
    return words


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends (Linux)."""
    _process_control(_SET_SUBREAPER, 1)


def mark_this(mark: str) -> None:
    """Give this process a mark that others see, although it was forked and not started (Linux).

    What others see is the memory that the system wrote the environment into at the start. It does
    not grow, so that the mark takes the place of the variables that fill it most; the environment
    itself has moved, and keeps them.
    """
    os.environ[MARK] = mark
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError, ValueError, IndexError):
        fields = (PROC / "self" / "stat").read_text(errors="replace").rpartition(")")[2].split()
        begin, end = int(fields[_ENVIRONMENT]), int(fields[_ENVIRONMENT + 1])
        if begin <= 0 or end - begin < len(MARK) + len(mark) + 2:
            return
        ctypes.CDLL(None).clearenv()
        for name, value in os.environb.items():
            os.putenv(name, value)
        content = f"{MARK}={mark}\0".encode()
        others = [name + b"=" + value + b"\0" for name, value in os.environb.items()]
        for line in sorted(others, key=len):
            if len(content) + len(line) <= end - begin and line not in content:
                content += line
        ctypes.memmove(begin, content.ljust(end - begin, b"\0"), end - begin)


def end_with_parent(parent: int) -> None:
    """Let the system kill this process when its parent ends (Linux); at once if it has.

    Args:
        parent: the id of the parent when this process was started.
    """
    _process_control(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def signal_name(number: int) -> str:
    """Return the name of a signal, such as ``SIGKILL``, or its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def offer_to_be_killed() -> None:
    """Where the system runs out of memory, let it choose this process before the command."""
    with contextlib.suppress(OSError):
        (PROC / "self" / "oom_score_adj").write_text("500")


def _process_control(option: int, value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _kibibytes(path: Path, names: tuple[str, ...]) -> int:
    """Add up lines such as ``RssAnon:   1234 kB``."""
    total = 0
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name in names:
            total += int(value.split()[0])
    return total


def _marked(pid: int, mark: str) -> bool:
    try:
        return f"{MARK}={mark}\0".encode() in (PROC / str(pid) / "environ").read_bytes() + b"\0"
    except OSError:
        return False


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
