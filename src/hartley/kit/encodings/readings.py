"""All texts that may be written in a text, by composition of readers to a depth of two."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from hartley.kit.encodings import bit_readers, word_readers

Reader = Callable[[str], Iterator[str]]

READERS: dict[str, Reader] = {
    "invisible signs": bit_readers.invisible,
    "escapes": bit_readers.escapes,
    "hex": bit_readers.hexadecimal,
    "base64": bit_readers.base64,
    "base32": bit_readers.base32,
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

DEPTH = 2
"""Readers that are composed."""

MARKED = (
    re.compile(r":\s*([^:]+?)\s*[.!]?\s*$"),  # after the last colon
    re.compile(r"[\"“'‘`«*]+([^\"”'’`»*]+)[\"”'’`»*]+"),  # in quotation marks, in bold, as code
    re.compile(r"(\S+?)[.!?,;:]*\s*$"),  # the last word
    re.compile(r"([^\n]+)\s*$"),  # the last line
    re.compile(r"^\s*([^\n:]+)"),  # the first line
)
"""Where a piece of a text that is spread over turns may be in its turn."""


def marked(turn: str) -> list[str]:
    """Return the whole turn, and the pieces of it that are marked by their place or by signs."""
    return [turn, *("".join(mark.findall(turn)[-1:]) for mark in MARKED)]


def joined(turns: Sequence[str]) -> Iterator[str]:
    """Yield a conversation as one text: the turns, and the marked pieces of each."""
    yield "\n".join(turns)
    if len(turns) > 1:
        yield from ("".join(pieces) for pieces in zip(*map(marked, turns), strict=True))


def readings(
    turns: Sequence[str], depth: int = DEPTH, readers: Sequence[str] = tuple(READERS)
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each text that may be written in a conversation once, with the readers that gave it.

    Args:
        turns: the texts of a conversation; one for a single answer.
        depth: readers that are composed at most.
        readers: names of readers to compose.
    """
    seen_texts: set[str] = set()
    level: list[tuple[str, tuple[str, ...]]] = [(text, ()) for text in joined(turns)]
    for step in range(depth + 1):
        deeper: list[tuple[str, tuple[str, ...]]] = []
        for text, path in level:
            if not text or text in seen_texts:
                continue
            seen_texts.add(text)
            yield text, path
            if step == depth:
                continue
            plain = word_readers.folded(text)
            for name in readers:
                source = text if name == "invisible signs" else plain
                deeper.extend((reading, (*path, name)) for reading in READERS[name](source))
        level = deeper
