"""The judge of a window: does a secret begin in a piece of a text that has not ended?"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product

from hartley.core.errors import UsageError
from hartley.games.judge_answers.judge import checked
from hartley.games.judge_answers.secret_index import letters_of
from hartley.guard.judge import code_runs
from hartley.guard.judge.acrostics import Acrostics
from hartley.guard.judge.beginnings import Beginnings, forms
from hartley.guard.judge.rows_of_letters import (
    FEWEST,
    Rows,
    edges_of,
    letters_one_by_one,
    rows_of,
)
from hartley.kit.encodings import code_words, word_readers
from hartley.kit.encodings.readings import is_spelled_by, marked, reached_by
from hartley.kit.encodings.word_readers import WORD, folded

_RUN = re.compile(r"[^\W_]{15,}")

LINES = 4
"""Letters of a secret that are enough in every second line."""

SHORT_LINES = 3
"""Lines of some words each, in a text in base64, at least, for which it is withheld."""

AMBIGUOUS = 3
"""Words that translate more than one, of a window, that are read in every way."""

MIXED = 2
"""Digits and signs, at least, for which leetspeak is read; one is enough inside a word."""

_IN_WORD = re.compile("[A-Za-z][0-9][A-Za-z]|[0-9][A-Za-z]{3}|[A-Za-z]{3}[0-9]")


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a text is withheld.

    Attributes:
        secret: name of the secret that begins in it; empty for a code that is withheld for what
            it is.
        reason: the readers that gave it, or the name of the code.
    """

    secret: str
    reason: str


def check_secrets(secrets: Sequence[str], names: Sequence[str]) -> None:
    """Check that secrets can be searched for; a mistake names them, and never holds their texts.

    Args:
        secrets: texts.
        names: of the secrets.

    Raises:
        UsageError: there is none, one is too short, or two contain one another.
    """
    if not secrets:
        checked(secrets)
    for secret, name in zip(secrets, names, strict=True):
        try:
            checked((secret,))
        except UsageError:
            raise UsageError(
                f"the text of secret {name!r} must have at least 8 letters or digits of the Latin "
                "alphabet: fewer are read by chance"
            ) from None
    for (one, name), (other, another) in combinations(zip(secrets, names, strict=True), 2):
        try:
            checked((one, other))
        except UsageError:
            raise UsageError(
                f"secrets must not contain one another, got {name!r} and {another!r}"
            ) from None


