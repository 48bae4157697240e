"""Speck32/64, a block cipher of two words of 16 bits, with as many of its rounds as are wanted.

Beaulieu and others 2013 (eprint:2013/404). Many blocks are encrypted at once, each under a key of
its own or all under one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FULL = 22
"""Rounds of the cipher as it is used."""

WORD = 16


def round_keys(keys: NDArray[Any], rounds: int = FULL) -> NDArray[np.uint16]:
    """Return (rounds, …) words that the rounds use.

    Args:
        keys: (…, 4) words of 16 bits as they are published, the last of which the first round uses.
        rounds: how many.
    """
    words = np.moveaxis(np.asarray(keys, dtype=np.uint16), -1, 0)
    out = np.empty((rounds, *words.shape[1:]), dtype=np.uint16)
    out[0] = words[3]
    waiting = [words[2], words[1], words[0]]
    for k in range(rounds - 1):
        mixed, out[k + 1] = _round(waiting[k % 3], out[k], np.uint16(k))
        waiting[k % 3] = mixed
    return out


def encrypted(blocks: NDArray[Any], keys: NDArray[Any], rounds: int = FULL) -> NDArray[np.uint16]:
    """Return (…, 2) blocks encrypted by the first ``rounds`` rounds.

    Args:
        blocks: (…, 2) words of 16 bits, left and right.
        keys: (…, 4) words, or (4,) for one key.
        rounds: 1 to 22.
    """
    words = np.asarray(blocks, dtype=np.uint16)
    left, right = words[..., 0], words[..., 1]
    for key in round_keys(keys, rounds):
        left, right = _round(left, right, key)
    return np.stack([left, right], axis=-1)


def _round(left: Any, right: Any, key: Any) -> tuple[Any, Any]:
    """Return both words after one round; the schedule of keys is this round too."""
    with np.errstate(over="ignore"):  # words add modulo 2¹⁶
        left = (rotated(left, -7) + right) ^ key
    return left, rotated(right, 2) ^ left


def rotated(words: NDArray[np.uint16], by: int) -> NDArray[np.uint16]:
    """Return words of 16 bits rotated to the left; to the right where ``by`` is negative."""
    by %= WORD
    out: NDArray[np.uint16] = (words << np.uint16(by)) | (words >> np.uint16(WORD - by))
    return out
