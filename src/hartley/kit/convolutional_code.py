"""An error-correcting code for short marks: convolutional, constraint length 7, soft decisions.

The generators are the usual ones of maximal free distance (133, 171, 165 octal for rate 1/3). The
decoder is Viterbi's algorithm (doi:10.1109/TIT.1967.1054010) over 64 states, one array step a bit.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GENERATORS = (0o133, 0o171, 0o165)
MEMORY = 6
STATES = 1 << MEMORY


def length(bits: int) -> int:
    """Return how many coded bits carry ``bits`` message bits (the tail returns to state 0)."""
    return (bits + MEMORY) * len(GENERATORS)


def encode(message: NDArray[Any]) -> NDArray[Any]:
    """Return the coded bits, (length(m),), of message bits (m,)."""
    _, output = _trellis()
    state, coded = 0, []
    for bit in [*np.asarray(message, dtype=np.int64).tolist(), *([0] * MEMORY)]:
        coded.append(output[state, bit])
        state = ((bit << MEMORY) | state) >> 1
    return np.concatenate(coded).astype(np.int64)


def signs(message: NDArray[Any]) -> NDArray[np.float64]:
    """Return the coded bits of a message (m,) as signs −1 and 1, (length(m),)."""
    return np.asarray(2.0 * encode(message) - 1.0)


def decode(soft: NDArray[Any], bits: int) -> NDArray[Any]:
    """Return the message of largest correlation with what was received.

    Args:
        soft: (length(bits),) real numbers, larger = more like 1, 0 = unknown.
        bits: how many message bits.

    Raises:
        ValueError: ``soft`` has another length than the code.
    """
    if len(soft) != length(bits):
        raise ValueError(f"soft must have {length(bits)} values for {bits} bits, got {len(soft)}")
    before, output = _trellis()
    sent = 2.0 * output - 1.0
    score = np.full(STATES, -np.inf)
    score[0] = 0.0
    choice = np.zeros((bits + MEMORY, STATES), dtype=np.int64)
    # A state names the last six bits; its newest bit says which input led to it.
    newest = np.arange(STATES) >> (MEMORY - 1)
    for step, received in enumerate(np.asarray(soft).reshape(-1, len(GENERATORS))):
        gain = sent @ received
        paths = score[before] + gain[before, newest[:, None]]
        if step >= bits:
            paths[newest == 1] = -np.inf
        choice[step] = paths.argmax(1)
        score = paths.max(1)
    state, message = 0, np.zeros(bits + MEMORY, dtype=np.int64)
    for step in range(bits + MEMORY - 1, -1, -1):
        message[step] = newest[state]
        state = int(before[state, choice[step, state]])
    return message[:bits]


@cache
def _trellis() -> tuple[NDArray[Any], NDArray[Any]]:
    """Return each state's predecessors (states, 2) and coded bits (states, 2, generators)."""
    state = np.arange(STATES)
    before = ((state << 1) & (STATES - 1))[:, None] | np.arange(2)
    register = (np.arange(2) << MEMORY) | state[:, None]
    taps = np.array(GENERATORS)
    output = np.bitwise_count(register[:, :, None] & taps) & 1
    return before, output.astype(np.int64)
