"""Secrets and guesses on a common type: the one place where they are compared.

Each column was typed by another tool, alone: 1, 1.0, "1" and True may be one symbol, and 007 is not
7. Symbols are compared as they are spelled first. A guess that is not a secret is then compared as
a number, as a time, and without regard to case, where that names one secret only.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.trials.table_doubts import largest_symbol, odd_symbol
from hartley.core.errors import BadTrials
from hartley.kit.table_files import Column, as_numpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]

ERASED = "-1"
ABSENT = ("nan", "na", "n/a", "nat", "null", "none", "<na>")
"""Words that stand for a missing number, in lower case."""
STRAY_ROWS = 0.01
"""The share of the rows that may be set aside with their rare secrets."""
STRAY_CLASS = 0.05
"""A secret is rare where it has at most this share of the rows that the others have on average."""
SHOWN = 4
"""Symbols of each side that a message shows."""

# A number that text spells in one way only: no leading zeros, and an exponent as programs write it.
PLAIN = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]*)?(e[+-][0-9]{1,3})?", re.IGNORECASE)
TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?)?"
    r"(?:Z|\+00:?00)?"
)
ANY = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]{1,3})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Symbols:
    """Secrets and guesses as codes.

    Attributes:
        truth: (n,) 0..K−1, in the order of their spelling.
        guess: (n,) the same codes, −1 where the attacker abstains or names no secret; or scores.
        names: K spellings.
        measured: (n,) whether the row counts: its secret is not a stray one.
        notes: what was done to the rows, one sentence each.
    """

    truth: Whole
    guess: NDArray[Any]
    names: tuple[str, ...]
    measured: NDArray[np.bool_]
    notes: tuple[str, ...]


def compare_symbols(path: Path, truth: Column, guess: Column) -> Symbols:
    """Put secrets and guesses on a common type.

    Args:
        path: of the table, for messages.
        truth, guess: columns of any type.

    Raises:
        BadTrials: a column has no symbols, values are missing, or most guesses are not a secret.
    """
    sides = [_spelled(path, column) for column in (truth, guess)]
    numeric = all(_is_number(s) or not s for words, _ in sides for s in words if not _absent(s))
    for column, (words, codes) in zip((truth, guess), sides, strict=True):
        _check_present(path, column.name, words, codes, numeric=numeric)
    (secrets, secret_of), (guesses, guess_of) = sides
    reason = odd_symbol("truth", secrets) or odd_symbol(
        "guess", guesses, largest=largest_symbol(secrets)
    )
    if reason:
        raise BadTrials(f"{path}: {reason}")
    if ERASED in secrets:
        raise BadTrials(f"{path}: `truth` must not be -1, which means that the attacker abstains")
    names = sorted(set(secrets))
    code = {name: k for k, name in enumerate(names)}
    truths = _recoded(np.array([code[s] for s in secrets]), secret_of)
    measured, few = _stray(truths, len(names))
    notes = []
    if len(few):
        away = len(measured) - int(measured.sum())
        notes.append(
            f"{away} of {len(measured)} rows are set aside: their secrets "
            f"({_listed(names[k] for k in few)}) are rare, at most {STRAY_CLASS:.0%} as frequent "
            "as the others, and classes weigh alike"
        )
        names = [name for k, name in enumerate(names) if k not in few]
        code = {name: k for k, name in enumerate(names)}
        truths = np.unique(np.where(measured, truths, truths[measured][0]), return_inverse=True)[1]
    meant = _meant(guesses, code)
    matched = _recoded(np.array([code.get(meant[s], -1) for s in guesses]), guess_of)
    named = _recoded(np.array([s != ERASED for s in guesses]), guess_of)
    foreign = named & (matched < 0) & measured
    answers, odd = int((named & measured).sum()), int(foreign.sum())
    if odd:
        rows = Counter(dict(zip(*_counted(guess_of[foreign]), strict=True)))
        common = [guesses[k] for k, _ in rows.most_common()]
        if odd > answers / 2:
            raise BadTrials(
                f"{path}: guesses must be secrets, got {odd} of {answers} guesses that are not: "
                f"`guess` says {_listed(common)}, `truth` says {_listed(names)}; spell guesses as "
                "`truth` does, and write -1 where the attacker abstains"
            )
        notes.append(
            f"{odd} of {answers} guesses are not a secret ({_listed(common)}) and count as "
            "abstaining"
        )
    return Symbols(
        truths.astype(np.int64), matched.astype(np.int64), tuple(names), measured, tuple(notes)
    )


def binary_symbols(path: Path, truth: Column) -> Whole:
    """Return (n,) secrets 0 or 1 of a table of scores; True and False are 1 and 0.

    Raises:
        BadTrials: a value is missing or another one.
    """
    words, codes = _spelled(path, truth)
    _check_present(path, truth.name, words, codes, numeric=True)
    values = [_as_number(word) for word in words]
    for word, value in zip(words, values, strict=True):
        if value not in ("0", "1"):
            got = word if value is not None else repr(word)
            raise BadTrials(f"{path}: with `score`, `truth` must be 0 or 1, got {got}")
    return _recoded(np.array([int(v or 0) for v in values], np.int64), codes).astype(np.int64)


# --- one spelling a value


def _spelled(path: Path, column: Column) -> tuple[list[str], NDArray[np.int32]]:
    """Return the spellings of a column's values, and (n,) which of them each row has.

    A missing value is spelled as the empty text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    values = column.values
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_nested(kind):
        row = next((v for v in values.to_pylist() if v is not None), None)
        raise BadTrials(
            f"{path}: `{column.name}` must be symbols, one number or word a row, got {row!r}"
        )
    if pa.types.is_floating(kind) and kind.bit_width == 16:
        values = values.cast(pa.float32())
    encoded = values if pa.types.is_dictionary(values.type) else pc.dictionary_encode(values)
    words = encoded.dictionary
    if pa.types.is_temporal(kind):
        words = words.cast(pa.string())
    if pa.types.is_string(words.type) or pa.types.is_large_string(words.type):
        # Writers of Parquet do not check that text is UTF-8.
        words = words.cast(pa.large_binary())
    indices = encoded.indices.cast(pa.int32())
    codes = as_numpy(indices.fill_null(len(words)) if indices.null_count else indices)
    # A categorical column may have categories that no row has.
    used = np.flatnonzero(np.bincount(codes, minlength=len(words) + 1))
    listed = words.to_pylist()
    spelled = [_spelling(listed[k]) for k in used.tolist() if k < len(words)]
    places = np.zeros(len(words) + 1, np.int32)
    places[used] = np.arange(len(used))
    return spelled + [""] * (len(used) - len(spelled)), places[codes]


