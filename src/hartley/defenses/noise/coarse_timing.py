"""Coarse timing: streamed events wait for the next tick of a clock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.kit.streamed_tls import StreamedService

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("streamed_topics",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2511.03675",
    strongest={"grid": 60.0},
    keeps_proof=True,
    requires=("streamed_answers",),
    expected_failures={
        "narrows_streamed_topics": "in the live scene the lengths of records say the topic alone, "
        "whenever they are sent"
    },
)
def coarse_timing(
    scene: Scene, rng: Rng, *, grid: Annotated[float, Range(0, 600, open_low=True)] = 0.1
) -> Scene:
    """Send events at multiples of a time alone, so that steps of the model do not show.

    Lengths of records still show.

    Args:
        grid: seconds between two ticks.
    """
    del rng
    service = scene.find(StreamedService) or StreamedService()
    return scene.with_part(replace(service, grid=max(grid, service.grid)))
