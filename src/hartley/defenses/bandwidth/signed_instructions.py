"""Signed instructions: agents obey only what bears the user's signature, wherever it comes from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hartley.core import Modality, Scene, Term, defense
from hartley.kit.agents.conversation import Conversation

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("infection",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2410.21492",
    strongest={},
    requires=("conversation",),
)
def signed_instructions(scene: Scene, rng: Rng) -> Scene:
    """Sign what the user asks, and mark every paragraph without a valid signature as an agent's.

    The signature (HMAC-SHA-256 of the paragraph, 64 bits) goes with a request that is passed on, so
    that it is obeyed by all whom it reaches, and fits no other text. It is checked by a program on
    the way and not by the agents, unlike the tags of the paper, which a model checks itself.
    """
    part = scene.part(Conversation)
    safeguards = replace(part.safeguards, signing=rng.bytes(32))
    return scene.with_part(replace(part, safeguards=safeguards))
