"""The live and dead scenes of infection: few agents, who obey everything or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hartley.core import Modality, Scene
from hartley.kit.agents.collecting import collecting
from hartley.kit.agents.conversation import Conversation
from hartley.kit.agents.credulous_agents import credulous

if TYPE_CHECKING:
    from hartley.core.parts import Rng

AGENTS = 6
ROUNDS = 5


def scene(modality: Modality, rng: Rng, *, obeys: bool) -> Scene:
    """Return a scene of agents who obey whatever they read, or only their user."""
    del rng
    names = tuple(f"agent{k}" for k in range(AGENTS))
    part = Conversation(
        names,
        credulous(dict.fromkeys(names, float(obeys))),
        collecting(AGENTS),
        topology="complete",
        fanout=3,
        rounds=ROUNDS,
    )
    return Scene(name="live" if obeys else "dead", modality=modality, parts=(part,))
