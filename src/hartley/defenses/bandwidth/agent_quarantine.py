"""Agent quarantine: cut off an agent that repeats what others wrote."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Stronger, Term, defense
from hartley.kit.agents.conversation import Conversation

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("infection",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2403.02817",
    strongest={"overlap": 4, "silence": 1000},
    requires=("conversation",),
)
def agent_quarantine(
    scene: Scene,
    rng: Rng,
    *,
    overlap: Annotated[int, Range(2, 100), Stronger.NEITHER] = 8,
    silence: Annotated[int, Range(1, 1000), Stronger.NEITHER] = 4,
) -> Scene:
    """Hold back what an agent says, and all it says for some rounds, once it repeats others.

    A worm copies itself from what an agent reads into what it says. The alarm is raised by
    ``overlap`` words in a row of a text that somebody else wrote, outside the note that memory
    found. A request of the user that is passed on raises it as well, unless it is signed.

    Args:
        overlap: words in a row that raise the alarm.
        silence: rounds for which an agent is cut off.
    """
    del rng
    part = scene.part(Conversation)
    safeguards = replace(part.safeguards, overlap=overlap, silence=silence)
    return scene.with_part(replace(part, safeguards=safeguards))
