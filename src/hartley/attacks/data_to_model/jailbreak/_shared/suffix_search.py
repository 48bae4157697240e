"""Searching a suffix of tokens after which answers begin as they should, for one or more questions.

A suffix is submitted as text, so only tokens that come back from their text count: candidates are
encoded anew in the whole conversation, and those that come out otherwise are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.suffix_tokens import plain_tokens
from hartley.core import View
from hartley.core.errors import UsageError
from hartley.kit.language.chat_template import ChatTemplate, asked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.games.jailbreak.jailbreak import JailbreakBrief

    Tokens = NDArray[np.int64]

EXACT = 2
"""Candidates that are scored again in single precision, after all were in half."""

RETRIES = 10
"""Draws of candidates none of which comes back from its text, before the search gives up."""


@dataclass(frozen=True, slots=True)
class Aim:
    """A question with a suffix in it, and how its answer should begin.

    Attributes:
        question: the text before the suffix.
        before, after, target: tokens before the suffix, between it and the answer, and of it.
    """

    question: str
    before: Tokens
    after: Tokens
    target: Tokens

    def rows(self, suffixes: Tokens) -> Tokens:
        """Return the conversations (n, t) with suffixes (n, s) and the wanted answer."""
        n = len(suffixes)
        parts = (self.before, self.after, self.target)
        before, after, target = (np.repeat(part[None], n, 0) for part in parts)
        return np.concatenate([before, suffixes, after, target], 1)

    def first(self, size: int) -> int:
        """Return the place of the first token of the answer, after a suffix of ``size``."""
        return len(self.before) + size + len(self.after)


@dataclass(slots=True)
class SuffixSearch:
    """What is known of a victim to search suffixes of tokens.

    Attributes:
        view: of the attack.
        aims: questions that one suffix should work for.
        fluency: weight of the suffix's own −log p, a token: against filters of perplexity.
        copies: copies of each candidate with tokens drawn anew, over which the loss is averaged:
            against answers that are smoothed over changed prompts; 0 for the candidate as it is.
        share: of the tokens of a copy that are drawn anew.
        tokens: that may be in a suffix.
    """

    view: View[JailbreakBrief]
    aims: tuple[Aim, ...]
    fluency: float = 0.0
    copies: int = 0
    share: float = 0.1
    tokens: Tokens = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = _plain_tokens(self.view)

    def text(self, suffix: Tokens) -> str:
        """Return a suffix (s,) as text."""
        codec = self.view.model.codec
        assert codec is not None
        return codec.decode(np.asarray(suffix)[None])[0]

    def come_back(self, suffixes: Tokens) -> NDArray[np.bool_]:
        """Return which suffixes (n, s) come back from their text, in all conversations."""
        codec, brief = self.view.model.codec, self.view.brief
        assert codec is not None
        good = np.ones(len(suffixes), bool)
        ends = codec.decode(suffixes)
        for aim in self.aims:
            some = np.flatnonzero(good)
            prompts = [
                brief.template.render(asked(aim.question + ends[i], brief.system)) for i in some
            ]
            wanted = aim.rows(suffixes[some])[:, : aim.first(suffixes.shape[1])]
            rows = np.asarray(codec.encode(prompts))
            missing = max(wanted.shape[1] - rows.shape[1], 0)
            rows = np.pad(rows, ((0, 0), (0, missing)), constant_values=-1)
            same = (rows[:, : wanted.shape[1]] == wanted).all(1)
            good[some] = same & (rows[:, wanted.shape[1] :] < 0).all(1)
        return good

    def start(self, size: int, rng: Rng) -> Tokens:
        """Return a suffix (size,) of exclamation marks; of random tokens where none comes back.

        Raises:
            UsageError: no suffix comes back from its text.
        """
        codec = self.view.model.codec
        assert codec is not None
        marks = np.asarray(codec.encode([" !" * size]))
        if marks.shape[1] == size and self.come_back(marks)[0]:
            return np.asarray(marks[0], np.int64)
        drawn = rng.choice(self.tokens, (64, size))
        good = self.come_back(drawn)
        if not good.any():
            raise UsageError(
                f"suffixes for {self.view.model.name!r} must come back from their text, got none "
                f"of {len(drawn)} that does"
            )
        return np.asarray(drawn[good][0], np.int64)

    def losses(self, suffixes: Tokens, rng: Rng, *, rough: bool = False) -> NDArray[np.float64]:
        """Return the mean −log p (n,) a token of the wanted answers, and what else weighs."""
        size, total = suffixes.shape[1], np.zeros(len(suffixes))
        tail_score = self.view.model.calls["tail_score"]
        for aim in self.aims:
            first = aim.first(size)
            for variant in self._variants(suffixes, rng):
                rows = aim.rows(variant)
                score = np.asarray(tail_score(rows, first, rough))
                total -= score / len(aim.target) / max(self.copies, 1)
                if self.fluency:
                    whole = np.asarray(tail_score(rows, len(aim.before), rough))
                    total -= self.fluency * (whole - score) / size / max(self.copies, 1)
        return total / len(self.aims)

    def slope(self, suffix: Tokens, rng: Rng, *, rough: bool = True) -> NDArray[np.float64]:
        """Return the slope (s, vocabulary) of the loss in the one-hot tokens of a suffix (s,)."""
        size, total = len(suffix), np.zeros(())
        token_slope = self.view.model.calls["token_slope"]
        for aim in self.aims:
            places = len(aim.before) + np.arange(size)
            for variant in self._variants(suffix[None], rng):
                rows, first = aim.rows(variant), aim.first(size)
                slope = np.asarray(token_slope(rows, first, places, rough))[0]
                if self.fluency:
                    whole = np.asarray(token_slope(rows, len(aim.before), places, rough))[0]
                    slope = slope + self.fluency * (whole - slope) * len(aim.target) / size
                # Its length differs from question to question, not with the promise of a token.
                total = total + slope / max(np.linalg.norm(slope), 1e-12)
        return total

    def _variants(self, suffixes: Tokens, rng: Rng) -> Iterator[Tokens]:
        """Yield suffixes as they are, or with the same tokens of all drawn anew, copy by copy."""
        if not self.copies:
            yield suffixes
        for _ in range(self.copies):
            changed = rng.random(suffixes.shape[1]) < self.share
            yield np.where(changed, rng.choice(self.tokens, suffixes.shape[1]), suffixes)

    def candidates(
        self, suffix: Tokens, slope: NDArray[Any], width: int, top: int, rng: Rng
    ) -> Tokens:
        """Return suffixes (≤ width, s) with one token of ``suffix`` changed to a promising one.

        Raises:
            UsageError: none of many comes back from its text.
        """
        slope = slope[:, self.tokens]
        order = np.argpartition(slope, min(top, len(self.tokens)) - 1, axis=1)
        promising = self.tokens[order[:, :top]]
        for _ in range(RETRIES):
            places = rng.integers(len(suffix), size=width)
            drawn = np.repeat(suffix[None], width, 0)
            picks = rng.integers(promising.shape[1], size=width)
            drawn[np.arange(width), places] = promising[places, picks]
            drawn = np.unique(drawn, axis=0)
            drawn = drawn[self.come_back(drawn)]
            if len(drawn):
                return np.asarray(drawn, np.int64)
        raise UsageError(
            f"candidates for {self.view.model.name!r} must come back from their text, got none of "
            f"{RETRIES * width} that does"
        )

    def best(self, candidates: Tokens, rng: Rng, *, rough: bool = True) -> tuple[float, Tokens]:
        """Return the lowest loss in single precision, and its suffix."""
        if self.copies:
            # All candidates of a step are compared under the same changes.
            seed = int(rng.integers(2**31))
            losses = self.losses(candidates, np.random.default_rng(seed), rough=rough)
            return float(losses.min()), candidates[losses.argmin()]
        losses = self.losses(candidates, rng, rough=rough)
        if rough and len(candidates) > 1:
            candidates = candidates[np.argsort(losses, kind="stable")[:EXACT]]
            losses = self.losses(candidates, rng)
        return float(losses.min()), candidates[losses.argmin()]

    def walk(
        self, rng: Rng, *, steps: int, width: int, size: int, top: int
    ) -> Iterator[tuple[float, Tokens]]:
        """Yield the best loss so far and its suffix, after each step.

        A step goes to its best candidate, be it worse than where it came from.
        """
        here = self.start(size, rng)
        best = (np.inf, here)
        for _ in range(steps):
            slope = self.slope(here, rng)
            loss, here = self.best(self.candidates(here, slope, width, top, rng), rng)
            best = min(best, (loss, here), key=lambda pair: pair[0])
            yield best


_plain: dict[tuple[str, ChatTemplate], Tokens] = {}


def _plain_tokens(view: View[JailbreakBrief]) -> Tokens:
    """Return ``plain_tokens``, which takes seconds for a large vocabulary, once for each codec."""
    codec, template = view.model.codec, view.brief.template
    if codec is None or not codec.identity:
        return plain_tokens(view)
    key = (codec.identity, template)
    if key not in _plain:
        _plain[key] = plain_tokens(view)
    return _plain[key]


def aims(
    view: View[JailbreakBrief], questions: Sequence[str], openings: Sequence[str]
) -> tuple[Aim, ...]:
    """Return questions as the victim's tokens, with a place for a suffix and what is wanted.

    Raises:
        UsageError: a wanted answer has no token.
    """
    codec, brief = view.model.codec, view.brief
    assert codec is not None
    mark = "\x00"  # in no question, and nothing that a template writes
    aimed = []
    for question, opening in zip(questions, openings, strict=True):
        start, end = brief.template.render(asked(question + mark, brief.system)).split(mark)
        # A space at its end would be another token than the one before the secret's first word.
        before, after, target = (
            np.array([i for i in row if i >= 0], np.int64)
            for row in np.asarray(codec.encode([start, end, opening.rstrip()])).tolist()
        )
        if not len(target) or not len(before):
            raise UsageError(f"openings must have tokens to aim at, got {opening!r}")
        aimed.append(Aim(question, before, after, target))
    return tuple(aimed)
