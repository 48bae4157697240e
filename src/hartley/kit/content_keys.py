"""Keys that depend on what an item shows: a mark copied from one item into another is not read.

The key of an item is drawn from the owner's key and a *robust digest* of the item: signs that a
change within the quality floor seldom turns (the remedy for the copy attack,
doi:10.1117/12.384991). Where some signs are near zero, the reader tries both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import spawn
from hartley.kit.marker import Marker, read_under, tagged
from hartley.kit.vision import image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

SIDE, FREQUENCIES = 16, 4
"""Side of the small picture that a digest looks at, and rows and columns of its DCT."""

FRAMES, BANDS = 4, 6
"""Stretches of a clip, and bands of each, that a digest compares."""

SIGNS = 20
"""Signs of the digest of a table."""

TRIES = 8
"""Embeddings until the marked item is read under the key that it was marked with."""

Digest = Callable[[Any], "NDArray[Any]"]
"""Item → real numbers whose signs are its digest."""


def picture_digest(picture: NDArray[Any]) -> NDArray[np.float64]:
    """Return the 15 lowest DCT coefficients, without the mean, of the luma of a picture."""
    from scipy.fft import dctn

    luma = image.to_ycc(picture)[0]
    rows, columns = (np.linspace(0, n, SIDE + 1).astype(int)[:-1] for n in luma.shape)
    small = np.add.reduceat(np.add.reduceat(luma, rows, axis=0), columns, axis=1)
    spectrum: NDArray[np.float64] = np.asarray(dctn(small, norm="ortho"), np.float64)
    return spectrum[:FREQUENCIES, :FREQUENCIES].ravel()[1:]


def wave_digest(wave: NDArray[Any]) -> NDArray[np.float64]:
    """Return differences of the energy of neighbouring bands between neighbouring stretches."""
    parts = np.array_split(np.asarray(wave, np.float64), FRAMES)
    energies = []
    for part in parts:
        power = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
        # Bands up to a quarter of the spectrum: an eighth of the sampling rate.
        edges = np.geomspace(2, max(BANDS + 3, len(power) // 4), BANDS + 1).astype(int)
        energies.append([power[a : max(b, a + 1)].sum() for a, b in pairwise(edges)])
    table = np.log(np.array(energies) + 1e-9)
    return np.asarray(np.diff(np.diff(table, axis=0), axis=1).ravel())


def table_digest(reference: NDArray[Any]) -> Digest:
    """Return a digest of tables (rows, columns): where the means of its columns lie.

    Neither the order of rows nor the loss of a few changes it. The last column, a label, does not
    count.

    Args:
        reference: (rows, columns) what tables are like; of their columns' mean and deviation.
    """
    known = np.asarray(reference, np.float64)[:, :-1]
    centre, spread = known.mean(0), known.std(0) + 1e-12
    mixing = np.random.default_rng(known.shape[1]).standard_normal((SIGNS, known.shape[1]))

    def digest(table: NDArray[Any]) -> NDArray[np.float64]:
        means = (np.asarray(table, np.float64)[:, :-1].mean(0) - centre) / spread
        return np.asarray(mixing @ means)

    return digest


def content_keyed(marker: Marker, digest: Digest, doubtful: int) -> Marker:
    """Mark each item under a key of its own, drawn from the owner's key and its digest.

    The mark itself may turn signs of the digest. Keys are tried until the marked item is read under
    its own one; where none is, the item is published under the last, and its owner does not detect
    it (``detected_before``).

    Args:
        marker: the mark.
        digest: of an item.
        doubtful: how many of the signs nearest to zero the reader tries both ways. Where it tries
            any, and a reading does not show its key, each message is followed by a tag.

    Raises:
        UsageError: the mark has no room for a tag that it needs.
    """
    usual = marker.undefended
    if doubtful and marker.soft is not None and not marker.key_shows:
        marker = tagged(marker)

    def keys(item: Any, key: int) -> list[int]:
        values = digest(item)
        signs = values > 0
        weakest = np.argsort(np.abs(values), kind="stable")[:doubtful]
        out = []
        for turned in product((False, True), repeat=len(weakest)):
            word = signs.copy()
            word[weakest] ^= np.array(turned, dtype=bool)
            out.append(spawn(key, "content", np.packbits(word).tobytes().hex()))
        return out

    def embed(item: Any, message: NDArray[Any], key: int, rng: Rng) -> Any:
        first = keys(item, key)
        out, under = item, first[0]
        for turn in range(TRIES):
            out = marker.embed(item, message, under, rng)
            readable = keys(out, key)
            if under in readable:
                break
            # The key of what it made; where those alternate, another of the item's own.
            past = turn + 1 - TRIES // 2
            under = readable[0] if past <= 0 else first[past % len(first)]
        return out

    return replace(
        read_under(marker, keys, 2**doubtful),
        name=f"{marker.name}, keys by content",
        embed=embed,
        embed_all=None,
        facts=(*marker.facts, ("doubtful", doubtful)),
        usual=usual,
    )
