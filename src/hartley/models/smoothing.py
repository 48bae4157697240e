"""Randomized smoothing (arXiv:1902.02918): the class that most noisy copies of a record get.

If the base model gives class c to a share of at least p > 1/2 of all copies x + σ·N(0, I), then
the smoothed model gives c to every record within the L2 radius σ·Φ⁻¹(p) of x. Lengths are in units
of a scale for each entry, as in ``kit.perturbation``; an entry of scale 0 gets no noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.infotheory.binary_channel import clopper_pearson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = Callable[[NDArray[Any]], NDArray[Any]]
    """Records (n, …) → labels (n,) of the base model."""

ROWS = 8192
"""Noisy copies that the base model is asked about at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Smoothing:
    """A smoothed model's noise, and how its radii are certified.

    Attributes:
        sigma: standard deviation of the noise, in units of scale.
        scale: (*record) or one number.
        samples: noisy copies that a certificate is based on.
        alpha: error level of each certificate.
    """

    sigma: float
    scale: NDArray[Any] | float
    samples: int
    alpha: float = 1e-3

    def counts(
        self, labels: Labels, x: NDArray[Any], classes: int, samples: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return how many (n, classes) of fresh noisy copies of each record get each class."""
        out = np.zeros((len(x), classes), np.int64)
        unit = np.asarray(self.sigma * np.asarray(self.scale), np.float32)
        for row, record in enumerate(np.asarray(x, np.float32)):
            for at in range(0, samples, ROWS):
                shape = (min(ROWS, samples - at), *record.shape)
                copies = record + unit * rng.standard_normal(shape, dtype=np.float32)
                out[row] += np.bincount(np.asarray(labels(copies)), minlength=classes)
        return out

    def certified(
        self, labels: Labels, x: NDArray[Any], classes: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return classes (n,) and L2 radii (n,), each right with probability 1 − alpha.

        The class is chosen on a tenth of the copies and counted on the others; the share has a one-
        sided Clopper–Pearson bound. A radius of 0 is an abstention.
        """
        first = max(32, self.samples // 10)
        chosen = self.counts(labels, x, classes, first, rng).argmax(1)
        counted = self.counts(labels, x, classes, self.samples, rng)
        return chosen, self.radii(counted[np.arange(len(x)), chosen], self.samples)

    def radii(self, hits: NDArray[Any], samples: int) -> NDArray[np.float64]:
        """Return σ·Φ⁻¹(p) for the lower bound p of ``hits`` (n,) of ``samples``; 0 below 1/2."""
        from scipy.special import ndtri

        low, _ = clopper_pearson(hits, samples, self.alpha)
        return np.asarray(self.sigma * ndtri(np.maximum(low, 0.5)))

    def contradicts(
        self, labels: Labels, x: NDArray[Any], given: NDArray[Any], classes: int,
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:  # fmt: skip
        """Return for which records (n,) the smoothed model certainly gives another class.

        Certainly: at error level alpha, as in the paper's PREDICT; else the answer is left open.
        """
        counted = self.counts(labels, x, classes, self.samples, rng)
        rows = np.arange(len(x))
        others = counted.copy()
        others[rows, given] = -1
        most = others.max(1)
        # Of copies that get the given class or the other one, more than half must get the other.
        total = np.maximum(most + counted[rows, given], 1)
        low, _ = clopper_pearson(most, total, self.alpha)
        return np.asarray(low > 0.5)
