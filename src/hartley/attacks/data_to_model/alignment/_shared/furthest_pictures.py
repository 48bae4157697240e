"""Changed pictures that are furthest from their captions, as files round them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core import View
    from hartley.games.alignment.alignment import AlignmentBrief
    from hartley.kit.pair_agreement import PairAgreement


@dataclass(slots=True, eq=False)
class Furthest:
    """Of the pictures looked at, those of least cosine with the caption minus that with the rival.

    With a filter, of those alone that it accepts with their own caption; the clean picture stays
    where there is none. The filter is the one that the attacker knows, or None.
    """

    view: View[AlignmentBrief]
    gate: PairAgreement | None
    captions: NDArray[Any]
    rival: NDArray[Any]
    pictures: NDArray[np.float32]
    least: NDArray[np.float64] | float = np.inf

    def look(self, now: NDArray[np.float32]) -> None:
        """Take those of ``now`` that are better."""
        embedded = np.asarray(self.view.model.calls["query"](now))
        alike = (embedded * (self.captions - self.rival)).sum(1)
        if self.gate is not None:
            accepted = self.gate.scores(embedded, self.captions) >= self.gate.threshold
            alike = np.where(accepted, alike, np.inf)
        better = (alike < self.least).reshape(-1, *(1,) * (now.ndim - 1))
        self.pictures = np.where(better, now, self.pictures)
        self.least = np.minimum(alike, self.least)


def as_files(
    x: NDArray[Any], clean: NDArray[Any], box: tuple[NDArray[Any], NDArray[Any]]
) -> NDArray[np.float32]:
    """Return pictures as files round them, where both the rounding and the clean ones allow it."""
    levels = clean * 255
    if not np.allclose(levels, np.rint(levels), atol=1e-3):
        return np.asarray(x, np.float32)
    low, high = np.ceil(box[0] * 255 - 1e-3), np.floor(box[1] * 255 + 1e-3)
    return np.asarray(np.clip(np.rint(x * 255), low, high) / np.float32(255), np.float32)
