"""How attacks on marked pictures find the strongest change that the quality floor allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hartley.attacks.data_to_data.watermark._shared.strongest import strongest as strongest_item
from hartley.core import Data, Modality, Outcome
from hartley.kit.vision import image

if TYPE_CHECKING:
    from numpy.typing import NDArray


def strongest(
    change: Callable[[float], NDArray[Any]],
    holds: Callable[[NDArray[Any]], bool],
    marked: NDArray[Any],
    steps: int,
) -> NDArray[Any]:
    """Return the picture of the largest strength in 0..1 that is above the floor, at 8 bits.

    Args:
        change: strength → picture (3, h, w); larger strengths change more.
        holds: picture → whether it is above the floor.
        marked: what is returned where no strength that was tried is.
        steps: bisections after strength 1 itself.
    """
    return strongest_item(lambda s: image.eight_bits(change(s)), holds, marked, steps)


def published(picture: NDArray[Any], name: str) -> Outcome:
    """Return a cleaned picture (3, h, w) as the loot of an attack."""
    return Outcome(asset=Data(name, Modality.VISION, picture[None], role="cleaned image"))
