"""How attacks on marked recordings find the strongest change that the quality floor allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray


def strongest(
    change: Callable[[float], NDArray[Any]],
    holds: Callable[[NDArray[Any]], bool],
    untouched: NDArray[Any],
    steps: int,
) -> NDArray[Any]:
    """Return the recording of the largest strength in 0..1 that is above the floor, by bisection.

    Args:
        change: strength → recording; larger strengths change more.
        holds: recording → whether it is above the floor.
        untouched: what is returned where no strength that was tried is.
        steps: bisections after strength 1 itself.
    """
    whole = change(1.0)
    if holds(whole):
        return whole
    low, high, best = 0.0, 1.0, untouched
    for _ in range(steps):
        middle = (low + high) / 2
        candidate = change(middle)
        if holds(candidate):
            low, best = middle, candidate
        else:
            high = middle
    return best


def published(wave: NDArray[Any], name: str) -> Outcome:
    """Return a cleaned recording (samples,) as the loot of an attack."""
    x = np.clip(np.asarray(wave, np.float32), -1, 1)[None]
    return Outcome(asset=Data(name, Modality.AUDIO, x, role="cleaned recording"))
