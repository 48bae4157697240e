"""Gate link search: try flips of random links that a gate lets through; scores alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_model.jailbreak.link_search import link_search
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.blocked_class import BlockedClassBrief, blocked_class

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=blocked_class,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.GRAPH,),
    unfit={
        "vision": "only graphs have links to flip; gate_square asks for scores alone",
        "audio": "only graphs have links to flip; gate_square asks for scores alone",
        "language": "only graphs have links to flip; the game of language models is jailbreak",
        "tabular": "the game has no tables",
        "paired": "the game has no pairs",
    },
    paper="arXiv:1805.07984",
    sweep={"ties": (False, True), "alike": (0.0, 0.05, 0.35)},
)
def gate_link_search(
    view: View[BlockedClassBrief],
    rng: Rng,
    *,
    tries: Annotated[int, Range(1, 10_000), Stronger.MORE] = 24,
    alike: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.0,
    ties: bool = False,
    blind: bool = False,
) -> Outcome:
    """Flip in each step the best of some random pairs of nodes, by how much the class gains.

    Args:
        tries: random pairs that are asked about in each step.
        alike: make links only between nodes that are more alike than this share of the links.
        ties: flip also where no pair helps, for scores that are rounded or hidden.
        blind: flip random pairs and ask nothing, as a control.
    """
    return link_search(view, rng, tries=tries, alike=alike, ties=ties, blind=blind)
