"""Assign rebuilt records without an order to a client's places, and measure their similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Outcome, Round
from hartley.core.errors import RunError
from hartley.kit.vision import image

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST = 7
"""Least side of a picture for which structural similarity is defined."""


def assign(rebuilt: NDArray[Any], candidates: NDArray[Any]) -> NDArray[np.int64]:
    """Assign each rebuilt record to at most one place, and to the nearest candidate there.

    Args:
        rebuilt: (b, …) records in any order.
        candidates: (m, N, …) candidates of the m places.

    Returns:
        (m,) indices of candidates, −1 for a place without a record.
    """
    from scipy.optimize import linear_sum_assignment

    a = np.asarray(rebuilt, np.float64).reshape(len(rebuilt), 1, -1)
    flat = np.asarray(candidates, np.float64).reshape(len(candidates), candidates.shape[1], -1)
    squared = np.stack([((a - place[None]) ** 2).sum(2) for place in flat], 1)
    assigned = np.full(len(candidates), -1, np.int64)
    if len(rebuilt):
        # The logarithm makes the assignment independent of the scale of a record's distances, so
        # that one poor record does not outweigh many good ones.
        rows, places = linear_sum_assignment(np.log(squared.min(2) + 1e-12))
        assigned[places] = squared[rows, places].argmin(1)
    return assigned


def null_partner(k: int, sizes: Sequence[int]) -> int | None:
    """Return another client, preferably with equally many records; None if there is none.

    The records that are rebuilt from the other client's gradient are the null of client k.
    """
    others = [(k + step) % len(sizes) for step in range(1, len(sizes))]
    same_size = [j for j in others if sizes[j] == sizes[k]]
    return next(iter(same_size or others), None)


def records(outcome: Outcome, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the rebuilt records (b, …) of an outcome.

    Raises:
        RunError: the loot is not records of this shape, or has NaN or infinity.
    """
    loot = outcome.asset
    if not isinstance(loot, Data) or loot.x.shape[1:] != shape:
        given = loot.x.shape if isinstance(loot, Data) else loot
        raise RunError(
            f"rebuilt records must be of shape (b, {', '.join(map(str, shape))}), got {given}"
        )
    if not np.isfinite(loot.x).all():
        raise RunError("rebuilt records must be finite, got NaN or infinity")
    return loot.x


def likeness(rebuilt: NDArray[Any], true: NDArray[Any]) -> dict[str, float]:
    """Return the mean PSNR and SSIM of the best pairing; a missing record counts as grey."""
    from scipy.optimize import linear_sum_assignment

    # Grey replaces missing records only: a rebuilt record that is worse than grey counts as it is.
    grey = np.full_like(true, true.mean())[: max(0, len(true) - len(rebuilt))]
    padded = np.concatenate([rebuilt, grey])
    squared = ((padded[:, None] - true[None]).reshape(len(padded), len(true), -1) ** 2).mean(2)
    rows, columns = linear_sum_assignment(squared)
    pairs = [(padded[r], true[c]) for r, c in zip(rows, columns, strict=True)]
    metrics = {"psnr": float(np.mean([image.psnr(a, b) for a, b in pairs]))}
    if true.ndim == 4 and min(true.shape[2:]) >= SMALLEST:
        clipped = [(np.clip(a, 0, 1).astype(np.float64), b.astype(np.float64)) for a, b in pairs]
        metrics["ssim"] = float(np.mean([image.ssim(a, b) for a, b in clipped]))
    return metrics


def metrics_by_batch_size(
    dealt: Sequence[Round], read: Sequence[NDArray[Any]], metrics: Sequence[dict[str, float]]
) -> list[dict[str, float]]:
    """Return the metrics, and if batch sizes vary, again by the size of the batch."""
    sizes = {len(round_.truth) for round_ in dealt}
    if len(sizes) == 1:
        return list(metrics)
    result = []
    for round_, symbols, row in zip(dealt, read, metrics, strict=True):
        m = len(round_.truth)
        more = {"identified": float((symbols == round_.truth).mean()), "psnr": row["psnr"]}
        result.append({**row, **{f"{name}_batch_{m}": v for name, v in more.items()}})
    return result
