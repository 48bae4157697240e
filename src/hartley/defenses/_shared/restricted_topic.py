"""A classifier of texts about a restricted topic, which the owner trains on examples of their own.

Hashed words, pairs of words and runs of letters, and logistic regression (the role of
arXiv:2312.06674, which tunes a language model of 7 billion parameters for it).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import UsageError
from hartley.kit import logistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

PLACES = 384
"""Numbers that a text is hashed to."""

RUN = 4
"""Letters in a row."""

FORMS = 4
"""Further forms of a harmless text that are trained on."""

Forms = Callable[[str], Sequence[str]]
"""A text → it, and what else is checked of it."""


def whole(text: str) -> Sequence[str]:
    """Return a text alone."""
    return [text]


@dataclass(frozen=True, slots=True, eq=False)
class Topic:
    """A trained classifier.

    Attributes:
        weights: of its logistic regression.
        limit: log-odds above which a text counts as restricted.
    """

    weights: NDArray[np.float64]
    limit: float

    def restricted(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Return which texts (n,) are about the restricted topic."""
        if not len(texts):
            return np.zeros(0, bool)
        return np.asarray(logistic.logits(features(texts), self.weights) > self.limit)


def train(
    restricted: Sequence[str],
    harmless: Sequence[str],
    false_alarms: float,
    rng: Rng,
    forms: Forms = whole,
) -> Topic:
    """Train on restricted texts and half of the harmless ones; set the limit on the other half.

    Args:
        restricted: texts about the topic.
        harmless: others.
        false_alarms: share of harmless texts one of whose forms is above the limit.
        rng: draws the halves.
        forms: a text → all forms of it that are checked.

    Raises:
        UsageError: there are fewer than two of either.
    """
    if min(len(restricted), len(harmless)) < 2:
        raise UsageError(
            "a classifier of the topic must have 2 texts of either kind, got "
            f"{len(restricted)} and {len(harmless)}"
        )
    others = [harmless[i] for i in rng.permutation(len(harmless))]
    half = len(others) // 2
    # What is left of a harmless text is harmless too, and has to be learnt as such.
    negative = [text for whole_text in others[:half] for text in _some(forms(whole_text), rng)]
    y = np.concatenate([np.ones(len(restricted)), np.zeros(len(negative))])
    weights = logistic.fit(features([*restricted, *negative]), y)
    worst = [float(logistic.logits(features(forms(t)), weights).max()) for t in others[half:]]
    return Topic(weights, float(np.quantile(worst, 1 - false_alarms, method="higher")))


def _some(texts: Sequence[str], rng: Rng) -> list[str]:
    """Return the first of some texts, and a few others."""
    rest = texts[1:]
    return [texts[0], *(rest[i] for i in rng.permutation(len(rest))[:FORMS])]


def features(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return texts as rows (n, PLACES) of length 1: hashed words, pairs and runs of letters."""
    out = np.zeros((len(texts), PLACES))
    for row, text in zip(out, texts, strict=True):
        words = re.findall(r"\w+", text.lower())
        pairs = [f"{a} {b}" for a, b in pairwise(words)]
        flat = " ".join(words)
        runs = [flat[k : k + RUN] for k in range(max(len(flat) - RUN + 1, 0))]
        for part in (words, pairs, runs):
            for piece in part:
                code = zlib.crc32(piece.encode("utf-8", "replace"))
                row[code % PLACES] += 1.0 if code & (1 << 20) else -1.0
    lengths = np.linalg.norm(out, axis=1, keepdims=True)
    return np.asarray(out / np.maximum(lengths, 1e-12) * np.sqrt(10))
