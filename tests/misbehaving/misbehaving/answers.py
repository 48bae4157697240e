"""Attacks that answer or raise what cannot be measured, written down or printed."""

from __future__ import annotations

import threading

import numpy as np

from hartley.core import ALL, Access, Outcome, Term, attack
from hartley.games.membership.membership import membership
from misbehaving import honest


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def answers_text(view, rng):
    """Answer with a text."""
    return "a text"


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def answers_nan(view, rng):
    """Answer with what is not a number."""
    outcome = honest(view)
    return Outcome(guess=np.full(len(outcome.guess), np.nan), asset=outcome.asset)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def answers_too_few(view, rng):
    """Answer for all records but one."""
    outcome = honest(view)
    return Outcome(guess=outcome.guess[1:], asset=outcome.asset)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def answers_locks(view, rng):
    """Answer with objects that cannot be sent."""
    count = len(honest(view).guess)
    return Outcome(guess=np.array([threading.Lock() for _ in range(count)], object), asset=None)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def is_a_generator(view, rng):
    """Yield instead of returning."""
    yield honest(view)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def interrupts(view, rng):
    """Raise the interrupt of a Ctrl-C that nobody pressed."""
    raise KeyboardInterrupt


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def raises_another_base(view, rng):
    """Raise what is not an Exception."""

    class Farewell(BaseException):
        pass

    raise Farewell("on purpose")


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def raises_unspeakable(view, rng):
    """Raise an error whose message raises another."""

    class Unspeakable(Exception):
        def __str__(self):
            raise SystemExit(0)

        __repr__ = __str__

    raise Unspeakable


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def raises_half_a_character(view, rng):
    """Raise an error whose message holds control characters and half a character."""
    raise ValueError("\ud800 \x1b[31m \x00 \u202e on purpose " + "x" * 10_000_000)
