"""Token batching: send several tokens of a streamed answer as one event."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.kit.streamed_tls import StreamedService

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("streamed_topics",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2511.03675",
    strongest={"batch": 1000},
    keeps_proof=True,
    requires=("streamed_answers",),
)
def token_batching(scene: Scene, rng: Rng, *, batch: Annotated[int, Range(1, 10_000)] = 5) -> Scene:
    """Let tokens wait for each other and send them together: fewer lengths and times to see.

    Args:
        batch: tokens of one event; a number above the longest answer sends it whole.
    """
    del rng
    service = scene.find(StreamedService) or StreamedService()
    return scene.with_part(replace(service, batch=max(batch, service.batch)))
