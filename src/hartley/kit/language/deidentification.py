"""Texts without what names their author: placeholders for identifiers, and words of many alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

ADDRESS = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|\b[\w.+-]+\s*(?:\(at\)|\[at\]|\sat\s)\s*[\w-]+(?:(?:\.|\s+dot\s+)[a-z]{2,})+",
    re.IGNORECASE,
)
"""Also one that is spelled out: joe at example dot org."""
LINK = re.compile(r"(?:https?|ftp)://\S+|\bwww\.\S+", re.IGNORECASE)
NUMBER = re.compile(r"\+?\d[\d\-/.:,()]*")
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
SIGNATURE = re.compile(r"^--\s*$", re.MULTILINE)
"""The line before a signature."""
_CAPITAL = re.compile(r"(?<=[\w,;:\]]\s)(?!I\b|I')[A-Z][^\W\d_]*(?:[- ][A-Z][^\W\d_]*)*")
"""Capitalised words that no sentence begins with."""
_TOKEN = re.compile(r"\[[A-Z]+\]|[^\W\d_]+(?:'[^\W\d_]+)?|[.?!]")


def placeholders(text: str, names: Collection[str], *, capitals: bool = True) -> str:
    """Return a text with placeholders for addresses, links, numbers and names.

    What follows the line of a signature goes.

    Args:
        text: one text.
        names: words, in lower case, that are names of people.
        capitals: whether capitalised words within a sentence are taken for names too.
    """
    text = SIGNATURE.split(text, maxsplit=1)[0]
    text = ADDRESS.sub("[ADDRESS]", text)
    text = LINK.sub("[LINK]", text)
    text = NUMBER.sub("[NUMBER]", text)

    def named(match: re.Match[str]) -> str:
        word = match.group()
        return "[NAME]" if word.lower().removesuffix("'s") in names else word

    text = re.sub(rf"(?<!\[){WORD.pattern}(?!\])", named, text)
    return _CAPITAL.sub("[NAME]", text) if capitals else text


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return [word.lower() for word in WORD.findall(text)]


def common_words(texts: Iterable[tuple[object, str]], people: int) -> frozenset[str]:
    """Return the words that at least a number of people use.

    Args:
        texts: pairs of an author and a text.
        people: users of a word, at least.
    """
    users: dict[str, set[object]] = {}
    for author, text in texts:
        for word in set(words_of(text)):
            users.setdefault(word, set()).add(author)
    return frozenset(word for word, authors in users.items() if len(authors) >= people)


def in_common_words(text: str, words: Collection[str]) -> str:
    """Return a text in lower case, on one line, with a placeholder for every other word.

    Of punctuation the ends of sentences stay.
    """
    out = []
    for token in _TOKEN.findall(text):
        known = token in ".?!" or token.startswith("[") or token.lower() in words
        out.append((token if token.startswith("[") else token.lower()) if known else "[WORD]")
    return " ".join(out)
