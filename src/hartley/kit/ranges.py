"""Parameters that are out of their range: one line for the user, before anything is played.

A search of no steps finds nothing, and nothing found reads as nothing leaked.
"""

from __future__ import annotations

from math import inf

from hartley.core.errors import UsageError


def at_least(who: str, low: float, high: float = inf, /, **values: float) -> None:
    """Hold parameters against ``low`` ≤ value ≤ ``high``, and finite.

    Args:
        who: the part that takes them.
        low: the least that is good.
        high: the most that is good.
        values: the parameters, by name.

    Raises:
        UsageError: one lies outside.
    """
    for name, value in values.items():
        if not low <= value <= high or value in (inf, -inf):
            _refuse(who, name, value, "finite" if low == -inf else f"{low:g} at least", high)


def above(who: str, low: float, high: float = inf, /, **values: float) -> None:
    """Hold parameters against ``low`` < value ≤ ``high``, and finite.

    Args:
        who: the part that takes them.
        low: must be exceeded.
        high: the most that is good.
        values: the parameters, by name.

    Raises:
        UsageError: one lies outside.
    """
    for name, value in values.items():
        if not low < value <= high or value == inf:
            _refuse(who, name, value, f"above {low:g}", high)


def _refuse(who: str, name: str, value: float, due: str, high: float) -> None:
    most = "" if high == inf else f" and {high:g} at most"
    raise UsageError(f"{who}: {name} = {value}; it must be {due}{most}")
