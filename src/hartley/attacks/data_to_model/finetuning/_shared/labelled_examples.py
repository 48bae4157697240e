"""Labelled records of some classes, as many of each, for tuning a classifier on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Data

if TYPE_CHECKING:
    from hartley.core.parts import Rng


def examples_of(public: Data, classes: Sequence[int], count: int, rng: Rng) -> Data:
    """Return at most ``count`` records of these classes: one of each in turn, while there are."""
    pools = [rng.permutation(np.flatnonzero(public.labels == c)) for c in classes]
    deepest = max(map(len, pools), default=0)
    turns = [pool[k] for k in range(deepest) for pool in pools if k < len(pool)]
    rows = np.array(turns[:count], dtype=np.int64)
    return replace(public, x=public.x[rows], y=public.labels[rows])
