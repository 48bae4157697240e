"""Graphs in which every number of links is that of k nodes or more (k-degree anonymity).

Liu and Terzi 2008 (doi:10.1145/1376616.1376629): degrees are raised to those of groups of k to
2k − 1 nodes with the least sum of increases (a dynamic program), and links are added until every
node has the degree of its group. Where no such links are left to add, a few degrees are raised by
one and it is tried again (the paper's probing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

PROBES = 500
"""Times that degrees are raised before it is given up."""


def anonymous_degrees(degrees: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return degrees (n,) of which each occurs k times or more, none below those given.

    Args:
        degrees: (n,), n ≥ k.
        k: how often each must occur.

    Returns:
        (n,), with the least sum among those where groups are neighbours in the order of degrees.
    """
    order = np.argsort(-degrees, kind="stable")
    falling = degrees[order]
    n = len(falling)
    sums = np.concatenate([[0], np.cumsum(falling)])
    best = np.full(n + 1, np.inf)
    best[0], cut = 0.0, np.zeros(n + 1, dtype=np.int64)
    for end in range(k, n + 1):
        # A group of 2k nodes or more is no better than two.
        for start in range(max(0, end - 2 * k + 1), end - k + 1):
            cost = best[start] + falling[start] * (end - start) - (sums[end] - sums[start])
            if cost < best[end]:
                best[end], cut[end] = cost, start
    out = np.empty(n, dtype=np.int64)
    end = n
    while end:
        start = cut[end]
        out[order[start:end]] = falling[start]
        end = start
    return out


def anonymous_links(links: NDArray[Any], nodes: int, k: int, rng: Rng) -> NDArray[np.int64] | None:
    """Return links (2, m′) among 0..nodes−1 that hold all of ``links`` and are k-degree anonymous.

    Args:
        links: (2, m), each once.
        nodes: how many there are, at least k.
        k: nodes that must share each number of links.
        rng: chooses among equal nodes, and which degrees are raised.

    Returns:
        None where none was found.
    """
    joined = np.zeros((nodes, nodes), dtype=bool)
    joined[links[0], links[1]] = joined[links[1], links[0]] = True
    np.fill_diagonal(joined, True)
    degrees = joined.sum(1) - 1
    raised = degrees.copy()
    for _ in range(PROBES):
        wanted = anonymous_degrees(raised, k)
        added = _added(joined, wanted - degrees, rng)
        if added is not None:
            return np.concatenate([np.asarray(links, dtype=np.int64), added], 1)
        # The nodes of few links are those with room for more.
        low = np.argsort(raised + rng.random(nodes), kind="stable")[: max(1, nodes // 4)]
        raised[rng.choice(low)] += 1
        raised = np.minimum(raised, nodes - 1)
    return None


def _added(
    joined: NDArray[np.bool_], lacking: NDArray[np.int64], rng: Rng
) -> NDArray[np.int64] | None:
    """Return links (2, e) that give each node what it lacks, or None where the greedy way fails."""
    if lacking.sum() % 2:
        return None
    joined, lacking = joined.copy(), lacking.copy()
    out: list[tuple[int, int]] = []
    while lacking.any():
        node = int(np.argmax(lacking + rng.random(len(lacking))))
        free = np.flatnonzero(~joined[node] & (lacking > 0))
        if len(free) < lacking[node]:
            return None
        order = np.argsort(-(lacking[free] + rng.random(len(free))), kind="stable")
        for other in free[order[: lacking[node]]]:
            joined[node, other] = joined[other, node] = True
            lacking[other] -= 1
            out.append((node, int(other)))
        lacking[node] = 0
    return np.array(out, dtype=np.int64).reshape(-1, 2).T
