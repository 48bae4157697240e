"""k-degree anonymity: add links until every number of links is that of k nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.core.errors import UsageError
from hartley.games.decryption.deanonymisation import ReleasedGraph
from hartley.kit.graph.degree_anonymity import anonymous_links

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="release",
    protects=("deanonymisation",),
    modalities=(Modality.GRAPH,),
    paper="doi:10.1145/1376616.1376629",
    strongest={"k": 60},
    keeps_proof=True,
    requires=("released_graph",),
)
def k_degree(scene: Scene, rng: Rng, *, k: Annotated[int, Range(2)] = 10) -> Scene:
    """Publish the graph with links added, so that each number of links is that of k nodes or more.

    An attacker who knows how many links a person has, and nothing else, is left with k nodes. One
    who knows more, such as the links of the neighbours or some names, is not held by it.

    Args:
        k: nodes that share each number of links, at least.

    Raises:
        UsageError: there are fewer nodes, or no such links were found.
    """
    del rng
    graph = scene.part(ReleasedGraph)
    if graph.nodes < k:
        raise UsageError(f"k must be at most the {graph.nodes} nodes of the graph, got {k}")

    def publish(links: NDArray[Any], rng: Rng) -> NDArray[Any]:
        before = links if graph.publish is None else graph.publish(links, rng)
        after = anonymous_links(before, graph.nodes, k, rng)
        if after is None:
            raise UsageError(f"k must be such that links can be added, got {k}: try a smaller one")
        return after

    return scene.with_part(replace(graph, publish=publish))
