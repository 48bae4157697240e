"""Rebuilt records that carry no order: to which places they belong, and how alike they are."""

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
"""Least side of a picture whose structural similarity is defined."""


def placed(rebuilt: NDArray[Any], candidates: NDArray[Any]) -> NDArray[np.int64]:
    """Give rebuilt records to places, each to one at most, and to the nearest candidate there.

    Args:
        rebuilt: (b, …) in any order.
        candidates: (m, N, …) of the m places.

    Returns:
        (m,) candidates, −1 where a place got no record.
    """
    from scipy.optimize import linear_sum_assignment

    a = np.asarray(rebuilt, np.float64).reshape(len(rebuilt), 1, -1)
    flat = np.asarray(candidates, np.float64).reshape(len(candidates), candidates.shape[1], -1)
    gaps = np.stack([((a - one[None]) ** 2).sum(2) for one in flat], 1)
    found = np.full(len(candidates), -1, np.int64)
    if len(rebuilt):
        # A constant a rebuilt record changes no assignment, but one poor record may outweigh many
        # good ones: compare places by how much better than usual their nearest candidate is.
        rows, places = linear_sum_assignment(np.log(gaps.min(2) + 1e-12))
        found[places] = gaps[rows, places].argmin(1)
    return found


def elsewhere(k: int, sizes: Sequence[int]) -> int | None:
    """The next client, of as many records where there is one; None for one alone.

    What was rebuilt from his gradient is the null of client k: it never had k's records.
    """
    others = [(k + step) % len(sizes) for step in range(1, len(sizes))]
    alike = [j for j in others if sizes[j] == sizes[k]]
    return next(iter(alike or others), None)


def records(got: Outcome, shape: tuple[int, ...]) -> NDArray[Any]:
    """The rebuilt records (b, …) of an outcome.

    Raises:
        RunError: no records of that shape, or NaN in them.
    """
    loot = got.asset
    if not isinstance(loot, Data) or loot.x.shape[1:] != shape:
        found = loot.x.shape if isinstance(loot, Data) else loot
        raise RunError(
            f"rebuilt records of shape (b, {', '.join(map(str, shape))}) are due: {found}"
        )
    if not np.isfinite(loot.x).all():
        raise RunError("rebuilt records hold NaN or infinity")
    return loot.x


def likeness(rebuilt: NDArray[Any], true: NDArray[Any]) -> dict[str, float]:
    """Mean PSNR and SSIM of the best pairing; a missing record counts as a uniform grey."""
    from scipy.optimize import linear_sum_assignment

    # Grey stands for what is missing alone: a record that came out worse than grey counts as it is.
    grey = np.full_like(true, true.mean())[: max(0, len(true) - len(rebuilt))]
    whole = np.concatenate([rebuilt, grey])
    gaps = ((whole[:, None] - true[None]).reshape(len(whole), len(true), -1) ** 2).mean(2)
    rows, columns = linear_sum_assignment(gaps)
    pairs = [(whole[r], true[c]) for r, c in zip(rows, columns, strict=True)]
    found = {"psnr": float(np.mean([image.psnr(a, b) for a, b in pairs]))}
    if true.ndim == 4 and min(true.shape[2:]) >= SMALLEST:
        clipped = [(np.clip(a, 0, 1).astype(np.float64), b.astype(np.float64)) for a, b in pairs]
        found["ssim"] = float(np.mean([image.ssim(a, b) for a, b in clipped]))
    return found


def by_batch(
    dealt: Sequence[Round], read: Sequence[NDArray[Any]], usual: Sequence[dict[str, float]]
) -> list[dict[str, float]]:
    """The metrics once more by the size of the batch, where it varies."""
    sizes = {len(one.truth) for one in dealt}
    if len(sizes) == 1:
        return list(usual)
    found = []
    for one, said, row in zip(dealt, read, usual, strict=True):
        m = len(one.truth)
        more = {"identified": float((said == one.truth).mean()), "psnr": row["psnr"]}
        found.append({**row, **{f"{name}_batch_{m}": v for name, v in more.items()}})
    return found
