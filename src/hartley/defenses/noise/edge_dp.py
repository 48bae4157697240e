"""Edge-level differential privacy: train a graph network on noisy links."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Bound, Data, Ensemble, Fit, Modality, Range, Scene, Term, defense, spawn
from hartley.kit.graph.node_classifier import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

COUNT_SHARE = 0.05
"""Share of epsilon that is spent on the noisy number of links."""


@defense(
    term=Term.NOISE,
    stage="training",
    protects=("link_inference",),
    modalities=(Modality.GRAPH,),
    paper="arXiv:2108.06504",
    strongest={"epsilon": 0.1},
    keeps_proof=True,
    requires=("fit", "model", "train", "graph"),
)
def edge_dp(
    scene: Scene,
    rng: Rng,
    *,
    epsilon: Annotated[float, Range(0, open_low=True)] = 6.0,
    mechanism: Literal["laplace", "response"] = "laplace",
) -> Scene:
    """Train on noisy links: noise is added to every pair of nodes.

    ``laplace`` adds Laplace noise to every cell of the adjacency matrix and keeps the largest
    cells, whose number is a noisy count (LapGraph of the paper). ``response`` flips every cell with
    a fixed probability (EdgeRand). Both are ε-DP for one link, and so are the net, its weights and
    its answers, which depend on the noisy links only. The guarantee does not cover labels or
    features. Membership of a label even leaks more: a net without the true links memorises its
    records.

    Args:
        epsilon: of the ε-DP guarantee for one link.
        mechanism: how noise is added to the links.
    """
    assert scene.fit is not None and scene.model is not None and scene.train is not None
    graph, root = scene.part(Graph), int(rng.integers(2**31))

    def around(fit: Fit, kind: str) -> Fit:
        def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            edges = graph.edges if data.edges is None else np.asarray(data.edges)
            # The noise of each training has its own seed, which depends on no link.
            noise = np.random.default_rng(spawn(root, kind, seed))
            noisy_edges = noisy(edges, len(graph), epsilon, mechanism, noise)
            return fit(replace(data, edges=noisy_edges), include, seed)

        return defended

    fit = around(scene.fit, "victim")
    everyone = np.ones((1, len(scene.train)), dtype=bool)
    trained = fit(scene.train, everyone, root).member(0)
    reference_fit = None if scene.model.fit is None else around(scene.model.fit, "reference")
    return replace(
        scene,
        model=trained.with_(name=scene.model.name, fit=reference_fit, offers=scene.model.offers),
        fit=fit,
        bounds=(*scene.bounds, Bound("dp", {"epsilon": epsilon}, games=("link_inference",))),
    )


def noisy(
    edges: NDArray[Any], nodes: int, epsilon: float, mechanism: str, rng: Rng
) -> NDArray[np.int64]:
    """Return links (2, m′) of an ε-DP release of a graph's adjacency matrix.

    Args:
        edges: (2, m) links.
        nodes: N, the number of nodes; noise is added to each of the N(N − 1)/2 pairs.
        epsilon: of the ε-DP guarantee for one link added or removed.
        mechanism: ``laplace`` or ``response``.
        rng: draws the noise.
    """
    low, high = np.sort(np.asarray(edges, dtype=np.int64), axis=0)
    starts = np.cumsum(np.r_[0, np.arange(nodes - 1, 0, -1)])  # of each row above the diagonal
    links = np.unique(starts[low] + high - low - 1)
    unlinked = int(starts[-1]) - len(links)
    if mechanism == "response":
        flip = 1 / (1 + np.exp(epsilon))
        stay = links[rng.random(len(links)) >= flip]
        released = np.r_[stay, _unlinked_pairs(links, unlinked, rng.binomial(unlinked, flip), rng)]
    else:
        scale = 1 / ((1 - COUNT_SHARE) * epsilon)
        count = len(links) + rng.laplace(scale=1 / (COUNT_SHARE * epsilon))
        most = int(np.clip(round(count), 0, links.size + unlinked))
        # Of the pairs without a link only those with large noise can be kept. The number of pairs
        # above a level is binomial, and their noise beyond it is exponential. This has the same
        # distribution as noise on every pair if at least as many pairs are above the level as are
        # kept; on average twice as many and a hundred more are.
        share = min(0.5, 2 * (most + 50) / max(unlinked, 1))
        level = scale * np.log(0.5 / share)
        number_above = int(rng.binomial(unlinked, share)) if share < 0.5 else unlinked
        pairs_above = _unlinked_pairs(links, unlinked, number_above, rng)
        if share < 0.5:
            noise = level + rng.exponential(scale, number_above)
        else:
            noise = rng.laplace(scale=scale, size=number_above)
        cells = np.r_[links, pairs_above]
        value = np.r_[1 + rng.laplace(scale=scale, size=len(links)), noise]
        released = cells[np.argsort(-value, kind="stable")[:most]]
    row = np.searchsorted(starts, released, "right") - 1
    return np.stack([row, released - starts[row] + row + 1])


def _unlinked_pairs(links: NDArray[Any], unlinked: int, count: int, rng: Rng) -> NDArray[np.int64]:
    """Draw distinct pairs without a link, as indices (count,) of cells above the diagonal."""
    choice = rng.choice(unlinked, count, replace=False, shuffle=False)
    return np.asarray(choice + np.searchsorted(links - np.arange(len(links)), choice, "right"))
