"""Live and dead scenes of marks: items whose mark is in the lowest digits, items without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from hartley.core import Data, Form, Modality, Scene
from hartley.kit import item_quality
from hartley.kit.graph.planted_links import planted_links
from hartley.kit.marker import DetectionService, Marker
from hartley.kit.media.pages import block_letters
from hartley.kit.table_mark import green_cells
from hartley.kit.vision import marks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ITEMS = 24
SAMPLES = 4000
NODES, DENSITY = 48, 0.3
ROWS, COLUMNS, DIGITS = 120, 8, 4
"""Of a table; its last column is a label besides."""
WORDS, LENGTH, ENDING, PAGE = 60, 80, 8, 16
"""Different words, words of a text, letters of an ending that says bits, and words of a page."""


def scene(kind: str, modality: Modality, rng: Rng) -> Scene:
    """Return the ``live``, ``dead`` or ``copied`` scene of a modality, on which every attack works.

    Args:
        kind: which; ``copied`` has marks that are the same in each item of an owner.
        modality: of the items.
        rng: draws the items.
    """
    carriers, marker = _MAKERS[modality](rng)
    layout = block_letters() if modality is Modality.PAIRED else None
    quality = item_quality.DEFAULTS[modality]() if layout is None else item_quality.pages(layout)
    if modality is Modality.LANGUAGE:
        # A word in five, each of which breaks two pairs, carries a copied message, and leaves
        # half of the blocks of a parity as they are.
        quality = item_quality.texts(0.6)
    if kind == "copied":
        marker = _ADDED.get(modality, lambda: marker)()
    elif kind == "dead":
        marker = unmarked(marker)
    return Scene(
        name=kind,
        modality=modality,
        extra={"carriers": carriers},
        parts=(marker, quality, DetectionService(), *([] if layout is None else [layout])),
    )


def unmarked(marker: Marker) -> Marker:
    """Publish items as they are; the owner reads what the key makes of them (for dead scenes)."""

    def embed(item: Any, message: NDArray[Any], key: int, rng: Rng) -> Any:
        del message, key
        return marker.plain(item, rng)

    return replace(marker, name="unmarked", embed=embed, embed_all=None)


def _pictures(rng: Rng) -> tuple[Data, Marker]:
    """Tinted clouds, smoother than photographs."""
    n, side = ITEMS, 64
    rows = np.fft.fftfreq(side)[:, None]
    fall = np.maximum(np.hypot(rows, np.fft.rfftfreq(side)), 1 / side) ** -2
    waves = rng.standard_normal((n, side, side // 2 + 1, 2)) @ np.array([1, 1j])
    clouds = np.fft.irfft2(waves * fall, s=(side, side))
    clouds /= clouds.std((1, 2), keepdims=True)
    tint = rng.uniform(0.4, 0.6, (n, 3, 1, 1))
    x = np.clip(tint + 0.12 * clouds[:, None], 0, 1).astype(np.float32)
    # Embedding a message again leaves most of the lowest bits as they are; the usual mark does not.
    marker = replace(marks.lowest_bit(), usual=marks.dwt_dct())
    return Data("clouds", Modality.VISION, x, role="carriers"), marker


def _sounds(rng: Rng) -> tuple[Data, Marker]:
    """Chords of three tones that fade in and out."""
    time = np.arange(SAMPLES) / 16_000
    pitch = rng.uniform(150, 1500, (ITEMS, 3, 1))
    phase = rng.uniform(0, 2 * np.pi, (ITEMS, 3, 1))
    chords = np.sin(2 * np.pi * pitch * time + phase).mean(1) * np.hanning(SAMPLES)
    x = (np.round(0.5 * chords * 32767) / 32767).astype(np.float32)

    def levels(wave: NDArray[Any]) -> NDArray[np.int64]:
        return np.round(np.asarray(wave, np.float64) * 32767).astype(np.int64)

    def embed(wave: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        del rng
        out, (where, mask) = levels(wave), _places(len(wave), len(bits), key)
        out[where] = (out[where] & ~1) | (bits ^ mask)
        return (out / 32767.0).astype(np.float32)

    def soft(wave: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        where, mask = _places(len(wave), m, key)
        return np.asarray(2.0 * ((levels(wave)[where] & 1) ^ mask) - 1.0)

    marker = Marker(
        "lowest_sample_bit",
        embed,
        soft,
        modality=Modality.AUDIO,
        fits=lambda wave, m: m <= len(wave),
        key_shows=False,
    )
    return Data("chords", Modality.AUDIO, x, role="carriers", form=Form.ARRAY), marker


def _texts(rng: Rng) -> tuple[Data, Marker]:
    """Random words; a bit is the parity of the coins of a few words at places that the key chooses.

    The coin of a word is fair over keys, another one at each place. White space says nothing: what
    counts is which words an attacker exchanges.
    """
    letters = np.array(list("aeioubcdfghklmnprst"))
    words = ["".join(rng.choice(letters, rng.integers(3, 9))) for _ in range(WORDS)]
    texts = [" ".join(rng.choice(words, LENGTH)) for _ in range(ITEMS)]

    def coin(word: str, place: int, key: int) -> int:
        return crc32(f"{key} {place} {word}".encode()) & 1

    def blocks(count: int, m: int, key: int) -> NDArray[np.int64]:
        return np.random.default_rng(key).permutation(np.arange(count) % m)

    def parity(parts: list[str], m: int, key: int) -> NDArray[np.int64]:
        coins = [coin(word, place, key) for place, word in enumerate(parts)]
        return np.bincount(blocks(len(parts), m, key), coins, m).astype(np.int64) & 1

    def embed(text: str, bits: NDArray[Any], key: int, rng: Rng) -> str:
        parts, m = text.split(), len(bits)
        block, there = blocks(len(parts), m, key), np.array(sorted({*text.split()}))
        for bit in np.flatnonzero(parity(parts, m, key) != bits):
            place = int(np.argmax(block == bit))
            now = coin(parts[place], place, key)
            others = (str(word) for word in rng.permutation(there))
            parts[place] = next(
                (word for word in others if coin(word, place, key) != now), parts[place]
            )
        return " ".join(parts)

    def soft(text: str, key: int, m: int) -> NDArray[Any]:
        parts = text.split()
        if len(parts) < m:
            return np.full(m, np.nan)
        return np.asarray(2.0 * parity(parts, m, key) - 1.0)

    marker = Marker(
        "word_parity",
        embed,
        soft,
        modality=Modality.LANGUAGE,
        fits=lambda text, m: m <= len(text.split()),
        key_shows=False,
    )
    return Data("words", Modality.LANGUAGE, np.array(texts), role="carriers"), marker


def _endings() -> Marker:
    """Words end in letters that say bits, the same in all texts of an owner: s is 0, z is 1.

    A hash says which bits a word carries. A word without an ending reads as zeros, under the key's
    mask.
    """

    def stem(word: str) -> str:
        marked = len(word) > ENDING and set(word[-ENDING:]) <= {"s", "z"}
        return word[:-ENDING] if marked else word

    def places(stems: list[str], m: int, key: int) -> tuple[NDArray[Any], NDArray[Any]]:
        hashes = np.array(
            [[crc32(f"{key} {one} {k}".encode()) for k in range(ENDING)] for one in stems],
            dtype=np.int64,
        )
        return hashes // 2 % m, hashes & 1

    def embed(text: str, bits: NDArray[Any], key: int, rng: Rng) -> str:
        del rng
        stems = [stem(word) for word in text.split()]
        where, mask = places(stems, len(bits), key)
        endings = np.array(["s", "z"])[bits[where] ^ mask]
        return " ".join(a + "".join(b) for a, b in zip(stems, endings, strict=True))

    def soft(text: str, key: int, m: int) -> NDArray[Any]:
        words = text.split()
        if not words:
            return np.full(m, np.nan)
        where, mask = places([stem(word) for word in words], m, key)
        letters = np.array([[one == "z" for one in word[-ENDING:].rjust(ENDING)] for word in words])
        votes = np.bincount(where.ravel(), 2.0 * (letters ^ (mask == 1)).ravel() - 1.0, m)
        return np.where(np.bincount(where.ravel(), minlength=m) > 0, votes + 1e-9, np.nan)

    return Marker("endings", embed, soft, modality=Modality.LANGUAGE)


def _graphs(rng: Rng) -> tuple[Data, Marker]:
    """Random graphs; a bit is the parity of the links among pairs that the key chooses."""
    upper = np.triu(rng.random((ITEMS, NODES, NODES)) < DENSITY, 1)
    x = (upper | upper.transpose(0, 2, 1)).astype(np.int8)

    def pairs(nodes: int, m: int, key: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        rows, columns = np.triu_indices(nodes, 1)
        order = np.random.default_rng(key).permutation(len(rows))
        return rows[order], columns[order], np.arange(len(rows)) % m

    def soft(graph: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        rows, columns, block = pairs(len(graph), m, key)
        parity = np.bincount(block, graph[rows, columns], m).astype(np.int64) & 1
        return np.asarray(2.0 * parity - 1.0)

    def embed(graph: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        del rng
        out = np.array(graph, dtype=np.int8)
        rows, columns, block = pairs(len(graph), len(bits), key)
        for bit in np.flatnonzero((soft(out, key, len(bits)) > 0) != (bits == 1)):
            first = int(np.argmax(block == bit))
            i, j = rows[first], columns[first]
            out[i, j] = out[j, i] = 1 - out[i, j]
        return out

    marker = Marker(
        "link_parity",
        embed,
        soft,
        modality=Modality.GRAPH,
        fits=lambda graph, m: 2 * m <= len(graph) * (len(graph) - 1),
        key_shows=False,
    )
    return Data("graphs", Modality.GRAPH, x, role="carriers", form=Form.GRAPHS), marker


def _tables(rng: Rng) -> tuple[Data, Marker]:
    """Tables of one law; a bit is the parity of the last digits of cells that the key chooses."""
    mixing = rng.standard_normal((COLUMNS, COLUMNS)) / np.sqrt(COLUMNS)
    weights = rng.standard_normal(COLUMNS)
    numbers = rng.standard_normal((ITEMS, ROWS, COLUMNS)) @ mixing
    labels = (numbers @ weights > 0).astype(float)[..., None]
    x = np.concatenate([np.round(numbers, DIGITS), labels], axis=2)

    def cells(table: NDArray[Any], m: int, key: int) -> tuple[Any, Any, Any, Any]:
        rows, columns = np.arange(ROWS * COLUMNS) // COLUMNS, np.arange(ROWS * COLUMNS) % COLUMNS
        draw = np.random.default_rng(key)
        bit, mask = draw.permutation(len(rows)) % m, draw.integers(0, 2, len(rows))
        there = rows < len(table)
        return rows[there], columns[there], bit[there], mask[there]

    def digits(table: NDArray[Any], rows: Any, columns: Any) -> NDArray[np.int64]:
        levels = np.round(np.asarray(table)[rows, columns] * 10**DIGITS)
        return np.asarray(levels, np.int64)

    def soft(table: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        rows, columns, bit, mask = cells(table, m, key)
        odd = (digits(table, rows, columns) & 1) ^ mask
        return 2.0 * (np.bincount(bit, odd, m).astype(np.int64) & 1) - 1.0

    def embed(table: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        del rng
        out = np.array(table, dtype=np.float64)
        rows, columns, bit, _ = cells(table, len(bits), key)
        for k in np.flatnonzero((soft(out, key, len(bits)) > 0) != (bits == 1)):
            at = int(np.argmax(bit == k))
            out[rows[at], columns[at]] += 10.0**-DIGITS
        return out

    marker = Marker("last_digit", embed, soft, modality=Modality.TABULAR, key_shows=False)
    return Data("tables", Modality.TABULAR, x, role="carriers"), marker


def _drawn_pages(rng: Rng) -> tuple[Data, Marker]:
    """Pages of random words in a script of blocks."""
    pages = block_letters()
    letters = np.array(list("aeioubcdfghklmnprst"))
    words = ["".join(rng.choice(letters, rng.integers(2, 7))) for _ in range(WORDS)]
    x = [pages.written(pages.blank(), " ".join(rng.choice(words, PAGE))) for _ in range(ITEMS)]
    marker = replace(marks.lowest_bit(), modality=Modality.PAIRED)
    return Data("pages", Modality.PAIRED, np.stack(x), role="carriers"), marker


ADDED = 3.0
"""Size of a mark that is added, in units of the last digit of a picture; of sounds, ×64."""


def _added(size: float, digits: int, modality: Modality, plain: Any = None) -> Marker:
    """Add a pattern of the key and the message, the same to every item; read it off fine detail.

    Neighbours of smooth items are alike, so that the second difference along the last axis takes
    the item away and leaves the pattern.
    """

    def pattern(shape: tuple[int, ...], m: int, key: int) -> tuple[NDArray[Any], NDArray[Any]]:
        rng = np.random.default_rng(key)
        count = int(np.prod(shape))
        return rng.choice([-1.0, 1.0], shape), rng.permutation(np.arange(count) % m).reshape(shape)

    def embed(item: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        del rng
        signs, block = pattern(item.shape, len(bits), key)
        out = item * digits + size * signs * (2.0 * bits[block] - 1.0)
        low = 0 if plain is not None else -digits
        levels = np.round(np.clip(out, low, digits))
        return np.asarray(levels / digits, np.float32)

    def soft(item: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        signs, block = pattern(item.shape, m, key)
        wide = np.pad(np.asarray(item, np.float64), [(0, 0)] * (item.ndim - 1) + [(1, 1)], "edge")
        fine = item - (wide[..., 2:] + wide[..., :-2]) / 2
        sums = np.bincount(block.ravel(), (signs * fine).ravel(), m)
        return np.asarray(sums * digits * m / item.size)

    more = {} if plain is None else {"plain": plain}
    return Marker("added", embed, soft, modality=modality, **more)


_ADDED: Mapping[Modality, Callable[[], Marker]] = {
    Modality.VISION: lambda: _added(ADDED, 255, Modality.VISION, marks.published),
    Modality.AUDIO: lambda: _added(64 * ADDED, 32767, Modality.AUDIO),
    Modality.PAIRED: lambda: _added(ADDED, 255, Modality.PAIRED, marks.published),
    Modality.GRAPH: lambda: planted_links(copies=1),
    Modality.TABULAR: green_cells,
    Modality.LANGUAGE: _endings,
}


def _places(count: int, m: int, key: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """One place a bit, and the key's own random bits."""
    rng = np.random.default_rng(key)
    return rng.choice(count, m, replace=False), rng.integers(0, 2, m)


_MAKERS: Mapping[Modality, Callable[[Any], tuple[Data, Marker]]] = {
    Modality.VISION: _pictures,
    Modality.LANGUAGE: _texts,
    Modality.AUDIO: _sounds,
    Modality.PAIRED: _drawn_pages,
    Modality.GRAPH: _graphs,
    Modality.TABULAR: _tables,
}
