"""Perceptual encryption of pictures: what nets can still learn from, or files still compress.

All of them move and invert pieces of a picture by a key that an owner uses for all pictures of an
album. That is what lets a net learn from encrypted pictures, and what an attacker learns from too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality
from hartley.core.errors import UsageError
from hartley.kit.protection import BYTES, Protection, Published
from hartley.kit.vision.image import tiles, untile

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hartley.core.parts import Rng

BLOCK, SMALL_BLOCK = 8, 4
"""Side of a block that changes places, and of one whose pixels do, in pixels."""


def block_scramble(block: int = BLOCK) -> Protection:
    """Return a protection that permutes the blocks of each picture.

    Args:
        block: side of a block, in pixels.
    """
    return _moved("block_scramble", block, _places)


def inverted_blocks(block: int = BLOCK) -> Protection:
    """Return the block steps of encryption-then-compression, as in doi:10.3390/info14060311.

    Blocks change places, and half of them become negatives. Rotation of blocks and the shuffling of
    colours, which complete the scheme, are left out.

    Args:
        block: side of a block, in pixels.
    """

    def key(blocks: int, size: int, rng: Rng) -> Step:
        move, negative = _places(blocks, size, rng), rng.random(blocks) < 0.5

        def step(pieces: NDArray[Any]) -> NDArray[Any]:
            moved = move(pieces)
            return np.where(negative[:, None], BYTES - 1 - moved, moved)

        return step

    return _moved("inverted_blocks", block, key)


def learnable(block: int = SMALL_BLOCK) -> Protection:
    """Return Tanaka's learnable encryption (arXiv:1804.00490).

    Each block is split into its upper and lower four bits. They are moved within the block, and
    half of them are inverted, in every block of every picture alike.

    Args:
        block: side of a block, in pixels.
    """
    return _moved("learnable", block, _within)


def extended_learnable(block: int = SMALL_BLOCK) -> Protection:
    """Return the extended learnable encryption of doi:10.3390/info14060311, where blocks also move.

    Args:
        block: side of a block, in pixels.
    """

    def key(blocks: int, size: int, rng: Rng) -> Step:
        move, change = _places(blocks, size, rng), _within(blocks, size, rng)
        return lambda pieces: change(move(pieces))

    return _moved("extended_learnable", block, key)


if TYPE_CHECKING:
    Step = Callable[[NDArray[Any]], NDArray[Any]]
    """(n, blocks, bytes of a block) → the same, encrypted."""


def cut(pictures: NDArray[Any], block: int) -> NDArray[Any]:
    """Return pictures (n, c, h, w) as blocks (n, blocks, c·block²), row by row.

    Raises:
        UsageError: height or width is not a multiple of ``block``.
    """
    count, channels, height, width = pictures.shape
    if height % block or width % block:
        raise UsageError(
            f"pictures must have sides that are multiples of {block}, the side of a block, got "
            f"{height} × {width}"
        )
    pieces = tiles(pictures, block).transpose(0, 2, 1, 3, 4)
    return np.asarray(pieces.reshape(count, -1, channels * block * block))


def joined(pieces: NDArray[Any], shape: tuple[int, ...], block: int) -> NDArray[Any]:
    """Undo ``cut``: return blocks as pictures of a shape (n, c, h, w)."""
    count, channels, height, width = shape
    whole = pieces.reshape(count, -1, channels, block, block).transpose(0, 2, 1, 3, 4)
    return untile(whole, height, width)


def _moved(name: str, block: int, key: Callable[[int, int, Rng], Step]) -> Protection:
    def protect(album: NDArray[Any], rng: Rng) -> Published:
        pieces = cut(np.asarray(album), block)
        changed = key(pieces.shape[1], pieces.shape[2], rng)(pieces.astype(np.int64))
        return Published(joined(changed, album.shape, block))

    return Protection(name, Modality.VISION, protect, BYTES)


def _places(blocks: int, size: int, rng: Rng) -> Step:
    del size
    order = rng.permutation(blocks)
    return lambda pieces: pieces[:, order]


def _within(blocks: int, size: int, rng: Rng) -> Step:
    del blocks
    order, negative = rng.permutation(2 * size), rng.random(2 * size) < 0.5

    def step(pieces: NDArray[Any]) -> NDArray[Any]:
        halves = nibbles(pieces)
        halves = np.where(negative, 15 - halves, halves)[..., order]
        upper, lower = np.split(halves, 2, axis=-1)
        return np.asarray(16 * upper + lower)

    return step


def nibbles(pieces: NDArray[Any]) -> NDArray[Any]:
    """Return bytes (…, n) as their upper and their lower four bits (…, 2n)."""
    return np.asarray(np.concatenate([pieces >> 4, pieces & 15], axis=-1))
