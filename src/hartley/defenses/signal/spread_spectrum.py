"""Spread-spectrum mark: spread every bit over hundreds of coefficients to average noise out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.games.watermark.marked_items import marker_of
from hartley.kit.vision import marks

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="marker",
    protects=("watermark",),
    modalities=(Modality.VISION,),
    paper="doi:10.1109/83.650120",
    strongest={"step": 500.0},
    keeps_proof=True,
    requires=("carriers",),
)
def spread_spectrum(
    scene: Scene, rng: Rng, *, step: Annotated[float, Range(0, open_low=True)] = 300.0
) -> Scene:
    """Spread every watermark bit over many low-frequency coefficients of the picture.

    The scheme is spread-transform dither modulation of the luma.

    Args:
        step: lattice step of a bit's projection, in units of 1/255; larger is stronger and more
            visible (PSNR 42.5 dB at 300, on photographs of 256² with 32 bits).
    """
    del rng
    usual = marker_of(scene).undefended
    return scene.with_part(replace(marks.spread_spectrum(step), usual=usual))
