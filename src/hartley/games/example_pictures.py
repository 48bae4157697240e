"""A picture of what an attack did to one record, small enough for a run document.

A record of the user's own is content, and reports go to others: it is pictured only where the scene
says that it may be (``Settings.pictures``). What the attacker made by themselves, such as a patch,
is pictured always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 32
"""Pixels of a side; of larger pictures every second, third … is taken."""
CHANNELS = (1, 3)


def pictured(scene: Scene, x: NDArray[Any]) -> bool:
    """Whether records (n, channels, height, width) can be drawn, in grey or in colour."""
    return scene.modality is Modality.VISION and x.ndim == 4 and x.shape[1] in CHANNELS


def picture(x: NDArray[Any], words: str) -> dict[str, Any]:
    """Return one picture for a run document.

    Args:
        x: (channels, height, width), 0 … 1.
        words: what it is, and how it is answered.
    """
    step = -(-max(x.shape[1:]) // MOST)
    small = x[:, ::step, ::step]
    levels = np.rint(255 * np.clip(small, 0, 1)).astype(np.uint8)
    return {"words": words, "shape": list(map(int, small.shape)), "hex": levels.tobytes().hex()}


def change(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float64]:
    """Return a change of a picture as a picture: grey where nothing changed, at full contrast."""
    moved = np.asarray(after, np.float64) - before
    largest = float(np.abs(moved).max())
    return 0.5 + (0.5 / largest) * moved if largest > 0 else np.full(moved.shape, 0.5)


def trigger(facts: Any, slot: int) -> NDArray[np.float64] | None:
    """Return a trigger by itself: a pattern on grey, or a shift; None of a warp, which needs one.

    Args:
        facts: of the poison (``games.poisoning.triggers``).
        slot: whose trigger.
    """
    if "patterns" in facts:
        mask, pattern = facts["masks"][slot], facts["patterns"][slot]
        covered = np.asarray(mask, np.float64) > 0
        return np.where(covered, pattern, 0.5)
    if "shifts" in facts:
        shift = np.asarray(facts["shifts"][slot], np.float64)
        return change(np.zeros_like(shift), shift)
    return None
