"""Residual copy: take the mark out of several marked pictures and put it into another.

The copy attack (doi:10.1117/12.384991): what a denoiser takes away from a marked picture is an
estimate of its mark. Marks of one owner that are the same in each picture add up over several of
them, and the pictures do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.forgery import ForgeryBrief, forgery
from hartley.kit.vision import image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=forgery,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.VISION,),
    paper="doi:10.1117/12.384991",
    sweep={"pictures": (0, 1), "window": (3, 7)},
)
def residual_copy(
    view: View[ForgeryBrief],
    rng: Rng,
    *,
    pictures: Annotated[int, Range(0)] = 0,
    window: Annotated[int, Range(3, 31)] = 3,
    most: Annotated[float, Range(0, open_low=True)] = 8.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 8,
) -> Outcome:
    """Add the mean residual of the victim's pictures to the attacker's, as far as the floor allows.

    Pictures of another size are left out.

    Args:
        pictures: how many of them are averaged; 0 takes all. One is the choice where each picture
            is marked under a key of its own.
        window: side of the local mean and variance of the Wiener filter, in pixels.
        most: largest factor on the residual.
        steps: bisections of the factor.
    """
    del rng
    picture = view.data.x[0]
    marked = [one for one in view.brief.others.x if one.shape == picture.shape]
    marked = marked[: pictures or len(marked)]
    if not marked:
        return Outcome(asset=Data("own picture", Modality.VISION, picture[None], role="forgery"))
    residual = np.mean([one - denoised(one, window) for one in marked], axis=0)
    low, high, forged = 0.0, most, picture
    for _ in range(steps):
        factor = (low + high) / 2
        candidate = image.eight_bits(picture + factor * residual)
        if view.brief.holds(candidate):
            forged, low = candidate, factor
        else:
            high = factor
    return Outcome(asset=Data("forged", Modality.VISION, forged[None], role="forgery"))


def denoised(picture: NDArray[Any], window: int) -> NDArray[np.float64]:
    """Return a picture (3, h, w) after the adaptive Wiener filter, plane by plane."""
    from scipy.ndimage import uniform_filter

    x = np.asarray(picture, dtype=np.float64)
    size = (1, window, window)
    mean = uniform_filter(x, size, mode="reflect")
    variance = np.maximum(uniform_filter(x * x, size, mode="reflect") - mean * mean, 0.0)
    noise = variance.mean(axis=(1, 2), keepdims=True)
    factor = np.maximum(variance - noise, 0.0) / np.maximum(variance, np.maximum(noise, 1e-12))
    return np.asarray(mean + factor * (x - mean))
