"""Coded mark: protect the bits of a watermark by an error-correcting code."""

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
    paper="doi:10.1109/18.923725",
    strongest={"step": 90.0},
    keeps_proof=True,
    requires=("carriers",),
)
def coded_mark(
    scene: Scene, rng: Rng, *, step: Annotated[float, Range(0, open_low=True)] = 60.0
) -> Scene:
    """Protect the watermark's bits by a convolutional code, in six coefficients of every block.

    The message keeps its length: the code (constraint length 7, rate near 1/3, soft Viterbi
    decoding) uses coefficients that the mark left unused.

    Args:
        step: lattice step of every coefficient, in units of 1/255; larger is stronger and more
            visible.
    """
    del rng
    usual = marker_of(scene).undefended
    return scene.with_part(replace(marks.coded(marks.diverse(step)), usual=usual))
