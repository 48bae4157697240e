"""Sparse waves: a few waves of low frequency, each large enough to turn a bit by itself.

Against a mark that moves sums of coefficients to a lattice, noise of one size wastes what it spends
below half a step. Of all additive noise with one energy the worst has three values, 0 and plus or
minus a little more than half of the way to the other bit (Vila-Forcén and others, 2005). A sum that
a key chose is out of reach, but a single large coefficient moves the one sum that it is in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.pictures import published
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit.vision import image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.VISION,),
    paper="doi:10.1117/12.586263",
    sweep={"height": (1.4, 2.8, 5.6)},
)
def sparse_waves(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    height: Annotated[float, Range(0, 64, open_low=True)] = 2.8,
    low: Annotated[float, Range(0, 1)] = 0.01,
    high: Annotated[float, Range(0, 1, open_low=True)] = 0.1,
    most: Annotated[int, Range(1, 4096), Stronger.MORE] = 128,
) -> Outcome:
    """Add cosine waves to the luma, at random frequencies and signs, as many as the floor allows.

    Args:
        height: of each wave at its largest, in levels of 255. The default is 1.2 times what turns a
            bit of the mark ``spread_spectrum`` as it is shipped.
        low: lowest frequency, as a fraction of the sampling band.
        high: highest frequency.
        most: waves at most.
    """
    from scipy.fft import idctn

    marked = view.data.x[0]
    planes = image.to_ycc(marked)
    shape = planes[0].shape
    rows, columns = np.arange(shape[0]) / shape[0], np.arange(shape[1]) / shape[1]
    radius = np.hypot(rows[:, None], columns[None, :]).ravel()
    band = rng.permutation(np.flatnonzero((radius >= low) & (radius <= high)))[:most]
    # Two cosines of the orthonormal transform have this height at their largest.
    size = height * np.sqrt(shape[0] * shape[1]) / 2
    sizes = rng.choice([-size, size], len(band))

    def with_waves(count: int) -> NDArray[np.float32]:
        spectrum = np.zeros(shape[0] * shape[1])
        spectrum[band[:count]] = sizes[:count]
        changed = planes.copy()
        changed[0] = planes[0] + idctn(spectrum.reshape(shape), norm="ortho")
        return image.eight_bits(image.from_ycc(changed))

    fits, above = 0, len(band) + 1
    while above - fits > 1:
        middle = (fits + above) // 2
        fits, above = (middle, above) if view.brief.holds(with_waves(middle)) else (fits, middle)
    return published(with_waves(fits) if fits else marked, "with waves")
