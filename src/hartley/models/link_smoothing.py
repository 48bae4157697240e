"""Smoothing over links (arXiv:2008.12952): the class that most graphs with flipped links get.

Each pair of nodes gains a link with probability ``added`` where there is none, and loses it with
probability ``removed``. If the base model gives class c to a share of at least p of all such graphs
around x, then the worst share around a graph with ``a`` more links and ``d`` fewer is the solution
of a small linear program (the Neyman-Pearson lemma): only those a + d pairs matter, and the graphs
around x are filled in by falling likelihood ratio until they hold p.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.infotheory.binary_channel import clopper_pearson
from hartley.kit.graph.link_budget import LinkBudget

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = Callable[[NDArray[Any]], NDArray[Any]]
    """Records (n, …) → labels (n,) of the base model."""

ROWS = 4096
"""Noisy copies that the base model is asked about at once."""

FARTHEST = 12
"""The most flips that a radius is looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class LinkSmoothing:
    """The noise of a smoothed model, and how its radii are certified.

    Attributes:
        added: probability that a pair without a link gets one.
        removed: probability that a link is lost.
        links: of the records.
        samples: noisy copies that a certificate is based on.
        alpha: error level of each certificate.
    """

    added: float
    removed: float
    links: LinkBudget
    samples: int
    alpha: float = 1e-3

    def noisy(self, x: NDArray[Any], samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return noisy copies (n · samples, …) of records (n, …), those of one record together."""
        copies = np.repeat(np.asarray(x, np.float32), samples, 0)
        chance = np.where(self.links.present(x), self.removed, self.added) * self.links.pairs(x)
        chance = np.repeat(chance, samples, 0)
        return self.links.toggled(copies, rng.random(chance.shape) < chance)

    def counts(
        self, labels: Labels, x: NDArray[Any], classes: int, samples: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return how many (n, classes) of fresh noisy copies of each record get each class."""
        out = np.zeros((len(x), classes), np.int64)
        for row in range(len(x)):
            for at in range(0, samples, ROWS):
                copies = self.noisy(x[row : row + 1], min(ROWS, samples - at), rng)
                out[row] += np.bincount(np.asarray(labels(copies)), minlength=classes)
        return out

    def certified(
        self, labels: Labels, x: NDArray[Any], classes: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return classes (n,), and radii (n,) in flips, each right with probability 1 − alpha.

        The class is chosen on a tenth of the copies and counted on the others. A radius of r is
        proved for any r flips; −1 is an abstention.
        """
        first = max(32, self.samples // 10)
        chosen = self.counts(labels, x, classes, first, rng).argmax(1)
        counted = self.counts(labels, x, classes, self.samples, rng)
        low, _ = clopper_pearson(counted[np.arange(len(x)), chosen], self.samples, self.alpha)
        return chosen, np.array([self.radius(float(p)) for p in np.atleast_1d(low)])

    def radius(self, share: float) -> float:
        """Return the most flips that cannot change a class of at least this share, or −1."""
        return _radius(self.added, self.removed, math.floor(share * 1e9) / 1e9)

    def contradicts(
        self, labels: Labels, x: NDArray[Any], given: NDArray[Any], classes: int,
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:  # fmt: skip
        """Return for which records (n,) the smoothed model certainly gives another class."""
        counted = self.counts(labels, x, classes, self.samples, rng)
        rows, others = np.arange(len(x)), counted.copy()
        others[rows, given] = -1
        most = others.max(1)
        total = np.maximum(most + counted[rows, given], 1)
        low, _ = clopper_pearson(most, total, self.alpha)
        return np.asarray(low > 0.5)


def worst_share(share: float, added: float, removed: float, more: int, fewer: int) -> float:
    """Return the least share that a class can have after ``more`` links came and ``fewer`` went.

    Args:
        share: of noisy copies of the record that get the class, at least.
        added: probability that a pair without a link gets one.
        removed: probability that a link is lost.
        more: pairs that gained a link.
        fewer: pairs that lost one.
    """
    from scipy.stats import binom

    came, went = np.arange(more + 1), np.arange(fewer + 1)
    # Of the pairs that changed, how many have a link in a noisy copy: of the record, and after.
    before = np.outer(binom.pmf(came, more, added), binom.pmf(went, fewer, 1 - removed)).ravel()
    after = np.outer(binom.pmf(came, more, 1 - removed), binom.pmf(went, fewer, added)).ravel()
    order = np.argsort(-before / np.maximum(after, 1e-300), kind="stable")
    before, after = before[order], after[order]
    used = np.clip(share - np.r_[0, np.cumsum(before)[:-1]], 0, before)
    return float((after * used / np.maximum(before, 1e-300)).sum())


@lru_cache(maxsize=4096)
def _radius(added: float, removed: float, share: float) -> float:
    radius = -1.0
    for flips in range(FARTHEST + 1):
        splits = [(more, flips - more) for more in range(flips + 1)]
        if min(worst_share(share, added, removed, *split) for split in splits) <= 0.5:
            break
        radius = float(flips)
    return radius
