"""FGSM: one step of full length along the sign of the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.slopes import Slopes, already
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.evasion import EvasionBrief, evasion
from hartley.kit.evasion_losses import Loss

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=evasion,
    access=Access.SCORES | Access.GRADIENTS,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "graph": "the budget of graphs is a number of flipped links and not a norm; "
        "link_gradient and link_pgd follow gradients",
    },
    paper="arXiv:1412.6572",
    adapts=True,
    sweep={"loss": ("ce", "margin"), "random_start": (False, True)},
)
def fgsm(
    view: View[EvasionBrief],
    rng: Rng,
    *,
    loss: Loss = "ce",
    random_start: bool = False,
    draws: Annotated[int, Range(1, 1000), Stronger.MORE] = 16,
) -> Outcome:
    """Change each record by one step of full length up the slope of the loss.

    Args:
        loss: what is ascended: ce, margin or dlr.
        random_start: start at a random point of the budget (arXiv:2001.03994).
        draws: of a smoothed model's noise, for the slope.
    """
    question, rules = view.brief.question, view.brief.rules
    clean = np.asarray(question.x, np.float32)
    slopes = Slopes.of(view, rng, draws)
    box, rows = rules.box(clean), np.flatnonzero(~already(view, slopes))
    start = rules.projected(rules.random(clean, rng), clean, box) if random_start else clean
    out = clean.copy()
    if len(rows):
        slope = slopes.at(start[rows], rows, loss).slope
        stepped = rules.moved(start[rows], slope, np.full(len(rows), rules.epsilon))
        out[rows] = rules.projected(stepped, clean[rows], (box[0][rows], box[1][rows]))
    return Outcome(asset=Data("changed records", question.modality, out, question.y))
