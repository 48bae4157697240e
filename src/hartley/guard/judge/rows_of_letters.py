"""The rows of letters that a text spells: all of it, first and last letters, every second one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from hartley.games.judge_answers.secret_index import LETTERS, SIGNS, letters_of
from hartley.guard.judge.beginnings import DENSE, DERIVED, SPARSE
from hartley.kit.encodings.word_readers import LINE_END, LINE_START, SENTENCE_START

if TYPE_CHECKING:
    from numpy.typing import NDArray

Codes: TypeAlias = "NDArray[np.uint8]"

FEWEST = 7
"""Letters of a row, at least."""

LONG_WORD = 14
"""Letters of a word that is not one, at least."""

_OTHER = SIGNS + 1
_CODE = np.full(256, _OTHER, np.uint8)
_CODE[ord("a") : ord("z") + 1] = _CODE[ord("A") : ord("Z") + 1] = np.arange(LETTERS)
_CODE[ord("0") : ord("9") + 1] = np.arange(LETTERS, SIGNS)
_SPLIT = _CODE.copy()
_SPLIT[ord("A") : ord("Z") + 1] += 64
"""As ``_CODE``, with 64 added to capitals."""

_STARTS = (LINE_START, re.compile(r"^[^A-Za-z0-9\n]{0,99}([A-Za-z0-9])", re.MULTILINE))
_ENDS = (LINE_END, re.compile(r"([A-Za-z0-9])[^A-Za-z0-9\n]{0,99}$", re.MULTILINE))


class Row(NamedTuple):
    """Letters and digits that a text spells in one way.

    Attributes:
        codes: (n,) numbers, 0 to 25 for letters and 26 to 35 for digits.
        density: ``DENSE``, ``DERIVED`` or ``SPARSE``.
    """

    codes: Codes
    density: int


Rows = list[Row]


def rows_of(text: str, *, inside: bool = False, ended: bool = True) -> Rows:
    """Return the rows of letters and digits of a text in plain letters.

    Args:
        text: a window.
        inside: whether an answer has more before it.
        ended: whether the answer ends with it; else its last word and line may go on.
    """
    if len(text) < FEWEST:
        return []
    raw = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    split = _SPLIT[raw]
    codes = split & np.uint8(63)
    signs = codes < SIGNS
    letters = codes[signs]
    if len(letters) < FEWEST:
        return []
    starts, ends = _edges(signs)
    firsts = codes[starts]
    rows: Rows = [Row(letters, DENSE)]
    long = (ends - starts >= LONG_WORD).nonzero()[0]
    for start, end in zip(starts[long].tolist(), ends[long].tolist(), strict=True):
        word = codes[start : end + 1]
        apart = np.concatenate([word[::2], word[1::2]])
        rows += [Row(apart, DENSE), Row(apart[::2], DERIVED), Row(apart[1::2], DERIVED)]
    alone = np.count_nonzero(starts == ends)
    if (alone >= FEWEST and 2 * alone >= len(starts)) or len(long):
        # Only letters one by one, or without spaces, are two texts in turns.
        rows += [Row(letters[::2], DERIVED), Row(letters[1::2], DERIVED)]
        rows += [Row(letters[k::4], DERIVED) for k in range(4)]
    if len(firsts) >= FEWEST:
        # The letters of every second word.
        number = np.zeros(len(signs) + 1, np.uint8)
        number[starts] = 1
        odd = (np.add.accumulate(number, dtype=np.uint8)[:-1][signs] & 1).astype(bool)
        lasts = codes[ends if ended or not signs[-1] else ends[:-1]]
        rows += [Row(firsts, DERIVED), Row(lasts, DERIVED)]
        # A window has half as many letters of every second word.
        rows += [Row(firsts[::2], SPARSE), Row(firsts[1::2], SPARSE)]
        rows += [Row(letters[odd], DENSE), Row(letters[~odd], DENSE)]
    sparse = _sparse(text, inside=inside, ended=ended)
    return rows + _thirds(firsts) + _capitals(codes, split) + sparse


def letters_one_by_one(text: str, windows: Sequence[tuple[int, int]]) -> bool:
    """Return whether a window (start, end) of a text may have many letters that are alone."""
    raw = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    starts, ends = _edges(_CODE[raw] < SIGNS)
    places = np.searchsorted(starts[starts == ends], np.array(windows))
    return bool((places[:, 1] - places[:, 0] >= FEWEST).any())


def edges_of(text: str, *, inside: bool = False, ended: bool = True) -> Rows:
    """Return the rows of one letter of a line, a sentence, a capital or every third word."""
    raw = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    split = _SPLIT[raw]
    codes = split & np.uint8(63)
    starts, _ = _edges(codes < SIGNS)
    sparse = _sparse(text, inside=inside, ended=ended)
    return _thirds(codes[starts]) + _capitals(codes, split) + sparse


def _edges(signs: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where runs of letters and digits start, and where each has its last one."""
    inside = signs.view(np.int8)
    edges = np.empty(len(signs) + 1, np.int8)
    if not len(signs):
        edges[0] = 0
    else:
        edges[0], edges[-1] = inside[0], -inside[-1]
        np.subtract(inside[1:], inside[:-1], out=edges[1:-1])
    return (edges > 0).nonzero()[0], (edges < 0).nonzero()[0] - 1


def _thirds(firsts: Codes) -> Rows:
    """Return the first letters of every third word."""
    if len(firsts) < 3 * FEWEST - 2:
        return []
    return [Row(firsts[k::3], SPARSE) for k in range(3)]


def _capitals(codes: Codes, split: Codes) -> Rows:
    """Return the capitals."""
    capitals = codes[split >= 64]
    return [Row(capitals, SPARSE)] if len(capitals) >= FEWEST else []


def _sparse(text: str, *, inside: bool, ended: bool) -> Rows:
    """Return the letters at the starts and ends of lines, and at the starts of sentences.

    A window inside of an answer does not start a line, and one that goes on does not end one.
    """
    rows: list[str] = []
    breaks = text.count("\n")
    if breaks >= FEWEST - 2:
        end = len(text) if ended else text.rindex("\n") + 1
        rows += ["".join(reader.findall(text, inside)) for reader in _STARTS]
        rows += ["".join(reader.findall(text, 0, end)) for reader in _ENDS]
    if breaks + sum(map(text.count, ".!?:")) >= FEWEST - 1:
        rows.append("".join(SENTENCE_START.findall(text, inside)))
    codes = [letters_of(row) for row in dict.fromkeys(rows)]
    return [Row(np.frombuffer(c, np.uint8), SPARSE) for c in codes if len(c) >= FEWEST]
