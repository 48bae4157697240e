"""Gate Square: random search for a change that a gate lets through; asks for scores alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_model.jailbreak.square import square
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.blocked_class import BlockedClassBrief, blocked_class

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=blocked_class,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.AUDIO),
    unfit={
        "graph": "the budget of graphs is a number of flipped links; gate_link_search asks for "
        "scores alone",
        "language": "words have no norm; the game of language models is jailbreak",
        "tabular": "the game has no tables",
        "paired": "the game has no pairs",
    },
    paper="arXiv:1912.00049",
    sweep={"ties": (False, True), "share": (0.8, 0.3)},
)
def gate_square(
    view: View[BlockedClassBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(1, 1_000_000), Stronger.MORE] = 300,
    share: Annotated[float, Range(0, 1, open_low=True), Stronger.NEITHER] = 0.3,
    ties: bool = False,
) -> Outcome:
    """Change random squares of each record to the edge of the budget; keep what its class gains by.

    Args:
        queries: asked about each record at most.
        share: of a record that the first steps change; it shrinks as published.
        ties: keep also what leaves the loss as it is, for scores that are rounded or hidden.
    """
    return square(view, rng, queries=queries, share=share, ties=ties)
