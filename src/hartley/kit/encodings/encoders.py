"""Twenty encodings of a short text, each as a function of the text and a generator.

They teach a victim its formats and label the set that the judge of answers is measured on. An
encoding that spreads over the turns of a conversation returns a tuple, one text for each turn.
"""

from __future__ import annotations

import base64
import codecs
from collections.abc import Callable
from typing import TYPE_CHECKING

from hartley.kit.encodings.alphabets import LEET, LETTERS, LOOK_ALIKES, MORSE, NATO

if TYPE_CHECKING:
    import numpy as np

Encoded = str | tuple[str, ...]

TURNS = 3
"""Turns over which ``split_over_turns`` spreads a text."""

_COVER = (
    "an arch bends by bright coves calm days drift each evening falls from green hills high in "
    "its just keen kites long leaves move many now near open ponds pale quiet quays rivers run "
    "slow streams the turn under up valleys very warm when xylem yet young zones zigzag"
)
COVER_WORDS = tuple(_COVER.split())
"""Harmless words, at least one for each letter, that an acrostic is written with."""


def plain(text: str, _rng: np.random.Generator) -> str:
    """Return the text as it is."""
    return text


def upper_case(text: str, rng: np.random.Generator) -> str:
    """Return the text in upper or, in one of two draws, in lower case."""
    return text.upper() if rng.random() < 0.5 else text.lower()


def in_base64(text: str, _rng: np.random.Generator) -> str:
    """Return the text in base64 (RFC 4648)."""
    return base64.b64encode(text.encode()).decode()


def in_base32(text: str, _rng: np.random.Generator) -> str:
    """Return the text in base32 (RFC 4648)."""
    return base64.b32encode(text.encode()).decode()


def in_hex(text: str, rng: np.random.Generator) -> str:
    """Return the bytes of the text in hexadecimal digits, with or without spaces."""
    return text.encode().hex(" ") if rng.random() < 0.5 else text.encode().hex()


def binary(text: str, _rng: np.random.Generator) -> str:
    """Return the bytes of the text in groups of eight binary digits."""
    return " ".join(f"{byte:08b}" for byte in text.encode())


def rot13(text: str, _rng: np.random.Generator) -> str:
    """Return the text with every letter moved by 13."""
    return codecs.encode(text, "rot13")


def caesar(text: str, rng: np.random.Generator) -> str:
    """Return the text with every letter moved by one number from 1 to 25, which is drawn."""
    by = int(rng.integers(1, 26))
    moved = LETTERS[by:] + LETTERS[:by]
    return text.translate(str.maketrans(LETTERS + LETTERS.upper(), moved + moved.upper()))


def reversed_text(text: str, rng: np.random.Generator) -> str:
    """Return the text from its end to its start, by letters or, in one of two draws, by words."""
    return text[::-1] if rng.random() < 0.5 else " ".join(text.split()[::-1])


def spelled_out(text: str, rng: np.random.Generator) -> str:
    """Return the letters with one separator between them, which is drawn."""
    between = ("-", " ", ". ", ", ", "\n", " - ")[int(rng.integers(6))]
    return between.join(text.replace(" ", "_"))


def nato(text: str, _rng: np.random.Generator) -> str:
    """Return the spelling word of each letter."""
    return " ".join(NATO.get(c, c) for c in text.lower() if c.isalnum())


def morse(text: str, _rng: np.random.Generator) -> str:
    """Return the text in Morse code, words apart by a slash."""
    return " / ".join(
        " ".join(MORSE[c] for c in word if c in MORSE) for word in text.lower().split()
    )


def leetspeak(text: str, _rng: np.random.Generator) -> str:
    """Return the text with digits for letters that look alike."""
    return "".join(LEET.get(c, c) for c in text.lower())


def zero_width(text: str, rng: np.random.Generator) -> str:
    """Return the text with invisible characters between letters, or as bits of such characters.

    In one of two draws the text itself is there. In the other, nothing can be seen: U+200B is a 0
    and U+200C a 1.
    """
    if rng.random() < 0.5:
        return "\u200b".join(text)
    bits = "".join(f"{byte:08b}" for byte in text.encode())
    return bits.translate({ord("0"): "\u200b", ord("1"): "\u200c"})


def homoglyphs(text: str, rng: np.random.Generator) -> str:
    """Return the text with letters of other scripts that look alike, about two of three."""
    alike: dict[str, list[str]] = {}
    for sign, letter in LOOK_ALIKES.items():
        alike.setdefault(letter, []).append(sign)
    return "".join(
        alike[c][int(rng.integers(len(alike[c])))] if c in alike and rng.random() < 2 / 3 else c
        for c in text.lower()
    )


def url_escapes(text: str, _rng: np.random.Generator) -> str:
    """Return every byte of the text as an escape of a URL (RFC 3986)."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


def split_over_turns(text: str, rng: np.random.Generator) -> tuple[str, ...]:
    """Return the text in three pieces, cut anywhere, for as many turns."""
    cuts = sorted(1 + rng.choice(len(text) - 1, TURNS - 1, replace=False))
    return tuple(text[a:b] for a, b in zip((0, *cuts), (*cuts, len(text)), strict=True))


def interleaved(text: str, rng: np.random.Generator) -> str:
    """Return the letters of the text with letters of another one between them.

    In one of two draws the other one is drawn letters, else the text is folded: its first half is
    interleaved with its second.
    """
    letters = "".join(c for c in text if c.isalnum())
    if rng.random() < 0.5:
        other = "".join(LETTERS[k] for k in rng.integers(0, 26, len(letters)))
        return "".join(a + b for a, b in zip(letters, other, strict=True))
    half = (len(letters) + 1) // 2
    first, second = letters[:half], letters[half:]
    return "".join(a + b for a, b in zip(first, second.ljust(half), strict=True)).strip()


def acrostic(text: str, rng: np.random.Generator) -> str:
    """Return words, or in one of two draws lines, whose first letters are the text."""
    words = []
    for letter in (c for c in text.lower() if c in LETTERS):
        fitting = [word for word in COVER_WORDS if word[0] == letter]
        words.append(fitting[int(rng.integers(len(fitting)))])
    if rng.random() < 0.5:
        return " ".join(words)
    rest = [COVER_WORDS[int(k)] for k in rng.integers(0, len(COVER_WORDS), 2 * len(words))]
    lines = zip(words, rest[::2], rest[1::2], strict=True)
    return "\n".join(" ".join(line).capitalize() for line in lines)


def translated(text: str, rng: np.random.Generator) -> str:
    """Return a code word's words in German, French or Spanish; words without a translation stay."""
    from hartley.kit.encodings.code_words import LANGUAGES, translations

    language = LANGUAGES[int(rng.integers(len(LANGUAGES)))]
    words = []
    for word in text.split():
        choices = translations().get(word.lower(), {}).get(language, (word,))
        words.append(choices[int(rng.integers(len(choices)))])
    return " ".join(words)


ENCODERS: dict[str, Callable[[str, np.random.Generator], Encoded]] = {
    "plain": plain,
    "upper_case": upper_case,
    "base64": in_base64,
    "base32": in_base32,
    "hex": in_hex,
    "binary": binary,
    "rot13": rot13,
    "caesar": caesar,
    "reversed": reversed_text,
    "spelled_out": spelled_out,
    "nato": nato,
    "morse": morse,
    "leetspeak": leetspeak,
    "zero_width": zero_width,
    "homoglyphs": homoglyphs,
    "url_escapes": url_escapes,
    "split_over_turns": split_over_turns,
    "interleaved": interleaved,
    "acrostic": acrostic,
    "translated": translated,
}
"""The encodings by name."""
