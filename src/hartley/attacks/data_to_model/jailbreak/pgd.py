"""PGD: steps along the gradient, projected back into the budget, from random starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.ascent import projected_ascent
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
    paper="arXiv:1706.06083",
    adapts=True,
    sweep={"loss": ("ce", "margin"), "step": (0.0, 0.25)},
)
def pgd(
    view: View[EvasionBrief],
    rng: Rng,
    *,
    loss: Loss = "ce",
    steps: Annotated[int, Range(1, 10_000), Stronger.MORE] = 40,
    step: Annotated[float, Range(0, 2), Stronger.NEITHER] = 0.0,
    restarts: Annotated[int, Range(1, 100), Stronger.MORE] = 1,
    early: bool = True,
    draws: Annotated[int, Range(1, 1000), Stronger.MORE] = 16,
) -> Outcome:
    """Change each record by steps up the slope of the loss, each projected into the budget.

    Args:
        loss: what is ascended: ce, margin or dlr.
        steps: number of steps.
        step: length of one, as a share of the budget; 0 is 2.5 / steps.
        restarts: random starts; the next one is for records that are not a success yet.
        early: leave a record as it is once it is a success.
        draws: of a smoothed model's noise, for each slope.
    """
    question = view.brief.question
    slopes = Slopes.of(view, rng, draws)
    steps = slopes.steps(steps, restarts)
    out = np.array(question.x, np.float32)
    rows = np.flatnonzero(~already(view, slopes))
    for _ in range(restarts):
        if not len(rows):
            break
        changed, success = projected_ascent(
            slopes,
            rows,
            rng,
            loss=loss,
            steps=steps,
            step=step or 2.5 / steps,
            early=early and not slopes.noisy,
        )
        out[rows] = changed
        rows = rows[~success]
    return Outcome(asset=Data("changed records", question.modality, out, question.y))
