"""Accounts of one attacker with a victim: several sessions that the attacker asks in turn.

An owner meters, detects and refuses by account. An attacker with k accounts has k sessions with the
same model, each with a quota and a history of its own, unless the owner can see that they belong
together (a payment, an organisation, an address). A defense that watches what was asked opens one
stream per session (:func:`watched`), or one that the accounts of an attacker share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from hartley.core.capabilities import CAPABILITIES

if TYPE_CHECKING:
    from hartley.core import Model
    from hartley.core.assets import Session

Stream = Callable[[str, Callable[..., Any], Any, tuple[Any, ...]], Any]
"""(capability, what answers, records, further arguments) → what this account is answered."""


class _Group:
    """The accounts that are opened together: one attacker's."""

    def __init__(self) -> None:
        self.opened = 0


_group: ContextVar[_Group | None] = ContextVar("group", default=None)


def spread(opened: Callable[[], Session] | None, accounts: int) -> Session | None:
    """Open the sessions of several accounts of one attacker, and ask them in turn.

    Record i of all that is asked goes to account i modulo ``accounts``, whatever capability asks
    for it, so that each account asks the same number of records, give or take one.

    Args:
        opened: opens one session (``Model.session``), or None where the model has none.
        accounts: their number, at least 1.

    Returns:
        One session that hides them; None where the model has no sessions.
    """
    if opened is None:
        return None
    sessions = []
    with _together() as group:
        for _ in range(accounts):
            sessions.append(opened())
            group.opened += 1
    count = 0

    def session(name: str, function: Callable[..., Any]) -> Any:
        calls = [one(name, function) for one in sessions]

        def call(x: Any, *arguments: Any) -> Any:
            nonlocal count
            who = (count + np.arange(len(x))) % accounts
            count += len(x)
            if len(calls) == 1 or not len(x):
                return calls[0](x, *arguments)
            parts = []
            for k in np.unique(who):
                turn = np.flatnonzero(who == k)
                part = calls[k](rows(x, turn), *of_rows(name, arguments, len(x), turn))
                parts.append((turn, part))
            return _merged(parts, len(x))

        return call

    return session


def watched(model: Model, opens: Callable[[], Stream], *, shared: bool = False) -> Model:
    """Return the model with one stream around all that an account asks.

    The owner's and the judge's own questions pass no stream.

    Args:
        model: whose capabilities that answer records are watched; one session has one stream.
        opens: makes the stream of a new account.
        shared: the accounts of one attacker share one stream, as where the owner can link them.
    """
    inner = model.session
    streams: WeakKeyDictionary[_Group, Stream] = WeakKeyDictionary()

    def stream_of_account() -> Stream:
        group = _group.get()
        if not shared or group is None:
            return opens()
        if group not in streams:
            streams[group] = opens()
        return streams[group]

    def opened() -> Session:
        inner_session = inner() if inner is not None else None
        stream = stream_of_account()

        def session(name: str, function: Callable[..., Any]) -> Any:
            answer = inner_session(name, function) if inner_session is not None else function

            def call(x: Any, *arguments: Any) -> Any:
                return stream(name, answer, x, arguments)

            return call

        return session

    return replace(model, session=opened)


def of_rows(name: str, arguments: tuple[Any, ...], n: int, some: Any) -> tuple[Any, ...]:
    """Return the further arguments of a capability for some of n records.

    Args:
        name: the capability.
        arguments: after the records; arrays have a row for each record, a number is of all.
        n: number of records.
        some: a slice or row numbers.
    """
    if name == "token_slope":  # places may be the same for all rows
        places = np.broadcast_to(arguments[1], (n, np.shape(arguments[1])[-1]))
        arguments = (arguments[0], places, *arguments[2:])
    return tuple(a[some] if isinstance(a, np.ndarray) and a.ndim else a for a in arguments)


def rows(x: Any, some: Any) -> Any:
    """Return some of the records: of an array, or of a list of texts or conversations."""
    return x[some] if isinstance(x, np.ndarray) else [x[i] for i in some]


def refusal(model: Model, name: str, x: Any, arguments: tuple[Any, ...]) -> Any:
    """Return the empty answer of a capability to records x: what a refused account gets."""
    empty = CAPABILITIES[name].empty
    assert empty is not None, f"{name} has no empty answer"
    return empty(model, (x, *arguments))


def joined(parts: list[Any]) -> Any:
    """Return the answers to the first and to the later records as one list or array."""
    if isinstance(parts[-1], list):
        return [answer for part in parts for answer in part]
    return np.concatenate([np.asarray(part) for part in parts])


def _merged(parts: list[tuple[np.ndarray[Any, Any], Any]], n: int) -> Any:
    """Put answers to disjoint rows back into the order in which the records were asked."""
    together = joined([answers for _, answers in parts])
    back = np.empty(n, np.int64)
    back[np.concatenate([at for at, _ in parts])] = np.arange(n)
    return [together[i] for i in back] if isinstance(together, list) else together[back]


def account_number() -> int:
    """Return how many accounts of the same attacker were opened before this one.

    A defense that draws something for each account seeds it with this number, so that a run
    repeats.
    """
    group = _group.get()
    return 0 if group is None else group.opened


@contextmanager
def _together() -> Iterator[_Group]:
    group = _Group()
    token = _group.set(group)
    try:
        yield group
    finally:
        _group.reset(token)
