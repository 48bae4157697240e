"""The strongest change that the quality floor allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def strongest(
    change: Callable[[float], NDArray[Any]],
    holds: Callable[[NDArray[Any]], bool],
    untouched: NDArray[Any],
    steps: int,
    top: float = 1.0,
) -> NDArray[Any]:
    """Return the item of the largest strength in 0..top that is above the floor, by bisection.

    Args:
        change: strength → item; larger strengths change more.
        holds: item → whether it is above the floor.
        untouched: what is returned where no strength that was tried is.
        steps: bisections after the largest strength itself.
        top: largest strength.
    """
    whole = change(top)
    if holds(whole):
        return whole
    low, high, best = 0.0, top, untouched
    for _ in range(steps):
        middle = (low + high) / 2
        candidate = change(middle)
        if holds(candidate):
            low, best = middle, candidate
        else:
            high = middle
    return best