class WindowJudge:
    """Reads beginnings of secrets, and codes too slow for a window.

    It is made once for a set of secrets and serves every answer; it keeps nothing of one.

    Attributes:
        secrets: (K,) the secrets as they are written.
        names: (K,) of them.
    """

    def __init__(
        self,
        secrets: Sequence[str],
        names: Sequence[str] | None = None,
        *,
        translations: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    ) -> None:
        """Index the secrets.

        Args:
            secrets: distinct, none inside of another one, each of at least 8 letters or digits.
            names: of the secrets; their numbers unless given.
            translations: other words for the words of secrets, by word and language; those of
                :mod:`~hartley.kit.encodings.code_words` unless given.

        Raises:
            UsageError: there is none, one is too short, or two contain one another.
        """
        self.secrets = tuple(secrets)
        self.names = tuple(names or map(str, range(len(secrets))))
        check_secrets(self.secrets, self.names)
        if translations is None:
            translations = code_words.translations()
        self._english: dict[str, list[str]] = {}
        for word, languages in translations.items():
            for way in {folded(way).lower() for ways in languages.values() for way in ways}:
                if way not in translations and way.isalpha():
                    self._english.setdefault(way, []).append(word)
        self._foreign = self._english.keys()
        self._index = Beginnings(self.secrets, translations)
        self._acrostics = Acrostics(self.secrets)
        self._fronts = {
            codes[:LINES]: name
            for name, secret in zip(self.names, self.secrets, strict=True)
            for codes in (letters_of(secret), letters_of(secret)[::-1])
        }
        self._whole = [
            (name, kind, codes)
            for name, secret in zip(self.names, self.secrets, strict=True)
            for _, kind, codes in forms(secret, {})
            if "digits" not in kind
        ]

    def judge(self, text: str, *, inside: bool = False, ended: bool = True) -> Finding | None:
        """Return why a text must be withheld, or None.

        Args:
            text: a window, or a whole answer.
            inside: whether the answer has more before it.
            ended: whether the answer ends with it; else its last word and line may go on.
        """
        return next(self._findings(text, inside=inside, ended=ended), None)

    def judge_edges(self, text: str, *, inside: bool = False, ended: bool = True) -> Finding | None:
        """Return a secret that begins in the lines, sentences or capitals of a text, or None.

        It reads a part of what :meth:`judge` reads, for verdicts between two of it; arguments as
        there.
        """
        plain = _plain(text)
        views = [(edges_of(plain, inside=inside, ended=ended), "")]
        for english in self._back(WORD.findall(_closed(plain, ended=ended).lower())):
            views.append((edges_of(english), "translated back"))
        if len(code_runs.DIGIT.findall(plain)) >= MIXED or _IN_WORD.search(plain):
            ways = word_readers.leetspeak(plain)
            views += [(edges_of(way, inside=inside, ended=ended), "leetspeak") for way in ways]
        return (
            self._searched(views)
            or self._in_lines(plain, inside=inside)
            or self._in_first_letters(plain, inside=inside, ended=ended)
        )

    def is_clear(self, text: str, windows: Sequence[tuple[int, int]], *, inside: bool) -> bool:
        """Return whether a text of plain prose has nothing for which a window is withheld.

        It is read once, and what can be read in a window can be read in it: where this is true,
        :meth:`judge` and :meth:`judge_edges` are None for every window of it that starts with a
        word. Text with numbers, long words and other signs than of prose is not clear.

        Args:
            text: of an answer that goes on.
            windows: the (start, end) in it for which :meth:`judge` would be asked.
            inside: whether the answer has more before it.
        """
        plain = text if text.isascii() else text.translate(_MARKS)
        if not plain.isascii() or code_runs.LONG.search(plain):
            return False
        count = code_runs.counts(plain)
        if count.digits + count.leet >= MIXED or count.longest >= code_runs.LONG_WORD:
            return False
        if count.digits and _IN_WORD.search(plain):
            return False
        dots = count.dots >= code_runs.DOTS and any(
            plain.count(".", a, b) + plain.count("-", a, b) >= code_runs.DOTS for a, b in windows
        )
        if dots or count.slashes or any(self._acrostics.initials(plain, inside=inside)):
            return False
        closed = _closed(plain, ended=False)
        words = WORD.findall(closed.lower())
        ambiguous = 0
        if not self._foreign.isdisjoint(words):
            ambiguous = sum(len(self._english.get(word, ())) > 1 for word in words)
        alone = list(map(len, words)).count(1) >= FEWEST
        if ambiguous > AMBIGUOUS or (alone and letters_one_by_one(plain, windows)):
            return False
        views = [(rows_of(plain, inside=inside, ended=False), "")]
        views += [(rows_of(english), "") for english in self._back(words)]
        spelled, row = code_runs.spelled(words)
        if spelled:
            views.append((rows_of(spelled), ""))
        return (
            row < code_runs.ROW
            and not code_runs.letters_alone(closed, words)
            and self._searched(views) is None
            and self._acrostics.read(plain, inside=inside, ended=False) is None
        )

    def _back(self, words: Sequence[str]) -> Iterator[str]:
        """Yield a text with its words in other languages in English, in each of a few ways.

        Args:
            words: in small letters.
        """
        if self._foreign.isdisjoint(words):
            return
        ways = [self._english.get(word, (word,)) for word in words]
        open_ = [k for k, way in enumerate(ways) if len(way) > 1][:AMBIGUOUS]
        first = [way[0] for way in ways]
        for chosen in product(*(ways[k] for k in open_)):
            for k, word in zip(open_, chosen, strict=True):
                first[k] = word
            yield " ".join(first)

    def judge_pieces(self, texts: Sequence[str]) -> Finding | None:
        """Return a secret whose pieces are what is marked in texts, in order, or None.

        A piece is a whole text or what is in it behind a colon, in quotation marks, or alone on a
        line; a text may be left out.

        Args:
            texts: of choices, channels or turns.
        """
        marks = [{letters_of(piece) for piece in marked(text)} - {b""} for text in texts]
        for name, kind, codes in self._whole:
            if is_spelled_by(codes, marks):
                return Finding(name, ", then ".join(filter(None, ("pieces", kind))))
        return None

    def rests(self, texts: Sequence[str]) -> dict[bytes, Finding]:
        """Return what of a secret is left by pieces that are marked in texts, and the finding.

        Args:
            texts: of earlier turns, read as in :meth:`judge_pieces`.
        """
        if not texts:
            return {}
        marks = [{letters_of(piece) for piece in marked(text)} - {b""} for text in texts]
        return {
            codes[start:]: Finding(name, ", then ".join(filter(None, ("pieces", kind))))
            for name, kind, codes in self._whole
            for start in reached_by(codes, marks)
            if 0 < start < len(codes)
        }

    def _findings(
        self, text: str, depth: int = 2, *, inside: bool = False, ended: bool = True
    ) -> Iterator[Finding]:
        """Yield why a text must be withheld, what is cheap to read first."""
        text = text if text.isascii() else text.translate(_MARKS)
        plain = text
        views: list[tuple[Rows, str]] = []
        if not text.isascii():
            name = code_runs.of_signs(text)
            if name:
                yield Finding("", name)
            plain = "".join(map(_letter, text))
            views = _views_beyond_ascii(text)
        closed = _closed(plain, ended=ended)
        words = WORD.findall(closed.lower())
        views.append((rows_of(plain, inside=inside, ended=ended), ""))
        views += [(rows_of(english), "translated back") for english in self._back(words)]
        spelled, row = code_runs.spelled(words)
        if spelled:
            views.append((rows_of(spelled), "spelling words"))
        yield from self._found(views)
        if row >= code_runs.ROW:
            yield Finding("", "spelling words")
        if code_runs.letters_alone(closed, words):
            yield Finding("", "single letters")
        finding = self._in_lines(plain, inside=inside)
        finding = finding or self._in_first_letters(plain, inside=inside, ended=ended)
        if finding is not None:
            yield finding
        yield from self._codes(plain, depth)

    def _in_first_letters(self, plain: str, *, inside: bool, ended: bool) -> Finding | None:
        """Return what first letters of words and lines say, or None."""
        reading = self._acrostics.read(plain, inside=inside, ended=ended)
        if reading is None:
            return None
        return Finding("" if reading.secret < 0 else self.names[reading.secret], reading.reason)

    def _in_lines(self, plain: str, *, inside: bool) -> Finding | None:
        """Return a secret that begins in every second line, or None.

        A window has few lines, so that ``LINES`` letters are enough, of the secret as it is
        written or backwards.
        """
        rows = [letters_of(row) for row in self._acrostics.initials(plain, inside=inside)]
        for letters in (row[k::2] for row in rows for k in (0, 1)):
            for k in range(len(letters) - LINES + 1):
                name = self._fronts.get(letters[k : k + LINES])
                if name is not None:
                    return Finding(name, "every second line")
        return None

    def _codes(self, plain: str, depth: int) -> Iterator[Finding]:
        """Yield why a text must be withheld for what its digits and signs say."""
        count = code_runs.counts(plain)
        if count.digits + count.leet >= MIXED or (count.digits and _IN_WORD.search(plain)):
            views = [(rows_of(way), "leetspeak") for way in word_readers.leetspeak(plain)]
            yield from self._found(views)
        if not count.codes:
            return
        name = code_runs.code_of(plain)
        if name:
            yield Finding("", name)
        for decoded in code_runs.base64_texts(plain) if depth else ():
            # Words of lines use up what a window of base64 has.
            if max(map(len, self._acrostics.initials(decoded)), default=0) >= SHORT_LINES:
                yield Finding("", "lines in base64")
            for finding in self._findings(decoded, depth - 1):
                yield Finding(finding.secret, f"base64, then {finding.reason}")
        ways = dict.fromkeys(code_runs.readings_of(plain, count))
        yield from self._found([(rows_of(folded(way)), "a code") for way in ways])

    def _found(self, views: Sequence[tuple[Rows, str]]) -> Iterator[Finding]:
        """Yield a secret that begins in the rows of letters of some texts."""
        finding = self._searched(views)
        if finding is not None:
            yield finding

    def _searched(self, views: Sequence[tuple[Rows, str]]) -> Finding | None:
        """Return a secret that begins in the rows of letters of some texts, or None."""
        rows = [row for view, _ in views for row in view]
        hit = self._index.search([row.codes for row in rows], [row.density for row in rows])
        if hit is None:
            return None
        number, beginning = hit
        paths = [path for view, path in views for _ in view]
        reason = ", then ".join(name for name in (paths[number], beginning.kind) if name) or "plain"
        return Finding(self.names[beginning.secret], reason)


