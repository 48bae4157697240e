"""The entropy of a law that is known by a sample alone, with its interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def entropy_interval(counts: ArrayLike, *, alpha: float = 0.05) -> tuple[float, float, float]:
    """Return an estimate of the entropy in bits, and the ends of its interval.

    The estimate is the sample's own entropy with Miller and Madow's correction (symbols that were
    seen, less one, over 2·n nats). The interval is normal, with the delete-one jackknife's error,
    widened by the correction; the lower end is not below 0, the upper not above log₂ of what the
    sample could have shown. Measured (``bench/agents.py entropy``): from 57 draws of laws with up
    to 40 symbols, 2,000 samples each, it holds in .93 to 1.00 of them at .95; of 20 draws of 40
    symbols it does not.

    Args:
        counts: (K,) how often each symbol was seen, n ≥ 2 in total.
        alpha: error of the interval.

    Raises:
        ValueError: fewer than two draws.
    """
    from scipy.special import ndtri

    c = np.asarray(counts, np.float64)
    c = c[c > 0]
    n = float(c.sum())
    if n < 2:
        raise ValueError(f"an entropy needs two draws, got {n:g}")
    plain = _plug_in(c)
    correction = (len(c) - 1) / (2 * n * math.log(2))
    # Without one draw of symbol k the sample's entropy is the same for each of its c[k] draws.
    without = np.array(
        [_plug_in(np.where(np.arange(len(c)) == k, c - 1, c)) for k in range(len(c))]
    )
    mean = float((c * without).sum() / n)
    error = math.sqrt((n - 1) / n * float((c * (without - mean) ** 2).sum()))
    reach = float(ndtri(1 - alpha / 2)) * error + correction
    value = plain + correction
    return value, max(0.0, plain - reach), min(math.log2(n), value + reach)


def _plug_in(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())
