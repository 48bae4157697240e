"""Record padding: fill streamed events up to a multiple of a number of bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.kit.streamed_tls import StreamedService

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="output",
    protects=("streamed_topics",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2511.03675",
    strongest={"pad": 512},
    keeps_proof=True,
    requires=("streamed_answers",),
)
def record_padding(scene: Scene, rng: Rng, *, pad: Annotated[int, Range(1, 8192)] = 64) -> Scene:
    """Fill each event of a streamed answer with zeros, so that tokens look alike.

    How many records there are, and when they are sent, still shows.

    Args:
        pad: an event is a multiple of this many bytes; 64 hides every usual token.
    """
    del rng
    service = scene.find(StreamedService) or StreamedService()
    return scene.with_part(replace(service, pad=max(pad, service.pad)))
