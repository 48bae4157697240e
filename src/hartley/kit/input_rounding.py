"""Records of fewer bits: each number is rounded to one of 2^bits values of its range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rounded_inputs(
    x: NDArray[Any], bits: int, low: NDArray[Any] | float, high: NDArray[Any] | float
) -> NDArray[np.float32]:
    """Return records (n, …) of which each number is one of 2^bits, evenly over low … high.

    Args:
        x: the records.
        bits: of each number.
        low, high: least and largest values, one number or (*record); a column without a width
            stays as it is.
    """
    low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
    width, steps = high - low, np.float32(2**bits - 1)
    unit = np.where(width > 0, width, 1) / steps
    out = np.clip(np.round((x - low) / unit), 0, steps) * unit + low
    return np.asarray(np.where(width > 0, out, x), np.float32)
