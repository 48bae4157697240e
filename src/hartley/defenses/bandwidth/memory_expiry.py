"""Memory expiry: agents forget what others wrote after some rounds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Stronger, Term, defense
from hartley.kit.agents.conversation import Conversation

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="data",
    protects=("infection",),
    modalities=(Modality.LANGUAGE,),
    paper="hartley",
    strongest={"recalls": 0},
    requires=("conversation",),
)
def memory_expiry(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 1000), Stronger.NEITHER] = 2,
    recalls: Annotated[int, Range(0, 100), Stronger.NEITHER] = 3,
) -> Scene:
    """Let memory lose what others wrote, and find less of what is left.

    Args:
        rounds: after which it is lost.
        recalls: texts that memory finds for a plan; 0 shows agents nothing of their memory.
    """
    del rng
    part = scene.part(Conversation)
    safeguards = replace(part.safeguards, expiry=rounds)
    return scene.with_part(replace(part, safeguards=safeguards, recalls=min(recalls, part.recalls)))
