"""Attacks on membership that crash, die, lie, chatter or take their time."""

from __future__ import annotations

import faulthandler
import os
import sys
import time
from pathlib import Path

import numpy as np

from hartley.core import ALL, Access, Data, Outcome, Term, attack
from hartley.games.membership.membership import membership


def _told(view) -> Outcome:
    """Read the wire honestly: how sure the victim is of the label."""
    asked = view.brief.question
    guess = view.model.query(asked.x)[np.arange(len(asked)), asked.y]
    return Outcome(guess=guess, asset=Data("claimed", asked.modality, asked.x[guess > 0.5]))


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def crashes(view, rng):
    """Raise an exception."""
    raise ValueError("on purpose\nin two lines")


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def leaves(view, rng):
    """End the interpreter politely."""
    sys.exit(0)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def dies(view, rng):
    """End the process without a word."""
    os._exit(7)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def segfaults(view, rng):
    """Read memory that is not there."""
    faulthandler._sigsegv()


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def answers_nan(view, rng):
    """Guess what is no number."""
    told = _told(view)
    return Outcome(guess=np.full(len(told.guess), np.nan), asset=told.asset)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def wants_torch_of_mars(view, rng):
    """Import what is not installed."""
    import torch_of_mars  # noqa: F401


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def chatters(view, rng):
    """Print to standard output."""
    sys.stdout.write("{} not JSON\n")
    os.write(1, b"from below Python\n")
    return _told(view)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def honest(view, rng, *, noise: float = 0.0, loud: bool = False, word: str = "a", times: int = 1):
    """Read the wire.

    Args:
        noise: standard deviation of noise on the answer.
        loud: nothing.
        word: nothing.
        times: nothing.
    """
    told = _told(view)
    guess = told.guess + noise * rng.normal(size=len(told.guess))
    return Outcome(guess=guess, asset=told.asset)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def naps(view, rng, *, seconds: float = 0.2, mark: str = "", pause: str = ""):
    """Take a while before reading the wire.

    Args:
        seconds: how long a round takes.
        mark: a file that says that it began.
        pause: a file; it waits for as long as it is there.
    """
    if mark:
        Path(mark).touch()
    time.sleep(seconds)
    while pause and Path(pause).exists():
        time.sleep(0.1)
    return _told(view)
