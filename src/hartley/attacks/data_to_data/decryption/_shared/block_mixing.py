"""A net of two layers that inverts encryption by blocks: one mixes blocks, one mixes within them.

Every map of ``games.decryption.picture_ciphers`` is exactly such a net, with unknown weights. It is
trained by alternating least squares: with one layer fixed, the best weights of the other are those
of a linear regression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.games.decryption.picture_ciphers import cut, nibbles

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FITS = 1e-4
"""Mean squared error, of a range of −1..1, below which nothing is left to train."""

RIDGE = 1e-9
"""Weight of the ridge penalty, as a share of the mean energy of the features."""


def trained(
    encrypted: NDArray[Any], plain: NDArray[Any], block: int, passes: int
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Train the net on pairs of encrypted and plain pictures.

    Args:
        encrypted: (n, c, h, w) bytes.
        plain: (n, c, h, w) bytes, the same pictures.
        block: side of a block, in pixels.
        passes: over both layers, from each start; where a key is found, the first already fits.

    Returns:
        A function from encrypted pictures to plain blocks (n, blocks, c·block²) of −1..1.
    """
    x, y = features(encrypted, block), cut(plain, block) / 127.5 - 1
    best, least = None, np.inf
    starts = (_mixing(x @ _as_bytes(y.shape[2]), y), np.eye(x.shape[1]), _matched_energy(x, y))
    for start in starts:
        mix = start
        for _ in range(passes):
            mixed = np.einsum("pb,nbf->npf", mix, x)
            within = _solved(mixed.reshape(-1, x.shape[2]), y.reshape(-1, y.shape[2]))
            inner = x @ within
            mix = _mixing(inner, y)
            error = float(((np.einsum("pb,nbf->npf", mix, inner) - y) ** 2).mean())
            if error < least:
                best, least = (mix, within), error
            if least < FITS:
                break
        if least < FITS:
            break
    assert best is not None
    outer, inner_weights = best

    def net(pictures: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(
            np.einsum("pb,nbf->npf", outer, features(pictures, block) @ inner_weights)
        )

    return net


def features(pictures: NDArray[Any], block: int) -> NDArray[np.float64]:
    """Return the upper and the lower four bits of each byte, by blocks, as numbers of −1..1."""
    return np.asarray(nibbles(cut(pictures, block).astype(np.int64)) / 7.5 - 1)


def _matched_energy(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Return (blocks, blocks) a first guess of which encrypted block is which plain one.

    No movement of pixels and no negative changes how far the bits of a block are from grey.
    """
    from scipy.optimize import linear_sum_assignment

    halves = nibbles(np.rint((y + 1) * 127.5).astype(np.int64)) / 7.5 - 1
    encrypted, plain = np.abs(x).mean(2), np.abs(halves).mean(2)
    distance = ((plain.T[:, None] - encrypted.T[None]) ** 2).sum(2)
    rows, columns = linear_sum_assignment(distance)
    mix = np.zeros(distance.shape)
    mix[rows, columns] = 1
    return mix


def _mixing(inner: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Return (blocks, blocks) the best mixture of blocks, given what is within each."""
    blocks = y.shape[1]
    return _solved(
        inner.transpose(0, 2, 1).reshape(-1, blocks), y.transpose(0, 2, 1).reshape(-1, blocks)
    ).T


def _as_bytes(size: int) -> NDArray[Any]:
    """Return (2·size, size) the layer that takes upper and lower bits as they are."""
    return np.concatenate([np.eye(size) * 120, np.eye(size) * 7.5]) / 127.5


def _solved(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    square = x.T @ x
    square[np.diag_indices(len(square))] += RIDGE * max(1e-9, float(np.trace(square)) / len(square))
    return np.linalg.solve(square, x.T @ y)
