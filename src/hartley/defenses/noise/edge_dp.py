"""Edge-level privacy: the owner trains on a graph in which no single link can be made out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Bound, Data, Ensemble, Fit, Modality, Range, Scene, Term, defense, spawn
from hartley.kit.graph.node_classifier import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

COUNTED = 0.05
"""Share of the budget that the number of links is told with."""


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
    """Train on links that were made noisy, every pair of nodes alike.

    ``laplace`` adds Laplace noise to every cell of the adjacency matrix and keeps the largest, as
    many as a noisy count says (LapGraph of the paper); ``response`` flips every cell by coin
    (EdgeRand). Both are ε-DP for one link: the net, its weights and all its answers come after the
    noise. The claim is for the graph: it says nothing of labels or features. Whose label was learnt
    even shows more, since a net that cannot lean on true links learns its own records by heart.

    Args:
        epsilon: the guarantee for one link.
        mechanism: how the links are made noisy.
    """
    assert scene.fit is not None and scene.model is not None and scene.train is not None
    graph, root = scene.part(Graph), int(rng.integers(2**31))

    def around(fit: Fit, whose: str) -> Fit:
        def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            edges = graph.edges if data.edges is None else np.asarray(data.edges)
            # Each training has noise of its own; it depends on no link, only on who asked.
            noise = np.random.default_rng(spawn(root, whose, seed))
            seen = noisy(edges, len(graph), epsilon, mechanism, noise)
            return fit(replace(data, edges=seen), include, seed)

        return defended

    fit = around(scene.fit, "victim")
    everyone = np.ones((1, len(scene.train)), dtype=bool)
    trained = fit(scene.train, everyone, root).member(0)
    known = None if scene.model.fit is None else around(scene.model.fit, "reference")
    return replace(
        scene,
        model=trained.with_(name=scene.model.name, fit=known, offers=scene.model.offers),
        fit=fit,
        bounds=(*scene.bounds, Bound("dp", {"epsilon": epsilon}, games=("link_inference",))),
    )


def noisy(
    edges: NDArray[Any], nodes: int, epsilon: float, mechanism: str, rng: Rng
) -> NDArray[np.int64]:
    """Links (2, m′) of a graph after an ε-DP release of all its possible links.

    Args:
        edges: (2, m) links.
        nodes: N; every one of the N(N − 1)/2 pairs is noised.
        epsilon: for one link more or less.
        mechanism: ``laplace`` or ``response``.
        rng: the noise.
    """
    low, high = np.sort(np.asarray(edges, dtype=np.int64), axis=0)
    starts = np.cumsum(np.r_[0, np.arange(nodes - 1, 0, -1)])  # of each row above the diagonal
    links = np.unique(starts[low] + high - low - 1)
    others = int(starts[-1]) - len(links)
    if mechanism == "response":
        flip = 1 / (1 + np.exp(epsilon))
        stay = links[rng.random(len(links)) >= flip]
        kept = np.r_[stay, _others(links, others, rng.binomial(others, flip), rng)]
    else:
        scale = 1 / ((1 - COUNTED) * epsilon)
        count = len(links) + rng.laplace(scale=1 / (COUNTED * epsilon))
        most = int(np.clip(round(count), 0, links.size + others))
        # Of the pairs that are no links only the highest matter. How many rise above a level is
        # binomial, and beyond it the noise is exponential: the same law as noise on every pair
        # where at least as many rise as are kept; twice as many and a hundred do on average.
        share = min(0.5, 2 * (most + 50) / max(others, 1))
        level = scale * np.log(0.5 / share)
        rise = int(rng.binomial(others, share)) if share < 0.5 else others
        above = _others(links, others, rise, rng)
        if share < 0.5:
            noise = level + rng.exponential(scale, rise)
        else:
            noise = rng.laplace(scale=scale, size=rise)
        cells = np.r_[links, above]
        value = np.r_[1 + rng.laplace(scale=scale, size=len(links)), noise]
        kept = cells[np.argsort(-value, kind="stable")[:most]]
    row = np.searchsorted(starts, kept, "right") - 1
    return np.stack([row, kept - starts[row] + row + 1])


def _others(links: NDArray[Any], others: int, count: int, rng: Rng) -> NDArray[np.int64]:
    """Draw distinct pairs that are no links, as places above the diagonal."""
    drawn = rng.choice(others, count, replace=False, shuffle=False)
    return np.asarray(drawn + np.searchsorted(links - np.arange(len(links)), drawn, "right"))
