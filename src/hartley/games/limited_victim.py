"""A victim that answers each attacker at most a number of times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hartley.core.errors import BudgetSpent

if TYPE_CHECKING:
    from hartley.core import Model
    from hartley.core.assets import Session


def limited(victim: Model, limit: int, records: str) -> Model:
    """Return the victim with at most ``limit`` answers in one attacker's session.

    Args:
        victim: whose own callables stay without limit, for the owner and the judge.
        limit: answers in a round.
        records: what is asked, for the error: ``records``, ``answers``.
    """
    inner = victim.session

    def opened() -> Session:
        inner_session = inner() if inner is not None else None
        left = limit

        def session(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            answer = inner_session(name, function) if inner_session is not None else function

            def call(x: Any, *arguments: Any) -> Any:
                nonlocal left
                if len(x) > left:
                    raise BudgetSpent(f"queries must be at most {limit} {records} in a round")
                left -= len(x)
                return answer(x, *arguments)

            return call

        return session

    return replace(victim, session=opened)
