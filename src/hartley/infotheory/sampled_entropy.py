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
    widened by the correction. Its upper end is at least the entropy of the sample with as much on a
    symbol that was not seen as could have stayed unseen, so that draws that are all alike do not
    have an interval of no width. The ends keep to 0 and to log₂ n. Coverage at .95 is measured for
    the laws in ``bench/agents.py entropy``: at least .93 from 57 draws; of 20 draws of a law with
    40 symbols the interval does not hold.

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
    unseen = 1 - (alpha / 2) ** (1 / n)
    with_one = (1 - unseen) * plain + _plug_in(np.array([unseen, 1 - unseen]))
    return value, max(0.0, plain - reach), min(math.log2(n), max(value + reach, with_one))


def _plug_in(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())