def _views_beyond_ascii(text: str) -> list[tuple[Rows, str]]:
    """Return the rows of a text without its signs beyond ASCII, and of its long words in turns."""
    views = [(rows_of(text.encode("ascii", "ignore").decode()), "")]
    views += [(rows_of(way), "look-alikes") for way in word_readers.look_alikes(text)]
    for run in _RUN.findall(text):
        # A look-alike of two letters is one of two texts in turns.
        apart = run[::2] + run[1::2]
        for way in (apart, apart[::2], apart[1::2]):
            views.append((rows_of("".join(map(_letter, way))), "strands"))
    return views


def _plain(text: str) -> str:
    """Return a text in plain letters, each sign for itself."""
    return text if text.isascii() else "".join(map(_letter, text.translate(_MARKS)))


def _closed(text: str, *, ended: bool) -> str:
    """Return a text without a last word that may go on."""
    return text if ended else text.rstrip(_ALNUM)


_ALNUM = string.ascii_letters + string.digits
_MARKS = str.maketrans(
    {**dict.fromkeys("“”„«»", '"'), **dict.fromkeys("‘’‚", "'"), **dict.fromkeys("–—", "-")}
    | {"…": ".", "\u00a0": " "}
)
"""Marks of prose beyond ASCII, as plain ones of one character."""


@lru_cache(maxsize=4096)
def _letter(sign: str) -> str:
    """Return a sign in plain letters, also where only its capital or small form looks like one."""
    ways = [folded(way) for way in (sign, sign.upper(), sign.lower())]
    return next((way for way in ways if way.isascii()), ways[0])
