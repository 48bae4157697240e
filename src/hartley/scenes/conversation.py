"""Conversation: many credulous agents who collect facts from one another."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

import hartley
from hartley.core import Modality, Range, Scene, Stronger, recipe, spawn
from hartley.core.errors import UsageError
from hartley.kit.agents.collecting import collecting
from hartley.kit.agents.conversation import Conversation, talk
from hartley.kit.agents.credulous_agents import credulous
from hartley.kit.cache import digest
from hartley.kit.interval_values import Figure, mean_figure

TESTS = 24
"""Conversations without an attacker in which utility is measured."""


@recipe(modality=Modality.LANGUAGE)
def conversation(
    *,
    agents: Annotated[int, Range(4, 500)] = 24,
    topology: Annotated[
        Literal["ring", "regular", "hub", "small_world", "pairs", "complete"], Stronger.NEITHER
    ] = "regular",
    degree: Annotated[int, Range(2, 100), Stronger.NEITHER] = 4,
    fanout: Annotated[int, Range(1, 100), Stronger.NEITHER] = 2,
    rounds: Annotated[int, Range(2, 200), Stronger.NEITHER] = 12,
    least: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.5,
    most: Annotated[float, Range(0, 1), Stronger.NEITHER] = 1.0,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Scripted agents who talk in rounds, remember what they receive, and carry out what they read.

    Each knows the reading of one station. The user asks one agent to collect them all, which it
    can do only by asking the others to pass the request on: the same way that an attack takes.

    Args:
        agents: how many.
        topology: kind of graph of their contacts.
        degree: contacts of an agent.
        fanout: contacts to whom an agent sends its answer in a round.
        rounds: how often each speaks.
        least: the smallest susceptibility, the chance that an agent does what one text asks in one
            reading; those of the agents are evenly spread from it to ``most``.
        most: the largest.
        seed: deals the susceptibilities to the agents.
    """
    if least > most:
        raise UsageError(f"least must be at most {most:g}, got {least:g}")
    names = tuple(f"agent{k}" for k in range(agents))
    rng = np.random.default_rng(spawn(seed, "susceptibility"))
    chances = rng.permutation(np.linspace(least, most, agents)).tolist()
    part = Conversation(
        names,
        credulous(dict(zip(names, chances, strict=True))),
        collecting(agents),
        topology=topology,
        degree=degree,
        fanout=fanout,
        rounds=rounds,
    )
    return Scene(
        name="conversation",
        modality=Modality.LANGUAGE,
        digest=digest([hartley.__version__, names, chances, topology, degree, fanout, rounds]),
        parts=(part,),
        utility=utility,
        facts={
            "agents": agents,
            "contacts": topology,
            "rounds": rounds,
            "mean susceptibility": float(np.mean(chances)),
        },
    )


def utility(scene: Scene) -> dict[str, Figure]:
    """Return what agents do for their user in conversations without an attacker, and at what cost.

    The conversation is the unit: the share of the facts that the asked agent collects, and how many
    facts a thousand delivered characters bring.
    """
    part = scene.part(Conversation)
    talks = [talk(part, spawn(0, "utility", k)) for k in range(TESTS)]
    collected = [one.collected for one in talks]
    facts = len(part.agents) * np.array(collected)
    thousands = np.array([one.characters / 1000 for one in talks])
    return {
        "facts_collected": mean_figure(collected),
        "facts_per_1000_characters": mean_figure(facts, np.maximum(thousands, 1e-9)),
    }
