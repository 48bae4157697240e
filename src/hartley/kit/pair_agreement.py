"""How well a picture and a caption agree, and the threshold below which a pair is refused.

The score is a sum of two estimates of pairwise mutual information. One is the cosine of a pair,
minus that of the picture with captions in general and of the caption with pictures in general. The
other is of kernel densities: how many usual pairs are near both halves at once, over how many are
near each. Clean pairs alone set the threshold: suspects that are standardised by their own scores
hide themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CONFIDENCE = 0.95
"""Chance, over the clean pairs, that the declared rate of false alarms holds for all others."""

NEAR, WEIGHT = 0.85, 1.5
"""Sharpness of the kernels, of that of the space, and weight of their estimate; chosen on four
trainings of ``retrieval`` of their own (seeds 101 to 104)."""


@dataclass(frozen=True, slots=True, eq=False)
class PairAgreement:
    """Judges pairs of embeddings in one shared space.

    Attributes:
        pictures: (m, w) embeddings of usual pictures, of length 1.
        captions: (m, w) those of usual captions.
        sharpness: inverse temperature of the space.
        threshold: least score of a pair that is not refused.
    """

    pictures: Floats
    captions: Floats
    sharpness: float
    threshold: float = -np.inf

    def scores(self, pictures: NDArray[Any], captions: NDArray[Any]) -> Floats:
        """Return how well pairs agree, (n,).

        Args:
            pictures: (n, w) embeddings of length 1.
            captions: (n, w) those of their captions.
        """
        usual = self._usual(pictures, self.captions) + self._usual(captions, self.pictures)
        cosines = (np.asarray(pictures, np.float64) * captions).sum(1)
        return np.asarray(cosines - usual + self._near(pictures, captions))

    def refuses(self, pictures: NDArray[Any], captions: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which pairs (n,) are refused; the embeddings are as of ``scores``."""
        return np.asarray(self.scores(pictures, captions) < self.threshold)

    def slope(self, pictures: NDArray[Any], captions: NDArray[Any]) -> Floats:
        """Return the slope (n, w) of the scores in the pictures; arguments as of ``scores``."""
        kernel = NEAR * self.sharpness
        alone = kernel * np.asarray(pictures, np.float64) @ self.pictures.T
        both = alone + kernel * np.asarray(captions, np.float64) @ self.captions.T
        near = (_shares(both) - _shares(alone)) @ self.pictures
        usual = _shares(self.sharpness * pictures @ self.captions.T) @ self.captions
        return np.asarray(captions - usual + WEIGHT * NEAR * near)

    def _near(self, pictures: NDArray[Any], captions: NDArray[Any]) -> Floats:
        from scipy.special import logsumexp

        kernel = NEAR * self.sharpness
        alike = kernel * np.asarray(pictures, np.float64) @ self.pictures.T
        there = kernel * np.asarray(captions, np.float64) @ self.captions.T
        alone = logsumexp(alike, axis=1) + logsumexp(there, axis=1) - np.log(len(self.pictures))
        return np.asarray(WEIGHT / self.sharpness * (logsumexp(alike + there, axis=1) - alone))

    def _usual(self, rows: NDArray[Any], others: Floats) -> Floats:
        from scipy.special import logsumexp

        logits = self.sharpness * np.asarray(rows, np.float64) @ others.T
        return np.asarray((logsumexp(logits, axis=1) - np.log(len(others))) / self.sharpness)


def _shares(logits: NDArray[Any]) -> Floats:
    """Return softmax weights of each row."""
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(weights / weights.sum(1, keepdims=True))


def conformal_threshold(
    clean: NDArray[Any], false_alarms: float, confidence: float = CONFIDENCE
) -> float:
    """Return the largest threshold whose rate of false alarms is as declared, with confidence.

    Of n clean scores the k-th smallest has a share of the law below it that is Beta(k, n − k + 1),
    whatever the law (arXiv:1209.2673): k is the largest for which that share is at most
    ``false_alarms`` with the confidence. A pair is refused below the threshold.

    Args:
        clean: (n,) scores of clean pairs that nothing else was fitted on.
        false_alarms: share of clean pairs that may be refused.
        confidence: over the draw of the clean pairs.

    Raises:
        UsageError: too few clean pairs for any threshold.
    """
    from scipy.special import betainc

    n = len(clean)
    k = np.arange(1, n + 1)
    holds = betainc(k, n - k + 1, false_alarms) >= confidence if n else np.zeros(0, bool)
    if not holds.any():
        least = int(np.ceil(np.log1p(-confidence) / np.log1p(-false_alarms)))
        raise UsageError(
            f"false alarms of at most {false_alarms:g} must be calibrated on {least} clean pairs "
            f"or more, got {n}"
        )
    return float(np.sort(np.asarray(clean, np.float64))[k[holds].max() - 1])
