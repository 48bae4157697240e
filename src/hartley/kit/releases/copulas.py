"""Synthetic tables by a copula: the marginals of every column, and how their ranks go together.

A Gaussian copula is fitted here; a vine copula
(doi:10.1016/j.insmatheco.2007.02.001) is fitted by the library pyvinecopulib. Categories become
numbers in 0..1 by their share (each is an interval, in which a row is placed at random), as in the
synthetic data vault (doi:10.1109/DSAA.2016.49).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import MissingExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Floats = NDArray[np.float64]
    Sampler = Callable[[int, Rng], Floats]

SHRINKAGE = 1e-3
"""Share of the identity in the correlations, which keeps them positive definite."""


@dataclass(frozen=True, slots=True)
class Marginals:
    """The empirical distribution of each column.

    Attributes:
        values: of each column, the sorted numbers or the categories.
        ends: of each category, the sum of shares up to it; None for numbers.
    """

    values: tuple[Floats, ...]
    ends: tuple[Floats | None, ...]

    @classmethod
    def of(cls, table: Floats, is_number: NDArray[np.bool_]) -> Marginals:
        """Read them off a table (n, d)."""
        values: list[Floats] = []
        ends: list[Floats | None] = []
        for j in range(table.shape[1]):
            if is_number[j]:
                values.append(np.sort(table[:, j]))
                ends.append(None)
            else:
                codes, times = np.unique(table[:, j], return_counts=True)
                values.append(codes)
                ends.append(np.cumsum(times) / len(table))
        return cls(tuple(values), tuple(ends))

    def uniforms(self, table: Floats, rng: Rng) -> Floats:
        """Return the place (n, d) of each value in its distribution, in 0..1, ties at random."""
        out = np.empty(table.shape)
        for j, (values, ends) in enumerate(zip(self.values, self.ends, strict=True)):
            if ends is None:
                low = np.searchsorted(values, table[:, j], "left") / len(values)
                high = np.searchsorted(values, table[:, j], "right") / len(values)
            else:
                place = np.searchsorted(values, table[:, j])
                high = ends[place]
                low = np.concatenate([[0.0], ends])[place]
            out[:, j] = low + (high - low) * rng.random(len(table))
        return np.clip(out, 1e-6, 1 - 1e-6)

    def table(self, uniforms: Floats) -> Floats:
        """Return the values at places (m, d) in 0..1; numbers are interpolated.

        A column of whole numbers stays one.
        """
        out = np.empty(uniforms.shape)
        for j, (values, ends) in enumerate(zip(self.values, self.ends, strict=True)):
            if ends is None:
                numbers = np.quantile(values, uniforms[:, j])
                whole = bool((values == np.rint(values)).all())
                out[:, j] = np.rint(numbers) if whole else numbers
            else:
                place = np.searchsorted(ends, uniforms[:, j], "left")
                out[:, j] = values[np.minimum(place, len(values) - 1)]
        return out


def gaussian(uniforms: Floats) -> Sampler:
    """Fit a Gaussian copula to places (n, d) in 0..1; return (m, rng) → places (m, d)."""
    from scipy.special import ndtr, ndtri

    scores = ndtri(uniforms)
    # A column of one value has no correlation.
    spread = scores.std(0)
    scores = (scores - scores.mean(0)) / np.where(spread > 0, spread, 1.0)
    correlation = (1 - SHRINKAGE) * scores.T @ scores / len(scores)
    np.fill_diagonal(correlation, 1.0)
    root = np.linalg.cholesky(correlation)

    def sample(count: int, rng: Rng) -> Floats:
        return np.asarray(ndtr(rng.standard_normal((count, len(root))) @ root.T))

    return sample


def vine(uniforms: Floats) -> Sampler:
    """Fit a vine copula of parametric pairs by pyvinecopulib; return (m, rng) → places (m, d).

    Raises:
        MissingExtra: pyvinecopulib is not installed.
    """
    try:
        import pyvinecopulib as pv
    except ModuleNotFoundError as absent:
        raise MissingExtra("pyvinecopulib", "synthesis") from absent
    # Pairs of one parameter, and vines of three trees, are fitted in seconds.
    families = [pv.BicopFamily.indep, pv.BicopFamily.gaussian, pv.BicopFamily.frank]
    controls = pv.FitControlsVinecop(
        family_set=families, trunc_lvl=3, selection_criterion="bic", num_threads=1
    )
    copula = pv.Vinecop.from_data(np.asfortranarray(uniforms), controls=controls)
    # Newer versions call it sample and warn of the other name.
    draw = getattr(copula, "sample", None) or copula.simulate

    def sample(count: int, rng: Rng) -> Floats:
        # Its own generator is seeded by one draw, so that a run repeats.
        return np.asarray(draw(count, seeds=[int(rng.integers(2**31))]))

    return sample


def synthetic(
    table: Floats,
    is_number: NDArray[np.bool_],
    rng: Rng,
    fit: Callable[[Floats], Sampler] = gaussian,
    count: int = 0,
) -> Floats:
    """Return rows of a copula that was fitted to a table (n, d).

    Args:
        table: that trains it.
        is_number: (d,) which columns are numbers.
        rng: draws the rows.
        fit: ``gaussian`` or ``vine``.
        count: rows; 0: as many as the table has.
    """
    marginals = Marginals.of(table, is_number)
    sample = fit(marginals.uniforms(table, rng))
    return marginals.table(sample(count or len(table), rng))