def _spelling(value: Any) -> str:
    """Return one spelling of a symbol, so that 3, 3.0 and "3" are the same, and 03 is not."""
    if isinstance(value, bytes):
        value = _decoded(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(value).strip().replace("−", "-")
    return _plain(text) if PLAIN.fullmatch(text) else text


def _decoded(value: bytes) -> str:
    # Arrays of bytes are filled up with zeros. Bytes that are not UTF-8 stay apart as Latin-1.
    value = value.rstrip(b"\0")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _plain(text: str) -> str:
    """Return a number in digits, without an exponent and without zeros behind its point."""
    number = Decimal(text)
    if number == 0:
        return "0"
    # As text throughout: a number of 5,000 digits is a symbol too, and none of them may be lost.
    digits = format(number, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _is_number(text: str) -> bool:
    return bool(PLAIN.fullmatch(text)) or text.lower() in ("true", "false")


def _absent(text: str) -> bool:
    return text.lower() in ABSENT


def _check_present(
    path: Path, name: str, words: Sequence[str], codes: NDArray[np.int32], *, numeric: bool
) -> None:
    """Refuse missing values: empty ones, and words such as nan in a table of numbers."""
    absent = np.array([not s or (numeric and _absent(s)) for s in words])[codes]
    if absent.any():
        hint = "; write -1 to abstain" if name == "guess" else ""
        raise BadTrials(
            f"{path}: `{name}` must have a value in every row, got {int(absent.sum())} "
            f"empty or NaN, first in row {int(absent.argmax()) + 1}{hint}"
        )


def _recoded(values: NDArray[Any], codes: NDArray[np.int32]) -> NDArray[Any]:
    return np.asarray(values[codes])


def _counted(codes: NDArray[np.int32]) -> tuple[list[int], list[int]]:
    values, counts = np.unique(codes, return_counts=True)
    return values.tolist(), counts.tolist()


# --- guesses that are spelled otherwise


def _meant(guesses: Iterable[str], secrets: dict[str, int]) -> dict[str, str]:
    """Return the spelling of the secret that each guess names, or of the guess itself."""
    meant = {guess: guess for guess in guesses}
    for form in (_as_number, _as_time, str.casefold):
        unknown = [guess for guess in meant if meant[guess] not in secrets and guess != ERASED]
        if not unknown:
            break
        by_form = _by_form(secrets, form)
        for guess in unknown:
            key = form(guess)
            if key is not None and key in by_form:
                meant[guess] = by_form[key]
    return meant


def _by_form(secrets: Iterable[str], form: Callable[[str], str | None]) -> dict[str, str]:
    """Return the secrets by another form of their spelling, without those that share one."""
    forms = {secret: key for secret in secrets if (key := form(secret)) is not None}
    times = Counter(forms.values())
    return {key: secret for secret, key in forms.items() if times[key] == 1}


def _as_number(text: str) -> str | None:
    """Return the number that a text spells, also with leading zeros, and as a truth value."""
    if ANY.fullmatch(text):
        return _plain(text)
    return {"true": "1", "false": "0"}.get(text.lower())


def _as_time(text: str) -> str | None:
    """Return a date or time in one spelling of UTC, a date as its midnight; else None."""
    parts = TIME.fullmatch(text)
    if parts is None:
        return None
    date, hour, minute, second, fraction = parts.groups(default="")
    return f"{date} {hour or '00'}:{minute or '00'}:{second or '00'}.{fraction.rstrip('0')}"


# --- classes


def _stray(truths: NDArray[Any], k: int) -> tuple[NDArray[np.bool_], tuple[int, ...]]:
    """Return which rows to keep, and the secrets that a few rows have, such as a misspelt one.

    Classes weigh alike: a class of one row would decide as much as all others, and as many rows of
    each class are certified as the rarest has. It is named and set aside.
    """
    counts = np.bincount(truths, minlength=k)
    order = np.argsort(counts, kind="stable")
    few: list[int] = []
    for place, rare in enumerate(order[: max(0, k - 2)]):
        rest = counts[order[place + 1 :]]
        if counts[rare] > STRAY_CLASS * rest.mean():
            break
        few.append(int(rare))
    if few and counts[few].sum() > STRAY_ROWS * len(truths):
        few = []
    if not few:
        return np.ones(len(truths), np.bool_), ()
    return ~np.isin(truths, few), tuple(sorted(few))


def _listed(symbols: Iterable[str]) -> str:
    words = [repr(symbol) for symbol in symbols]
    return ", ".join(words[:SHOWN]) + (
        f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    )
