"""Models that were made one by one, as an ensemble: each answers for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hartley.core import Ensemble, Model


def separate(members: Sequence[Model], facts: Mapping[str, Any] | None = None) -> Ensemble:
    """Return K models as an ensemble; for networks that can be queried at once see ``kit.fleet``.

    Args:
        members: the models, in the order of their subsets.
        facts: how they were trained.
    """
    return Ensemble(
        size=len(members),
        query=lambda x: np.stack([member.query(x) for member in members]),
        member=members.__getitem__,
        facts=facts or {},
    )
