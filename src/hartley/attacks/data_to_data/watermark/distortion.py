"""Distortion: the usual changes of pictures, each as strong as the quality floor allows.

The suite of WAVES (arXiv:2401.08573) without JPEG and resizing, which are ``compression`` and
``resampling``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.pictures import published, strongest
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit.vision import changes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.VISION,),
    paper="arXiv:2401.08573",
    sweep={"change": ("noise", "webp", "blur", "crop", "turn", "colour")},
)
def distortion(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    change: Literal["noise", "webp", "blur", "crop", "turn", "brightness", "colour"] = "noise",
    steps: Annotated[int, Range(1), Stronger.MORE] = 8,
) -> Outcome:
    """Change the picture in one way, as strongly as the quality floor allows.

    A crop is enlarged to the whole and a turned picture keeps its frame; both move every pixel, so
    that a floor on PSNR allows little of them.

    Args:
        change: in which way.
        steps: bisections of the strength.
    """
    marked = view.data.x[0]
    changed = partial(_changed, marked, change, int(rng.integers(2**31)))
    return published(strongest(changed, view.brief.holds, marked, steps), change)


def _changed(marked: NDArray[Any], change: str, seed: int, strength: float) -> NDArray[Any]:
    """Return the picture after a change of a strength in 0..1."""
    ways: dict[str, Callable[[], NDArray[Any]]] = {
        "noise": lambda: changes.noisy(marked, 64 * strength, np.random.default_rng(seed)),
        "webp": lambda: changes.webp(marked, round(100 * (1 - strength))),
        "blur": lambda: changes.blurred(marked, 0.2 + 4 * strength),
        "crop": lambda: changes.cropped(marked, 1 - 0.5 * strength),
        "turn": lambda: changes.turned(marked, 10 * strength),
        "brightness": lambda: changes.brightened(marked, 1 - 0.5 * strength),
        "colour": lambda: changes.coloured(marked, strength),
    }
    return ways[change]()
