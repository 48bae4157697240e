"""Which words to exchange so that few windows of tokens stay whole, at the least cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def cheapest_cover(
    sizes: NDArray[Any], costs: NDArray[Any], worth: float, window: int
) -> list[int]:
    """Return places of words whose costs and windows left whole add up to the least, in order.

    The state of the dynamic programme is how many tokens before a word are kept in a row, of which
    window − 1 are enough to know.

    Args:
        sizes: (n,) tokens of each word, at least 1; all of them go when the word is exchanged.
        costs: (n,) of exchanging it; infinite for one that cannot be.
        worth: what a window that is left whole costs.
        window: neighbouring tokens in each window.
    """
    before = window - 1
    states = np.arange(before + 1)
    best = np.full(before + 1, np.inf)
    best[0] = 0.0
    choices = []
    for size, cost in zip(sizes.tolist(), costs.tolist(), strict=True):
        left = np.maximum(0, states + size - before) - np.maximum(0, states - before)
        stays = best + worth * left
        following = np.minimum(states + size, before)
        # Several states lead to the last one, whose tokens are enough to know.
        new, origin = np.full(before + 1, np.inf), np.full(before + 1, -1)
        for state in states[np.isfinite(best)].tolist():
            to = int(following[state])
            if stays[state] < new[to]:
                new[to], origin[to] = stays[state], state
        cheapest = int(best.argmin())
        exchanged = best[cheapest] + cost < new[0]
        if exchanged:
            new[0], origin[0] = best[cheapest] + cost, cheapest
        choices.append((exchanged, origin))
        best = new
    state, out = int(best.argmin()), []
    for place in range(len(choices) - 1, -1, -1):
        exchanged, origin = choices[place]
        if state == 0 and exchanged:
            out.append(place)
        state = int(origin[state])
    return out[::-1]
