"""Attacks that end their process, do not end, or leave something running."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

from hartley.core import ALL, Access, Term, attack
from hartley.games.membership.membership import membership
from misbehaving import honest


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def exits_with_0(view, rng):
    """End the interpreter as if all were well."""
    sys.exit(0)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def leaves_through_c(view, rng):
    """End the process as if all were well, below Python."""
    ctypes.CDLL(None)._exit(0)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def kills_itself(view, rng):
    """Send the signal that cannot be caught."""
    os.kill(os.getpid(), signal.SIGKILL)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def kills_its_group(view, rng):
    """Send the signal that cannot be caught to the whole process group."""
    os.killpg(0, signal.SIGKILL)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def reads_address_0(view, rng):
    """Read memory that is not there."""
    ctypes.string_at(0)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def stops_itself(view, rng):
    """Stop like a process in the background, and never go on."""
    os.kill(os.getpid(), signal.SIGSTOP)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def sleeps(view, rng):
    """Sleep for longer than anybody waits."""
    time.sleep(100_000)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def never_gives_up(view, rng):
    """Ignore every signal that can be ignored, and every exception."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(0.1)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def holds_the_interpreter(view, rng):
    """Count below Python, where no other thread gets a turn."""
    sum(range(10**15))


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def recurses(view, rng):
    """Call itself without end, with no limit to the depth."""
    sys.setrecursionlimit(2**31 - 1)

    def deeper(depth):
        return [deeper(depth + 1)]

    deeper(0)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def forks_and_returns_twice(view, rng):
    """Leave a copy of the process that answers too."""
    os.fork()
    return honest(view)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def forks_many(view, rng):
    """Start copies of copies that stay, in sessions of their own."""
    for _ in range(4):
        if os.fork() == 0:
            os.setsid()
    if os.getpid() != os.getsid(0) or os.getppid() == 1:
        return honest(view)
    time.sleep(100_000)
    return None


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def leaves_a_daemon(view, rng):
    """Start a process of another session that keeps all descriptors, and forget it."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(100_000)
        os._exit(0)
    return honest(view)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def leaves_a_nameless_daemon(view, rng):
    """Start a program of another session and with an empty environment, and die."""
    subprocess.Popen(["sleep", "100000"], start_new_session=True, env={})
    os._exit(0)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def hangs_at_exit(view, rng):
    """Answer, and take for ever when the interpreter ends."""
    atexit.register(time.sleep, 100_000)
    threading.Thread(target=time.sleep, args=(100_000,)).start()
    return honest(view)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def raises_later(view, rng):
    """Answer, and leave a thread that raises when the answer is on its way."""

    def late():
        time.sleep(0.05)
        raise RuntimeError("on purpose, later")

    threading.Thread(target=late).start()
    return honest(view)
