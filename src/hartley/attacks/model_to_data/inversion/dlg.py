"""Deep leakage from gradients: search records whose gradient equals the client's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from hartley.attacks.model_to_data.inversion._shared import descent, gradient_matching
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.inversion.gradient_inversion import GradientInversionBrief, gradient_inversion

if TYPE_CHECKING:
    from hartley.core.parts import Rng

    Views = Sequence[View[GradientInversionBrief]]


@attack(
    game=gradient_inversion,
    access=Access.SCORES | Access.GRADIENTS | Access.WEIGHTS,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1906.08935",
    adapts=True,
    together="_rounds",
)
def dlg(
    view: View[GradientInversionBrief],
    rng: Rng,
    *,
    restarts: Annotated[int, Range(1), Stronger.MORE] = 2,
    steps: Annotated[int, Range(1), Stronger.MORE] = 100,
    rule: bool = True,
) -> Outcome:
    """Minimise the squared distance between gradients over the records, by L-BFGS.

    An adaptive attacker who knows of a training-time defense computes the client's real step on the
    guess (as arXiv:2111.04706 does), and searches the noise of that step together with the records.

    Args:
        restarts: number of random starts; the one that ends nearest is the result, and a match
            ends the search.
        steps: L-BFGS iterations per start.
        rule: compute the labels from the last bias (iDLG, arXiv:2001.02610) instead of searching
            for soft labels together with the records.
    """
    return descent.search([view], [rng], restarts=restarts, steps=steps, rule=rule)[0]


def _rounds(views: Views, rngs: Sequence[Rng], **settings: Any) -> list[Outcome]:
    """Play all rounds: those whose clients are alike side by side."""
    return gradient_matching.in_groups(descent.search, views, rngs, settings)
