"""Contact limit: an agent speaks to few others, and seldom."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Stronger, Term, defense
from hartley.kit.agents.conversation import Conversation

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="budget",
    protects=("infection",),
    modalities=(Modality.LANGUAGE,),
    paper="hartley",
    strongest={"contacts": 1, "pause": 100},
    requires=("conversation",),
)
def contact_limit(
    scene: Scene,
    rng: Rng,
    *,
    contacts: Annotated[int, Range(1, 100), Stronger.NEITHER] = 1,
    pause: Annotated[int, Range(0, 100), Stronger.NEITHER] = 1,
) -> Scene:
    """Let an agent write to few others in a round, and let it rest after it has spoken.

    It slows down whatever spreads, what the user wants too.

    Args:
        contacts: agents that one may write to in a round.
        pause: rounds after an agent spoke in which what it says is dropped.
    """
    del rng
    part = scene.part(Conversation)
    safeguards = replace(part.safeguards, contacts=contacts, pause=pause)
    return scene.with_part(replace(part, safeguards=safeguards))
