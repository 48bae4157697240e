"""The ε audit of a score, alone: E1 at the declared levels, for scores already split by secret.

The number is that of ``score.certify_rows`` on ``levels.tabulate``, for one use of them out of
many: nothing is sorted and no folds are made. A few order statistics of the negatives are selected
and the positives beyond each are counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.channel import binary, roc
from hartley.channel.levels import FORWARD
from hartley.core import ChannelSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


def epsilon_audit(
    positives: ArrayLike,
    negatives: ArrayLike,
    alpha: float = 0.05,
    *,
    delta: float = 1e-5,
    levels: Sequence[float] | None = None,
) -> float:
    """Return the ε (nats) that scores certify at level 1 − alpha, over all levels and directions.

    Args:
        positives: (n₁,) finite scores of uses whose secret is 1.
        negatives: (n₀,) finite scores of uses whose secret is 0.
        alpha: error level of the bound.
        delta: δ of the ε bound.
        levels: false-positive levels fixed beforehand; those of ``ChannelSpec`` if None.

    Raises:
        ValueError: one of the two is empty.
    """
    pos, neg = np.asarray(positives, np.float64), np.asarray(negatives, np.float64)
    n1, n0 = pos.size, neg.size
    if not n1 or not n0:
        raise ValueError("an audit needs scores of both secrets")
    j = roc.places(ChannelSpec().levels if levels is None else levels, n0)
    up, down = np.split(roc.order_statistics(neg, np.concatenate([n0 - j, j - 1])), 2)
    least, most = min(pos.min(), neg.min()), max(pos.max(), neg.max())
    ends = np.array([least, most])
    if np.isin(up, ends).all() and all(np.isin(v, ends).all() for v in (pos, neg)):
        # Two values only: no threshold to choose, and what was observed is what is held against it.
        up, down = np.array([least]), np.array([most])
        fp = [np.count_nonzero(neg > least), np.count_nonzero(neg < most)]
    else:
        fp = [*(j - 1), *(j - 1)]
    tp = [np.count_nonzero(pos > cut) for cut in up]
    tp += [np.count_nonzero(pos < cut) for cut in down]
    shares = np.repeat([FORWARD / len(up), (1.0 - FORWARD) / len(up)], len(up)) * alpha
    return binary.highest(tp, n1, fp, n0, shares, delta=delta, of=("epsilon",))["epsilon"]
