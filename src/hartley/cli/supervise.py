"""Run a command in a child process, and answer for its exit code.

A command that plays imports and builds parts in its own process. One of them may end the program
with code 0, crash it, hang as it ends, leave processes behind or swallow a Ctrl-C. The parent runs
no part: it believes an exit code only where the command has confirmed it, and a pass only where it
judges the stored run so itself. It passes on what stops a command once, ends it at the second time,
and leaves no process behind.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from hartley.cli.terminal import complain
from hartley.engine.run import processes
from hartley.engine.run.interrupts import STOPPING

INCONCLUSIVE, STOPPED = 3, 130


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """What a command that ended without confirming its exit code answers.

    Attributes:
        words: what happened, for a line with the way in which it ended behind it.
        code: the exit code instead.
    """

    words: str
    code: int


NO_VERDICT = Unconfirmed("a part ended the program before its verdict", INCONCLUSIVE)

_PATIENCE = 10.0
"""Seconds that a command may take to stop."""
_FAREWELL = 5.0
"""Seconds that a process may take to end after its command has."""
_ONE_PRESS = 0.1
"""Seconds within which two signals are one: a shell and its child may both pass it on."""
_TOKEN_BYTES = 16


def can_supervise() -> bool:
    """Whether this system can run a command in a copy of this process."""
    return hasattr(os, "fork")


def supervised(
    command: Callable[[], int],
    judge: Callable[[], int] | None = None,
    unconfirmed: Unconfirmed = NO_VERDICT,
) -> int:
    """Run a command in a child process and return its exit code.

    Args:
        command: returns the exit code; what it prints goes where this process prints.
        judge: called in this process where the command has answered 0, after all its processes
            have ended; returns the code that counts then.
        unconfirmed: what counts where the command ends in another way.

    Returns:
        The code, if the command has returned it; 128 and the signal's number, if it was stopped by
        SIGINT (130), SIGTERM (143) or SIGHUP (129); else that of ``unconfirmed``, with a line that
        says why.
    """
    token = bytearray(os.urandom(_TOKEN_BYTES))
    confirmations, confirm = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    # Inherited from a shell that ignores it, it would let no child's end be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    parent, child = os.getpid(), os.fork()
    if child == 0:
        os.close(confirmations)
        return _as_child(command, parent, confirm, token)
    os.close(confirm)
    processes.adopt_orphans()
    supervisor = _Supervisor(child, confirmations, token, unconfirmed)
    try:
        code = supervisor.wait()
    finally:
        processes.end_descendants()
    code = judge() if code == 0 and judge is not None else code
    # While Python ends it gives signals back to the system, which would end the process otherwise.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    return code


def _as_child(command: Callable[[], int], parent: int, confirm: int, token: bytearray) -> int:
    this = os.getpid()
    processes.end_with_parent(parent)

    descriptors = [confirm]

    def forget() -> None:
        token[:] = bytes(_TOKEN_BYTES)
        while descriptors:  # a copy of a copy may have something else under that number
            with contextlib.suppress(OSError):
                os.close(descriptors.pop())

    os.register_at_fork(after_in_child=forget)  # workers are copies, and play parts
    stop = _StopOnce()
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, stop)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        code = command()
        stop.ignored = True
    except KeyboardInterrupt:  # before the command could hear it, or after it had ended
        code = STOPPED
        _say("stopped")
    if os.getpid() != this:  # a copy that a part has made
        os._exit(code)
    with contextlib.suppress(OSError):
        os.write(confirm, bytes([*token, code]))
    return code


@dataclass(slots=True)
class _StopOnce:
    """What a signal does to a command: the first one stops it, others do not disturb that."""

    ignored: bool = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if not self.ignored:
            self.ignored = True
            raise KeyboardInterrupt


@dataclass(slots=True)
class _Supervisor:
    child: int
    confirmations: int
    token: bytearray
    unconfirmed: Unconfirmed
    stopped_by: int = 0
    pressed: float = 0.0
    deadline: float = float("inf")
    received: bytes = b""
    killed: bool = False
    signals: list[int] = field(default_factory=list)

    def wait(self) -> int:
        """Wait for the end of the command."""
        waking, wake = os.pipe()
        for descriptor in (waking, wake, self.confirmations):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (*STOPPING, signal.SIGCHLD):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        watched = [waking, self.confirmations]
        while True:
            select.select(watched, [], [], max(0.0, min(1.0, self.deadline - time.monotonic())))
            with contextlib.suppress(BlockingIOError):
                for number in os.read(waking, 4096):
                    if number in STOPPING:
                        self._stop(number)
            if self.confirmations in watched and not self._confirmed():
                watched.remove(self.confirmations)
            ended, status = os.waitpid(self.child, os.WNOHANG)
            if ended:
                self._confirmed()
                return self._code(status)
            if time.monotonic() >= self.deadline:
                self._kill()

    def _stop(self, number: int) -> None:
        now = time.monotonic()
        if not self.stopped_by:
            self.stopped_by, self.pressed = number, now
            self.deadline = min(self.deadline, now + _PATIENCE)
            os.kill(self.child, number)
        elif now - self.pressed > _ONE_PRESS:
            self._kill()

    def _kill(self) -> None:
        self.killed, self.deadline = True, float("inf")
        os.kill(self.child, signal.SIGKILL)

    def _confirmed(self) -> bool:
        """Read what the command has confirmed; return whether it may still confirm something."""
        try:
            while piece := os.read(self.confirmations, 4096):
                self.received = (self.received + piece)[-8192:]
                if self.token in self.received and self.deadline == float("inf"):
                    self.deadline = time.monotonic() + _FAREWELL
        except BlockingIOError:
            return True
        return False

    def _code(self, status: int) -> int:
        _, token, rest = self.received.rpartition(self.token)
        code = rest[0] if token and rest else None
        if self.stopped_by and code in (None, STOPPED):
            if self.killed:
                self._show_cursor()
                _say(
                    "stopped at once; what was kept stays, and the same command goes on from there"
                )
            return 128 + self.stopped_by
        if code is not None:
            return code
        self._show_cursor()
        ending = f"it ended with exit code {os.waitstatus_to_exitcode(status)}"
        if os.WIFSIGNALED(status):
            ending = f"it was killed by {processes.signal_name(os.WTERMSIG(status))}"
        _say(f"{self.unconfirmed.words}: {ending}")
        return self.unconfirmed.code

    @staticmethod
    def _show_cursor() -> None:
        """Undo what a bar of progress has done to a terminal."""
        with contextlib.suppress(OSError, ValueError):
            if sys.stderr.isatty():
                sys.stderr.write("\033[?25h")


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody may be there to read it
        complain(line)
