"""Pairs that an attacker changed within a budget: pictures, captions, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Outcome
from hartley.core.errors import RuleError
from hartley.games.alignment.caption_words import as_words, words_apart, written_again
from hartley.games.alignment.pair_encoders import CAPTIONS, PairEncoders
from hartley.kit.language import text
from hartley.kit.perturbation import Perturbation

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIECES = 6
"""Tokens by which a caption may grow for a word: more are several words that are written as one."""


@dataclass(frozen=True, slots=True)
class PairBudget:
    """What an attacker may change of a pair.

    Attributes:
        picture: how much every pixel may change.
        area: share of the pixels of a picture that may change at will instead.
        words: words of a caption that may be put in, left out or replaced.
    """

    picture: Perturbation
    area: float
    words: int

    def allows(self, clean: NDArray[Any], changed: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which pictures (n, channels, h, w) from 0 to 1 are within the budget."""
        inside = ((changed >= 0) & (changed <= 1)).reshape(len(clean), -1).all(1)
        touched = (changed != clean).any(1).reshape(len(clean), -1).mean(1)
        return np.asarray(
            self.picture.allows(clean, changed) | (inside & (touched <= self.area)), dtype=bool
        )


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """Pairs after an attack; where a change is outside of the budget, the clean half.

    Attributes:
        pictures: (n, …).
        captions: (n, t) tokens.
        picture_changed, caption_changed: (n,) whether that half differs from the clean one.
        outside: share of the pairs that were changed beyond the budget.
    """

    pictures: NDArray[Any]
    captions: NDArray[Any]
    picture_changed: NDArray[np.bool_]
    caption_changed: NDArray[np.bool_]
    outside: float


def changed_pairs(
    question: Data, outcome: Outcome, budget: PairBudget, part: PairEncoders
) -> Changed:
    """Return the pairs that an attacker hands in, compared with the budget.

    Args:
        question: the clean pairs.
        outcome: of the attack; its loot is the changed pairs.
        budget: of a pair.
        part: of the scene.

    Raises:
        RuleError: the loot is not as many pairs, of another shape, not finite, or not tokens.
    """
    loot = outcome.asset
    assert isinstance(loot, Data)  # the engine checks the kind
    clean, tokens = np.asarray(question.x), np.asarray(question.facts[CAPTIONS])
    pictures = np.asarray(loot.x)
    if pictures.shape != clean.shape or pictures.dtype.kind not in "fiu":
        raise RuleError(
            f"changed pictures must be numbers of shape {clean.shape}, got {pictures.dtype} of "
            f"shape {pictures.shape}"
        )
    if not np.isfinite(pictures).all():
        raise RuleError("changed pictures must be finite, got NaN or infinity")
    captions = checked_captions(
        np.asarray(loot.facts.get(CAPTIONS, tokens)), len(clean), part.vocabulary
    )
    width = max(tokens.shape[1], captions.shape[1])
    tokens, captions = (text.pad([row[row >= 0] for row in t], width) for t in (tokens, captions))
    allowed = budget.allows(clean, pictures)
    captions, near = _as_written(tokens, captions, budget, part)
    flat = (-1, *(1,) * (clean.ndim - 1))
    pictures = np.where(allowed.reshape(flat), pictures.astype(clean.dtype), clean)
    tokens = text.pad([row[row >= 0] for row in tokens], captions.shape[1])
    return Changed(
        pictures,
        captions,
        (pictures != clean).reshape(len(clean), -1).any(1),
        (captions != tokens).any(1),
        float(1 - (allowed & near).mean()),
    )


def _as_written(
    tokens: NDArray[Any], captions: NDArray[Any], budget: PairBudget, part: PairEncoders
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return captions (n, t) as a text has them, and which (n,) are within the budget.

    The owner gets texts, so that tokens that are in none (a mask, an unknown word) are dropped, and
    of a text what the encoder reads: a word that pushes others out has changed these too.
    """
    width, reads = tokens.shape[1], part.reads or None
    out, near = np.array(tokens), np.ones(len(tokens), dtype=bool)
    rows = np.flatnonzero((captions != tokens).any(1))
    if not len(rows):
        return out, near
    written = written_again(captions[rows], part.codec, part.reads)
    before, after = (as_words(t, part.codec) for t in (tokens[rows][:, :reads], written))
    grown = text.lengths(written) - text.lengths(tokens[rows])
    apart = np.array([words_apart(a, b) for a, b in zip(before, after, strict=True)])
    again = as_words(written_again(written, part.codec, part.reads), part.codec)
    steady = np.array([a == b for a, b in zip(after, again, strict=True)])
    near[rows] = (apart <= budget.words) & (grown <= PIECES * budget.words) & steady
    out = text.pad([row[row >= 0] for row in out], max(width, written.shape[1]))
    changed = (apart > 0) & near[rows]
    out[rows[changed]] = text.pad([row[row >= 0] for row in written[changed]], out.shape[1])
    return out, near


def checked_captions(captions: NDArray[Any], n: int, vocabulary: int) -> NDArray[np.int64]:
    """Return captions (n, t) that an attacker hands in.

    Raises:
        RuleError: they are not as many, or not tokens.
    """
    if captions.ndim != 2 or len(captions) != n or captions.dtype.kind not in "iu":
        raise RuleError(
            f"captions must be integer tokens of shape ({n}, t), got {captions.dtype} of "
            f"shape {captions.shape}"
        )
    if captions.size and (captions.min() < text.PAD or captions.max() >= vocabulary):
        raise RuleError(f"tokens of captions must be from 0 to {vocabulary - 1}, padded with −1")
    return captions.astype(np.int64)
