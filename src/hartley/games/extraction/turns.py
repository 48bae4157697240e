"""Several accounts at one service: an attacker's sessions, one after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hartley.core import Model
    from hartley.core.assets import Session


def in_turn(victim: Model, each: int) -> Model:
    """Return the victim with a new session of its own after every ``each`` records of an attacker.

    What depends on how much an account asked before (``Model.session``) starts afresh with each
    account.

    Args:
        victim: the service. One without sessions answers all accounts alike, and is returned.
        each: records that an account asks for.
    """
    inner = victim.session
    if inner is None:
        return victim

    def opened() -> Session:
        sessions = [inner()]
        spent = 0

        def session(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            def call(x: Any, *arguments: Any) -> Any:
                nonlocal spent
                parts = []
                while True:
                    share = x[: each - spent]
                    parts.append(sessions[-1](name, function)(share, *arguments))
                    spent, x = spent + len(share), x[len(share) :]
                    if spent == each:
                        sessions.append(inner())
                        spent = 0
                    if not len(x):
                        return np.concatenate([np.asarray(part) for part in parts])

            return call

        return session

    return replace(victim, session=opened)
