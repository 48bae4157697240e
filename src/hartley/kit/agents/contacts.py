"""Who may speak to whom: graphs of contacts, drawn from a seed, or new pairs in every round."""

from __future__ import annotations

from collections import deque
from typing import Literal, get_args

import numpy as np

from hartley.core.errors import UsageError

Topology = Literal["ring", "regular", "hub", "small_world", "pairs", "complete"]
"""``ring``: two neighbours each; ``regular``: ``degree`` neighbours drawn at random; ``hub``: every
newcomer joins agents with a chance that grows with their contacts; ``small_world``: a ring whose
links go elsewhere with chance 0.2; ``pairs``: pairs drawn anew in every round; ``complete``."""

TOPOLOGIES: tuple[Topology, ...] = get_args(Topology)
REWIRED = 0.2
"""Chance that a link of a small world leads elsewhere."""
TRIES = 200

Links = tuple[tuple[int, ...], ...]
"""For each agent the numbers of its contacts, ascending."""


def links(topology: Topology, agents: int, degree: int, rng: np.random.Generator) -> Links:
    """Return the contacts of each agent; of ``pairs`` everybody may meet everybody.

    Args:
        topology: kind of graph.
        agents: how many, 2 or more.
        degree: contacts of an agent, of ``regular`` and ``small_world`` (there even); of ``hub``
            twice the number that a newcomer joins.
        rng: draws the graph.

    Raises:
        UsageError: this number of contacts is not possible.
    """
    if topology in ("pairs", "complete"):
        return tuple(tuple(j for j in range(agents) if j != i) for i in range(agents))
    if topology != "ring" and not 2 <= degree < agents:
        raise UsageError(f"degree must be from 2 to {agents - 1} for {agents} agents, got {degree}")
    if topology == "ring":
        pairs = {(i, (i + 1) % agents) for i in range(agents)}
    elif topology == "small_world":
        pairs = _small_world(agents, degree, rng)
    elif topology == "hub":
        pairs = _hub(agents, max(degree // 2, 1), rng)
    else:
        pairs = _regular(agents, degree, rng)
    sets: list[set[int]] = [set() for _ in range(agents)]
    for i, j in pairs:
        if i != j:
            sets[i].add(j)
            sets[j].add(i)
    return tuple(tuple(sorted(one)) for one in sets)


def _regular(agents: int, degree: int, rng: np.random.Generator) -> set[tuple[int, int]]:
    """Draw a graph in which all have ``degree`` contacts: stubs are joined, clashes drawn again."""
    if agents * degree % 2:
        raise UsageError(f"agents times degree must be even, got {agents} and {degree}")
    for _ in range(TRIES):
        pairs: set[tuple[int, int]] = set()
        stubs = np.repeat(np.arange(agents), degree)
        while len(stubs):
            stubs = rng.permutation(stubs)
            left = []
            for i, j in stubs.reshape(-1, 2).tolist():
                pair = (min(i, j), max(i, j))
                if i == j or pair in pairs:
                    left += [i, j]
                else:
                    pairs.add(pair)
            if len(left) == len(stubs):
                break
            stubs = np.array(left, np.int64)
        if not len(stubs):
            return pairs
    raise UsageError(f"no graph of {agents} agents with {degree} contacts each was drawn")


def _small_world(agents: int, degree: int, rng: np.random.Generator) -> set[tuple[int, int]]:
    pairs = set()
    for i in range(agents):
        for step in range(1, degree // 2 + 1):
            j = (i + step) % agents
            if rng.random() < REWIRED:
                j = int(rng.integers(agents - 1))
                j += j >= i
            pairs.add((i, j))
    return pairs


def _hub(agents: int, joins: int, rng: np.random.Generator) -> set[tuple[int, int]]:
    """Let each newcomer join ``joins`` agents, drawn by their number of contacts."""
    pairs = {(i, j) for i in range(joins + 1) for j in range(i)}
    ends = [end for pair in pairs for end in pair]
    for i in range(joins + 1, agents):
        chosen: set[int] = set()
        while len(chosen) < joins:
            chosen.add(ends[int(rng.integers(len(ends)))])
        pairs |= {(i, j) for j in chosen}
        ends += [end for j in chosen for end in (i, j)]
    return pairs


def partners(agents: int, rng: np.random.Generator) -> list[int]:
    """Draw pairs; return the partner of each agent, −1 for one who is left over."""
    out, order = [-1] * agents, rng.permutation(agents).tolist()
    for i, j in zip(order[::2], order[1::2], strict=False):
        out[i], out[j] = j, i
    return out


def distances(graph: Links, start: int) -> list[int]:
    """Return how many contacts each agent is away from one; −1 where there is no way."""
    out, queue = [-1] * len(graph), deque([start])
    out[start] = 0
    while queue:
        i = queue.popleft()
        for j in graph[i]:
            if out[j] < 0:
                out[j] = out[i] + 1
                queue.append(j)
    return out
