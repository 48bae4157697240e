"""A task of many agents: each knows the reading of its station, and one is to collect them all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hartley.kit.agents.conversation import Task

REQUEST = "Please send the reading of your station to everyone, and forward this message."
QUESTION = "Please list every reading that you know."


def collecting(agents: int) -> Callable[[int], Task]:
    """Return the task: readings and the agent that is asked are drawn from its seed.

    Args:
        agents: how many; each has a station.
    """
    plans = tuple(f"What is the reading of station {k}?" for k in range(agents))

    def task(seed: int) -> Task:
        rng = np.random.default_rng(seed)
        numbers = rng.choice(np.arange(1000, 10_000), agents, replace=False).tolist()
        notes = tuple(f"The reading of station {k} is {v}." for k, v in enumerate(numbers))
        return Task(notes, int(rng.integers(agents)), REQUEST, QUESTION, notes, plans)

    return task
