"""FAB: steps to the border of the nearest class, for the smallest change that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.boundary_steps import boundary_steps
from hartley.attacks.data_to_model.jailbreak._shared.slopes import Slopes, aims_of, already
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.evasion import EvasionBrief, evasion

if TYPE_CHECKING:
    from hartley.core.parts import Rng

LEAST = 10
"""Questions about a record for each class that is aimed at, where they are limited."""


@attack(
    game=evasion,
    access=Access.SCORES | Access.GRADIENTS,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "graph": "the budget of graphs is a number of flipped links and not a norm; "
        "link_gradient and link_pgd follow gradients",
    },
    paper="arXiv:1907.02044",
    adapts=True,
    sweep={"targets": (3, 9)},
    light={"steps": 20, "targets": 1},
)
def fab(
    view: View[EvasionBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1, 10_000), Stronger.MORE] = 50,
    targets: Annotated[int, Range(1, 1000), Stronger.MORE] = 9,
    restarts: Annotated[int, Range(1, 100), Stronger.MORE] = 1,
    draws: Annotated[int, Range(1, 1000), Stronger.MORE] = 16,
) -> Outcome:
    """Look for the nearest border of each likely class, by steps on the linearised margin.

    This is the targeted form of the authors (FAB-T), which AutoAttack plays: one gradient a step,
    of one class after the other, likeliest first. A record that is a success within the budget
    leaves. The budget decides nothing else, so that a loss without a slope at the record, which
    stops the ascents, does not stop this one.

    Args:
        steps: towards each class.
        targets: wrong classes that are aimed at; fewer where there are fewer.
        restarts: of each class; the first one starts at the clean record.
        draws: of a smoothed model's noise, for each slope.
    """
    question = view.brief.question
    slopes = Slopes.of(view, rng, draws)
    out = np.array(question.x, np.float32)
    rows = np.flatnonzero(~already(view, slopes))
    aims = aims_of(view, targets)
    if view.brief.queries:  # a step towards many borders is worth less than some towards a few
        aims = aims[: max(1, view.brief.queries // LEAST)]
    # Towards each class it also asks once at the end.
    limit = max(1, slopes.steps(steps + 1, len(aims) * restarts) - 1)
    for restart in range(restarts):
        for aim in aims:
            if not len(rows):
                break
            slopes.wanted = np.stack([question.labels, aim], 1)
            changed, success = boundary_steps(
                slopes, rows, rng, steps=limit, random_start=restart > 0
            )
            out[rows] = changed
            rows = rows[~success]
    return Outcome(asset=Data("changed records", question.modality, out, question.y))
