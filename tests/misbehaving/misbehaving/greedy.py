"""Attacks that take all there is: memory, disk, descriptors."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np

from hartley.core import ALL, Access, Outcome, Term, attack
from hartley.games.membership.membership import membership
from misbehaving import honest

BYTES = 600_000_000


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def eats_memory(view, rng):
    """Hold one more block of memory after another."""
    blocks = []
    while True:
        blocks.append(np.ones(4_000_000))


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def children_eat_memory(view, rng):
    """Let child processes hold the memory."""
    for _ in range(3):
        if os.fork() == 0:
            blocks = []
            while True:
                blocks.append(np.ones(4_000_000))
    os.waitpid(-1, 0)
    return honest(view)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def prints_without_end(view, rng):
    """Print more than half a gigabyte, from Python and below it."""
    line = "x" * 999_999 + "\n"
    for _ in range(BYTES // 2_000_000):
        sys.stdout.write(line)
        os.write(2, line.encode())
    return honest(view)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def opens_everything(view, rng):
    """Open files until the system gives no more."""
    files = []
    while True:
        files.append(os.open(os.devnull, os.O_RDONLY))


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def closes_everything(view, rng):
    """Close every descriptor."""
    os.closerange(0, 65_536)
    return honest(view)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def writes_everywhere(view, rng):
    """Write to every descriptor that there is."""
    for descriptor in range(1024):
        try:
            os.set_blocking(descriptor, False)
            os.write(descriptor, b"\xff" * 4096)
        except OSError:
            continue
    return honest(view)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def keeps_writing_everywhere(view, rng):
    """Answer, and leave a thread that writes to every descriptor."""

    def write():
        while True:
            for descriptor in range(1024):
                try:
                    os.write(descriptor, b'{"key": 1}')
                except OSError:
                    continue

    threading.Thread(target=write, daemon=True).start()
    return honest(view)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def answers_a_huge_array(view, rng):
    """Answer with a number for every record of a country."""
    return Outcome(guess=np.zeros(100_000_000), asset=honest(view).asset)
