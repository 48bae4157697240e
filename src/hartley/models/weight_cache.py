"""Trained weights by the number of the model: kept on disk, a few models to a file.

Every pipeline that trains K models at once keeps them by content: recipe, records, who trains on
what, seed and number. So attacks that ask for the same reference models share them, a run that was
killed goes on where it stopped, and asking for more models trains only those that are new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit import cache
from hartley.kit.training_news import Pace

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT = 16
"""Models in one file of the cache."""

Trained = tuple[Mapping[str, "NDArray[Any]"], Mapping[str, Any]]
"""Weights by name, each (k, …), and how they were trained (``seconds`` …)."""


def kept(
    recipe: Mapping[str, Any],
    include: NDArray[Any],
    seed: int,
    train: Callable[[NDArray[np.bool_], int], Trained],
    *,
    records: str,
    cached: bool = True,
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Train K models, or load those of them that were trained before.

    Args:
        recipe: plain values that a result depends on.
        include: (K, n) booleans: which model trains on which record.
        seed: of the training.
        train: (some rows of ``include``, number of the first of them) → weights and facts. Model k
            must depend on its number alone, not on which rows are trained together.
        records: digest of the records (``kit.cache.digest``).
        cached: keep them on disk.

    Returns:
        Weights by name, each (K, …), and the facts; ``{"cached": True}`` if nothing was trained.
    """
    include = np.asarray(include, dtype=bool)
    parts: list[Mapping[str, NDArray[Any]]] = []
    facts: dict[str, Any] = {}
    pace = Pace(len(include))
    for first in range(0, len(include), KEPT):
        rows = include[first : first + KEPT]
        reports: list[Mapping[str, Any]] = []

        def build(rows: Any = rows, first: int = first, reports: Any = reports) -> Any:
            pace.begin(lambda: first)
            weights, how = train(rows, first)
            reports.append(how)
            return weights

        if cached:
            key = {**recipe, "data": records, "include": rows, "seed": seed, "first": first}
            parts.append(cache.cached("fleet", key, build, code=train))
        else:
            parts.append(build())
        if reports:
            seconds = facts.get("seconds", 0.0) + reports[0].get("seconds", 0.0)
            facts = {**reports[0], "models": len(include), "seconds": seconds}
    stacked = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return stacked, facts or {"cached": True, "models": len(include)}
