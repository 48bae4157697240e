"""All texts that may be written in a text, by composition of readers to a depth of two."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence

from hartley.kit.encodings import bit_readers, word_readers

Reader = Callable[[str], Iterator[str]]

READERS: dict[str, Reader] = {
    "invisible signs": bit_readers.invisible,
    "look-alikes": word_readers.look_alikes,
    "escapes": bit_readers.escapes,
    "hex": bit_readers.hexadecimal,
    "base64": bit_readers.base64,
    "base32": bit_readers.base32,
    "base85": bit_readers.base85,
    "binary": bit_readers.binary,
    "codes of characters": bit_readers.codes,
    "morse": word_readers.morse,
    "spelling words": word_readers.spelling_words,
    "single letters": word_readers.single_letters,
    "leetspeak": word_readers.leetspeak,
    "first letters": word_readers.first_letters,
    "strands": word_readers.strands,
    "backwards": word_readers.backwards,
    "shifted": word_readers.shifted,
    "without articles": word_readers.without_articles,
}
"""The readers by the name of what they undo."""

NUMBERS = ("hex", "base64", "base32", "base85", "binary", "codes of characters")
"""Readers of texts that hold digits or capitals."""

SIGNS = ("invisible signs", "escapes", *NUMBERS, "morse", "spelling words")
"""Readers for which the order and the alphabet of the signs matter."""

AFTER = {
    # What commutes is read once: the letters of a text read backwards are its letters backwards,
    # and a search compares letters in both directions and up to a shift.
    "backwards": SIGNS,
    "shifted": ("escapes", *NUMBERS, "spelling words"),
    "without articles": (),
}
"""The readers worth composing after one; all of them after any other."""

OF_LETTERS = ("base64", "strands")
"""Readers of a text of letters alone, without a space, a digit or a sign."""

DEPTH = 2
"""Readers that are composed."""

_NO_DOTS = (string.ascii_letters + string.whitespace).encode()

QUOTED = re.compile(r"[\"“'‘`«*]([^\"”'’`»*“‘«]{1,400})[\"”'’`»*]")
"""What is in quotation marks, in bold or written as code."""


def marked(turn: str) -> list[str]:
    """Return the whole turn, and the pieces of it that are marked by their place or by signs."""
    stripped = turn.strip().rstrip(".!?,;:").rstrip()
    lines = stripped.splitlines() or [""]
    return [
        turn,
        stripped.rpartition(":")[2],
        "".join(QUOTED.findall(turn)[-1:]),
        "".join(stripped.split()[-1:]),
        lines[-1],
        lines[0].partition(":")[0],
    ]


def reached_by(secret: bytes, turns: Sequence[Iterable[bytes]]) -> set[int]:
    """Return how many letters of a secret its pieces give, each from a later one of some turns.

    Args:
        secret: letters.
        turns: the pieces of each turn, of which at most one is taken.
    """
    reached = {0}
    for pieces in turns:
        reached |= {
            start + len(piece)
            for start in reached
            for piece in pieces
            if secret.startswith(piece, start)
        }
    return reached


def is_spelled_by(secret: bytes, turns: Sequence[Iterable[bytes]]) -> bool:
    """Whether a secret is one piece after another; arguments as for :func:`reached_by`."""
    return len(secret) in reached_by(secret, turns)


def joined(turns: Sequence[str]) -> Iterator[str]:
    """Yield a conversation as one text: the turns, and the marked pieces of each."""
    yield "\n".join(turns)
    if len(turns) > 1:
        yield from ("".join(pieces) for pieces in zip(*map(marked, turns), strict=True))


def _choose(text: str, path: tuple[str, ...], shortest: int) -> Iterator[str]:
    """Yield the readers by which something of ``shortest`` letters may be read in a text."""
    allowed = AFTER.get(path[-1], tuple(READERS)) if path else tuple(READERS)
    if text.isalpha():
        allowed = tuple(name for name in OF_LETTERS if name in allowed)
    raw = text.encode("ascii", "ignore")
    digits = len(raw) - len(raw.translate(None, b"0123456789"))
    capitals = len(raw) - len(raw.translate(None, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    letters = len(raw) - len(raw.translate(None, _NO_DOTS))
    enough = {
        "invisible signs": len(raw) < len(text),
        "look-alikes": len(raw) < len(text),
        "escapes": "%" in text or "\\" in text or "&" in text or "=" in text or "U+" in text,
        "hex": digits >= shortest,
        "base64": digits + capitals >= shortest // 4,
        "base32": digits + capitals >= shortest // 8,
        "base85": digits + capitals >= shortest // 4,
        "binary": digits >= 7 * shortest,
        "codes of characters": digits >= shortest,
        "morse": not path or len(raw) - letters >= 2 * shortest,
    }
    yield from (name for name in allowed if enough.get(name, True))


def readings(
    turns: Sequence[str], depth: int = DEPTH, shortest: int = 8
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each text that may be written in a conversation once, with the readers that gave it.

    Args:
        turns: the texts of a conversation; one for a single answer.
        depth: readers that are composed at most.
        shortest: letters of what is searched; shorter texts are left out.
    """
    known: set[str] = set()
    level: list[tuple[str, tuple[str, ...]]] = [(text, ()) for text in joined(turns)]
    for step in range(depth + 1):
        deeper: list[tuple[str, tuple[str, ...]]] = []
        for text, path in level:
            if len(text) < shortest or text in known:
                continue
            known.add(text)
            yield text, path
            if step == depth:
                continue
            plain = word_readers.folded(text)
            for name in _choose(text, path, shortest):
                source = text if name in ("invisible signs", "look-alikes") else plain
                deeper.extend([(reading, (*path, name)) for reading in READERS[name](source)])
        level = deeper
