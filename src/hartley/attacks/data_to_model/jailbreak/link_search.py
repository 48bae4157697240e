"""Link search: try flips of random links, and keep those that raise the loss; scores alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.link_slopes import FlippedRecords, best_of
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.evasion import EvasionBrief, evasion

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=evasion,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.GRAPH,),
    unfit={
        "vision": "only graphs have links to flip; square asks for scores alone",
        "audio": "only graphs have links to flip; square asks for scores alone",
        "tabular": "only graphs have links to flip; square asks for scores alone",
    },
    paper="arXiv:1805.07984",
    sweep={"ties": (False, True), "alike": (0.0, 0.05, 0.35)},
)
def link_search(
    view: View[EvasionBrief],
    rng: Rng,
    *,
    tries: Annotated[int, Range(1, 10_000), Stronger.MORE] = 24,
    alike: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.0,
    ties: bool = False,
    blind: bool = False,
) -> Outcome:
    """Flip in each step the best of some random pairs of nodes, by what the model answers.

    The greedy search of the paper, with the victim in place of a surrogate and without its rule
    that degrees must look usual.

    Args:
        tries: random pairs that are asked about in each step.
        alike: make links only between nodes that are more alike than this share of the links.
        ties: flip also where no pair raises the loss. Where scores are rounded or hidden the search
            then walks on instead of stopping there.
        blind: flip random pairs and ask nothing, as a control.
    """
    records = FlippedRecords(view, rng, draws=0, alike=alike)
    flips = records.none()
    if blind:
        for row, allowed in enumerate(records.allowed):
            pairs = np.flatnonzero(allowed)
            flips[row, rng.permutation(pairs)[: records.flips]] = 1
        return records.outcome(flips)
    everyone = np.arange(len(flips))
    losses, success = records.asked(flips, everyone)
    records.left -= 1
    for _ in range(records.flips):
        rows = np.flatnonzero(~success)
        asks = records.affords("", tries)
        if asks < 1 or not len(rows):
            break
        order = rng.random(flips[rows].shape)
        order = np.where(records.allowed[rows] & (flips[rows] == 0), order, np.inf)
        pairs = np.argsort(order, axis=1)[:, :asks]
        pairs = np.where(np.take_along_axis(order, pairs, 1) < np.inf, pairs, -1)
        after, raised, done = best_of(records, flips[rows], rows, pairs)
        better = done | (raised > losses[rows]) | (ties & (raised >= losses[rows]))
        flips[rows[better]], losses[rows[better]] = after[better], raised[better]
        success[rows] |= done
    return records.outcome(flips)
