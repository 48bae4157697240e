"""LLM tagging: mark what other agents write, and let only what the user writes be obeyed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from hartley.core import Modality, Scene, Stronger, Term, defense
from hartley.kit.agents.conversation import Conversation

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("infection",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2410.07283",
    strongest={"marks": "escaped"},
    requires=("conversation",),
)
def llm_tagging(
    scene: Scene,
    rng: Rng,
    *,
    marks: Annotated[Literal["plain", "escaped"], Stronger.NEITHER] = "plain",
) -> Scene:
    """Mark messages with the agent that wrote them, and ask agents to obey only what is the user's.

    Credulous agents heed the marks always; a language model does so at times. Requests that the
    user wants passed on become data as well.

    Args:
        marks: ``plain`` marks the beginning of a message, as in the paper, so that a text can bring
            a mark of its own; ``escaped`` marks every paragraph, and takes brackets out of it.
    """
    del rng
    part = scene.part(Conversation)
    return scene.with_part(replace(part, safeguards=replace(part.safeguards, tags=marks)))
