"""AutoAttack's worst case: APGD on two losses, FAB and a random search, each on what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.ascent import auto_ascent
from hartley.attacks.data_to_model.jailbreak._shared.boundary_steps import boundary_steps
from hartley.attacks.data_to_model.jailbreak._shared.random_squares import random_squares
from hartley.attacks.data_to_model.jailbreak._shared.slopes import Slopes, aims_of, already
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.evasion import EvasionBrief, evasion

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
    paper="arXiv:2003.01690",
    adapts=True,
    sweep={"draws": (16, 32)},
    light={"steps": 20, "targets": 1, "queries": 20},
)
def auto_attack(
    view: View[EvasionBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1, 10_000), Stronger.MORE] = 100,
    targets: Annotated[int, Range(0, 1000), Stronger.MORE] = 9,
    queries: Annotated[int, Range(0, 1_000_000), Stronger.MORE] = 1000,
    draws: Annotated[int, Range(1, 1000), Stronger.MORE] = 16,
) -> Outcome:
    """Attack in turn by APGD on cross-entropy, APGD on DLR and FAB by class, and Square.

    A record that is a success leaves before the next attack. The square search asks the network
    that the gradients are of. Where answers are noisy FAB and Square, which wait for one success,
    are left out.

    Args:
        steps: of each APGD, and of FAB towards each class.
        targets: wrong classes that DLR and FAB are aimed at, likeliest first; fewer where there are
            fewer.
        queries: of the square search about each record; 0 leaves it out.
        draws: of a smoothed model's noise, for each slope.
    """
    brief, question = view.brief, view.brief.question
    slopes = Slopes.of(view, rng, draws)
    out = np.array(question.x, np.float32)
    rows = np.flatnonzero(~already(view, slopes))
    borders = aims_of(view, targets) if targets else []
    aims = [None, *borders]
    limit = slopes.steps(steps, len(aims) + len(borders))
    for number, aim in enumerate(aims):
        if not len(rows):
            break
        if aim is not None:
            slopes.wanted = np.stack([question.labels, aim], 1)
        changed, success = auto_ascent(
            slopes,
            rows,
            rng,
            loss="dlr" if number else "ce",
            steps=limit,
            early=not slopes.noisy,
        )
        # Without a success the first attack's record stays: it is the one of the largest loss.
        taken = success if number else np.ones(len(rows), bool)
        out[rows[taken]] = changed[taken]
        rows = rows[~success]
    for aim in borders:
        if not len(rows) or slopes.noisy:
            break
        slopes.wanted = np.stack([question.labels, aim], 1)
        changed, success = boundary_steps(slopes, rows, rng, steps=limit, random_start=False)
        out[rows[success]] = changed[success]
        rows = rows[~success]
    left = brief.queries * len(question) - slopes.queries - 2 * len(question)
    if brief.queries and len(rows):
        queries = min(queries, max(0, left // len(rows)))
    if len(rows) and queries and not slopes.noisy:
        changed, success = random_squares(
            view.model, brief, rows, rng, queries=queries, share=0.8, ties=False
        )
        out[rows[success]] = changed[success]
    return Outcome(asset=Data("changed records", question.modality, out, question.y))
