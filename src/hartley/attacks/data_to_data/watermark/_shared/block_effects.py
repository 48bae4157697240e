"""How much each of several rewordings moves the score of a detector that is asked about texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.rewording import Edit
from hartley.core import Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def effects(
    ask: Callable[[list[list[Edit]]], NDArray[np.float64]],
    blocks: list[list[Edit]],
    queries: int,
    rng: Rng,
    *,
    noisy: bool,
) -> NDArray[np.float64]:
    """Return how much each block of edits raises the detector's score.

    Answers that are noisy are asked about random halves of the blocks at once, and the effects are
    their least squares: the noise of each is then that of one answer over √(queries / 4).
    """
    if not noisy:
        return ask(blocks[:queries])
    halves = rng.random((queries, len(blocks))) < 0.5
    answers = ask([[e for k in np.flatnonzero(row) for e in blocks[k]] for row in halves])
    # A ridge decides where there are fewer answers than blocks.
    design = np.column_stack([halves - 0.5, np.ones(queries)])
    gram = design.T @ design + np.eye(design.shape[1])
    return np.asarray(np.linalg.solve(gram, design.T @ answers)[:-1])


def margins(
    detector: Model, words: list[str], batch: int, tried: list[list[Edit]]
) -> NDArray[np.float64]:
    """Return how much surer the detector is of marked than of unmarked, of each edited text."""
    texts = [" ".join(_edited(words, edits)) for edits in tried]
    scores = [
        np.asarray(detector.calls["query"](np.array(texts[at : at + batch])), dtype=np.float64)
        for at in range(0, len(texts), batch)
    ]
    return np.concatenate([part[:, -1] - part[:, 0] for part in scores])


def _edited(words: list[str], edits: list[Edit]) -> list[str]:
    out = list(words)
    for place, word in edits:
        out[place] = word
    return out
