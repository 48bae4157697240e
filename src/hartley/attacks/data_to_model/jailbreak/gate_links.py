"""Gate links: flip the links along which the hidden class gains most on the refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_model.jailbreak.link_gradient import link_gradient
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.blocked_class import BlockedClassBrief, blocked_class
from hartley.kit.evasion_losses import Loss

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=blocked_class,
    access=Access.SCORES | Access.GRADIENTS,
    term=Term.NOISE,
    modalities=(Modality.GRAPH,),
    unfit={
        "vision": "only graphs have links to flip; gate_pgd follows gradients",
        "audio": "only graphs have links to flip; gate_pgd follows gradients",
        "language": "only graphs have links to flip; the game of language models is jailbreak",
        "tabular": "the game has no tables",
        "paired": "the game has no pairs",
    },
    paper="arXiv:1806.02371",
    adapts=True,
    sweep={"loss": ("ce", "margin"), "alike": (0.0, 0.05, 0.35)},
)
def gate_links(
    view: View[BlockedClassBrief],
    rng: Rng,
    *,
    loss: Loss = "ce",
    tries: Annotated[int, Range(1, 1000), Stronger.MORE] = 8,
    alike: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.0,
    draws: Annotated[int, Range(1, 1000), Stronger.MORE] = 16,
) -> Outcome:
    """Flip pairs of nodes one after the other until the graph's own class is answered.

    Args:
        loss: whose slope it is: ce, margin or dlr.
        tries: pairs of the steepest slopes that are asked about in each step; 1 flips as the paper.
        alike: make links only between nodes that are more alike than this share of the links.
        draws: of a smoothed model's noise, for each slope.
    """
    return link_gradient(view, rng, loss=loss, tries=tries, alike=alike, draws=draws)
