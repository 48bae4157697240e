"""Link gradient: flip the links with the steepest slope, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.link_slopes import FlippedRecords, best_of
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.evasion import EvasionBrief, evasion
from hartley.kit.evasion_losses import Loss

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=evasion,
    access=Access.SCORES | Access.GRADIENTS,
    term=Term.NOISE,
    modalities=(Modality.GRAPH,),
    unfit={
        "vision": "only graphs have links to flip; pgd follows gradients within a norm",
        "audio": "only graphs have links to flip; pgd follows gradients within a norm",
        "tabular": "only graphs have links to flip; pgd follows gradients within a norm",
    },
    paper="arXiv:1806.02371",
    adapts=True,
    sweep={"loss": ("ce", "margin"), "alike": (0.0, 0.05, 0.35)},
)
def link_gradient(
    view: View[EvasionBrief],
    rng: Rng,
    *,
    loss: Loss = "margin",
    tries: Annotated[int, Range(1, 1000), Stronger.MORE] = 8,
    alike: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.0,
    draws: Annotated[int, Range(1, 1000), Stronger.MORE] = 16,
) -> Outcome:
    """Flip in each step the pair of nodes along which the loss rises most, and slope it again.

    The paper flips the pair with the steepest slope (GradArgmax). A slope says little about a whole
    flip, so the model is asked about the steepest few, and the best of them is flipped. A record
    that is a success is left as it is.

    Args:
        loss: whose slope it is: ce, margin or dlr.
        tries: pairs of the steepest slopes that are asked about in each step; 1 flips as the paper.
        alike: make links only between nodes that are more alike than this share of the links.
        draws: of a smoothed model's noise, for each slope.
    """
    records = FlippedRecords(view, rng, draws, alike)
    flips = records.none()
    left = ~records.already() if not records.noise else np.ones(len(flips), dtype=bool)
    for _ in range(records.flips):
        rows = np.flatnonzero(left)
        asks = records.affords(loss, tries if tries > 1 else 0)
        if asks < 0 or not len(rows):
            break
        slope = records.at(flips[rows], rows, loss).slope
        slope = np.where(records.allowed[rows] & (flips[rows] == 0), slope, -np.inf)
        steepest = np.argsort(-slope, axis=1, kind="stable")[:, : max(asks, 1)]
        possible = np.take_along_axis(slope, steepest, 1) > -np.inf
        steepest = np.where(possible, steepest, -1)
        if asks:
            flips[rows], _, success = best_of(records, flips[rows], rows, steepest)
            left[rows] = ~success if not records.noise else True
        else:
            first = np.flatnonzero(steepest[:, 0] >= 0)
            flips[rows[first], steepest[first, 0]] = 1
    return records.outcome(flips)
