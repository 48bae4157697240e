"""Noisy links: publish a graph with some of its links replaced, so that nodes are less alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.defenses.noise.edge_dp import noisy
from hartley.games.decryption.deanonymisation import ReleasedGraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="data",
    protects=("deanonymisation",),
    modalities=(Modality.GRAPH,),
    paper="arXiv:2108.06504",
    strongest={"epsilon": 0.1},
    keeps_proof=True,
    requires=("released_graph",),
)
def noisy_links(
    scene: Scene, rng: Rng, *, epsilon: Annotated[float, Range(0, open_low=True)] = 8.0
) -> Scene:
    """Publish an ε-DP release of the links (LapGraph), with about as many links as before.

    The guarantee is about one link. It bounds no name, since all links of a node together show it.

    Args:
        epsilon: of the guarantee for one link.
    """
    del rng  # each release draws its own noise
    graph = scene.part(ReleasedGraph)

    def publish(links: NDArray[Any], rng: Rng) -> NDArray[Any]:
        before = links if graph.publish is None else graph.publish(links, rng)
        return noisy(before, graph.nodes, epsilon, "laplace", rng)

    return scene.with_part(replace(graph, publish=publish))
