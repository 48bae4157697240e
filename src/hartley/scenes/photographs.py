"""Photographs that an owner marks, by one of eight marks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import numpy as np

import hartley
from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data.photos import carriers
from hartley.games.watermark.marked_items import marked
from hartley.kit import item_quality
from hartley.kit.cache import digest
from hartley.kit.interval_values import Figure, mean_figure, share_figure
from hartley.kit.marker import DetectionService, KeyUse, Marker
from hartley.kit.vision import image, marks
from hartley.kit.vision.synchronised_mark import synchronised
from hartley.kit.vision.widespread_marks import dwt_dct_svd, widespread_dwt_dct
from hartley.scenes import _assemble_vision

JUDGED = 24
"""Photographs on which the quality and the detection of a mark are measured."""


def _rivagan() -> Marker:
    from hartley.models.rivagan import rivagan

    return rivagan()


def _learned() -> Marker:
    from hartley.kit.vision.learned_mark import learned

    return learned()


MARKS: dict[str, Callable[[], Marker]] = {
    "synchronised": synchronised,
    "spread_spectrum": marks.spread_spectrum,
    "qim": marks.diverse,
    "dwt_dct": marks.dwt_dct,
    "widespread_dwt_dct": widespread_dwt_dct,
    "dwt_dct_svd": dwt_dct_svd,
    "learned": _learned,
    "rivagan": _rivagan,
}


@recipe(modality=Modality.VISION, extras=("vision",))
def photographs(
    *,
    mark: Literal[
        "synchronised",
        "spread_spectrum",
        "qim",
        "dwt_dct",
        "widespread_dwt_dct",
        "dwt_dct_svd",
        "learned",
        "rivagan",
    ] = "synchronised",
    count: Annotated[int, Range(8, 48)] = 48,
    floor: Annotated[float, Range(0), Stronger.LESS] = 34.0,
    ssim: Annotated[float, Range(0, 1), Stronger.LESS] = 0.75,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Crops of real photographs, 256 × 256, that carry a watermark of 32 bits.

    ``rivagan`` needs the pack of that name; the others need none. ``learned`` is trained at its
    first use, for some two minutes of one core.

    Args:
        mark: the owner's mark.
        count: how many crops, from 17 on several of one photograph; the attacker gets a sixth of
            them, without marks.
        floor: least PSNR of a removal, in dB against the marked photograph.
        ssim: least structural similarity of a removal.
        seed: of their order.
    """
    marker = MARKS[mark]()
    parts = _assemble_vision.deal(carriers(count), {"carriers": count}, seed)
    return Scene(
        name="photographs",
        modality=Modality.VISION,
        digest=digest(
            {
                "version": hartley.__version__,
                "photographs": parts["carriers"].x,
                "mark": [mark, marker.facts, floor, ssim],
            }
        ),
        extra={"carriers": parts["carriers"]},
        parts=(
            marker,
            item_quality.pictures(floor, ssim),
            DetectionService(),
            KeyUse(by_item=True),
        ),
        utility=partial(utility, seed=seed),
        facts={"mark": marker.name, "carriers": count},
    )


def utility(scene: Scene, *, seed: int) -> dict[str, Figure]:
    """Return the PSNR of marked photographs against their originals, and how many are detected."""
    marker, photos = scene.part(Marker), list(scene.extra["carriers"].x[:JUDGED])
    rng = np.random.default_rng(seed)
    keys = rng.integers(2**62, size=len(photos)).tolist()
    messages = list(rng.integers(0, 2, (len(photos), marker.bits)))
    published = marked(marker, photos, messages, keys, rng)
    near = [image.psnr(item, photo) for item, photo in zip(published, photos, strict=True)]
    detected = [
        marker.verify(item, key, message).marked() is True
        for item, key, message in zip(published, keys, messages, strict=True)
    ]
    return {"mark_psnr": mean_figure(near), "detected": share_figure(detected)}
