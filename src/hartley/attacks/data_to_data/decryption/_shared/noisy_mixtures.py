"""Private pictures out of mixtures that hold public pictures as well.

After Carlini and others (arXiv:2011.05315), who take the public pictures of a mixture for noise.
Half of an encoding's weight is then of unknown pictures, so that no fit is close: which two
private pictures an encoding has is what fits it best of all pairs, and how much better than other
pairs says how much the encoding counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hartley.attacks.data_to_data.decryption._shared import mixture_solver
from hartley.attacks.data_to_data.decryption._shared.mixture_solver import Solver

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

GRID: Final = ((0.15, 0.15), (0.15, 0.3), (0.3, 0.15), (0.3, 0.3), (0.15, 0.45), (0.45, 0.15))
"""Weights of the two private pictures by which pairs are compared."""

STEPS: Final = 8
"""Steps of signs and pictures in turn, from each start."""

LEAST: Final = 0.05
"""Least weight of a private picture, and least trust in an encoding."""


class NoisySolver(Solver):
    """Pictures X (m, d) and the two that each encoding has, the rest of it being noise.

    Args:
        encodings: (n, c, h, w), grey being 0.
        count: m, private pictures.
        times: encodings that each picture is in.
        most: greatest weight of one picture.
        rng: of starts.
        mixed: public pictures in each encoding.
        net: similarities (n, n) of |encodings| that count besides those of gradients, if any.
    """

    def __init__(
        self,
        encodings: NDArray[Any],
        count: int,
        times: int,
        most: float,
        rng: Rng,
        *,
        mixed: int,
        net: Any = None,
    ) -> None:
        super().__init__(encodings, count, times, most, rng, net=net)
        self.weights = np.full((len(self.levels), 2), 1 / (2 + mixed))
        self.trust = np.clip(self.trust, 0.2, 1)
        self.noise = float((self.levels**2).mean()) * mixed / (2 + mixed) + 1e-9

    def mixing(self) -> NDArray[np.float64]:
        """Return A (n, m): the weights of private pictures in encodings."""
        a = np.zeros((len(self.pairs), self.count))
        rows = np.arange(len(a))
        a[rows, self.pairs[:, 0]] = self.weights[:, 0]
        a[rows, self.pairs[:, 1]] += self.weights[:, 1]
        return a

    def solve(self, starts: int) -> None:
        """Improve pictures and weights, each pixel from several starts.

        Starts are the present values, those of neighbouring pixels, and random ones. Each value is
        given the sign that the pictures expect as far as noise leaves it certain: by how much the
        absolute value and what is expected are above the variance of the public part, at most 1,
        in place of the hyperbolic tangent that is exact for normal noise.
        """
        levels, trust = self.levels.astype(np.float32), self.trust[:, None].astype(np.float32)
        mixing = self.mixing()
        weighed = mixing * trust
        ridge = mixture_solver.RIDGE * len(mixing) / 1000 * np.eye(self.count)
        back = np.linalg.solve(mixing.T @ weighed + ridge, weighed.T).astype(np.float32)
        a, by_noise = mixing.astype(np.float32), levels / np.float32(self.noise)
        grid = self.x.reshape(self.count, *self.shape)
        begins = [self.x, *(np.roll(grid, 1, axis).reshape(self.x.shape) for axis in (2, 3))]
        begins += [self.rng.normal(0, 0.5, self.x.shape) for _ in range(starts)]
        least, best = np.full(levels.shape[1], np.inf), self.x
        for begin in begins:
            x = begin.astype(np.float32)
            for _ in range(STEPS):
                x = back @ (levels * np.clip(by_noise * (a @ x), -1, 1))
            expected = a @ x
            fit = np.abs(by_noise * expected)
            fit += np.log1p(np.exp(-2 * fit)) - expected**2 / np.float32(2 * self.noise)
            error = -(fit * trust).sum(0)
            best = np.where(error < least, x, best)
            least = np.minimum(error, least)
        self.x = mixture_solver.joined_signs(best, self.shape)
        self._regress()

    def _regress(self) -> None:
        """Set the two weights of each encoding by least squares, and its error."""
        signed = np.copysign(self.levels, self.mixing() @ self.x)
        one, two = self.x[self.pairs[:, 0]], self.x[self.pairs[:, 1]]
        aa, bb, ab = (one**2).sum(1) + 1, (two**2).sum(1) + 1, (one * two).sum(1)
        sa, sb = (signed * one).sum(1), (signed * two).sum(1)
        scale = aa * bb - ab**2 + 1
        both = np.stack([bb * sa - ab * sb, aa * sb - ab * sa], axis=1) / scale[:, None]
        self.weights = np.clip(both, LEAST, self.most)
        self.error = ((np.abs(self.mixing() @ self.x) - self.levels) ** 2).sum(1) / self.power

    def reassign(self) -> None:
        """Give each encoding the two pictures that fit it best; trust is how clearly they do."""
        some = self.rng.permutation(self.levels.shape[1])[: 2 * mixture_solver.PIXELS]
        levels, x = (v[:, some].astype(np.float32) for v in (self.levels, self.x))
        power = (levels**2).sum(1)[:, None]
        first, second = np.triu_indices(self.count, 1)
        least = np.full((len(levels), len(first)), np.inf, dtype=np.float32)
        which = np.zeros(least.shape, dtype=np.int64)
        for k, (u, v) in enumerate(GRID):
            model = np.abs(u * x[first] + v * x[second])
            error = power + (model**2).sum(1) - 2 * levels @ model.T
            better = error < least
            least[better], which[better] = error[better], k
        best, rows = least.argmin(1), np.arange(len(least))
        self.pairs = np.stack([first[best], second[best]], axis=1)
        self.weights = np.array(GRID)[which[rows, best]]
        quarter, middle = np.quantile(least, (0.25, 0.5), axis=1)
        clear = (middle - least[rows, best]) / (middle - quarter + 1e-6)
        self.trust = np.clip(clear / np.quantile(clear, 0.9), LEAST, 1)
