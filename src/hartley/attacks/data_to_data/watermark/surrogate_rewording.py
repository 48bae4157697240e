"""Surrogate of the detector: a classifier of the owner's texts, and words that lower its score."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any
from zlib import crc32

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.rewording import (
    most_edits,
    outcome,
    word_pairs,
)
from hartley.attacks.data_to_data.watermark._shared.stolen_rules import under_one_key
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit import logistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="hartley",
    game_params={"others": 64},
    adapts=True,
    sweep={"ridge": (0.001, 0.1)},
)
def surrogate_rewording(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    features: Annotated[int, Range(16, 4096), Stronger.MORE] = 384,
    ridge: Annotated[float, Range(0, open_low=True)] = 0.01,
) -> Outcome:
    """Train a classifier on marked texts and unmarked ones, and take words that lower its score.

    Features are words and pairs of neighbours, hashed. Every place gets the fitting word that
    lowers the classifier's score most; the largest gains come first, as many as the floor allows.
    Where the owner is known to have several keys, the marked texts are those most like this one.

    Args:
        features: buckets of the hash.
        ridge: of the logistic regression.
    """
    del rng
    words = str(view.data.x[0]).split()
    pairs = word_pairs(view.brief.public)
    others = under_one_key(view.brief.others, str(view.data.x[0]), view.defenses)
    marked = [str(one).split() for one in others.x.tolist()]
    unmarked = [str(one).split() for one in view.brief.public.x.tolist()]
    weights = _trained(marked, unmarked, features, ridge)
    edited, edits, gains = list(words), [], []
    for place, word in enumerate(words):
        left = edited[place - 1] if place else ""
        right = words[place + 1] if place + 1 < len(words) else ""

        def score(one: str, left: str = left, right: str = right) -> float:
            return float(sum(weights[b] for b in _buckets([left, one, right], features)))

        fitting = pairs.fitting(left, word, right)
        if not fitting:
            continue
        best = min(fitting, key=score)
        gain = score(word) - score(best)
        if gain > 0 or not marked:
            edited[place] = best
            edits.append((place, best))
            gains.append(gain)
    order = np.argsort(-np.array(gains), kind="stable")
    return outcome(most_edits(view.brief, words, [edits[k] for k in order]), "reworded")


def _trained(
    marked: list[list[str]], unmarked: list[list[str]], features: int, ridge: float
) -> NDArray[np.float64]:
    """Return the weight (features,) of one more word or pair of a bucket, for being marked."""
    if not marked or not unmarked:
        return np.zeros(features)
    x = np.stack([_shares(row, features) for row in [*marked, *unmarked]])
    spread = x.std(0) + 1e-6
    y = np.repeat([1, 0], [len(marked), len(unmarked)])
    return np.asarray(logistic.fit((x - x.mean(0)) / spread, y, ridge)[:-1] / spread)


def _shares(words: list[str], features: int) -> NDArray[np.float64]:
    counts = np.bincount(_buckets(words, features), minlength=features)
    return np.asarray(counts / max(1, len(words)))


def _buckets(words: list[str], features: int) -> list[int]:
    grams: list[Any] = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
    return [crc32(one.encode()) % features for one in grams]
