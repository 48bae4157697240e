"""Gradient inversion by cosine similarity: match the direction of the gradient; smooth records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from hartley.attacks.model_to_data.inversion._shared import cosine_search, gradient_matching
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.inversion.gradient_inversion import GradientInversionBrief, gradient_inversion

if TYPE_CHECKING:
    from hartley.core.parts import Rng

    Views = Sequence[View[GradientInversionBrief]]


@attack(
    game=gradient_inversion,
    access=Access.SCORES | Access.GRADIENTS | Access.WEIGHTS,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.AUDIO),
    paper="arXiv:2003.14053",
    adapts=True,
    together="_rounds",
    light={"steps": 30},
)
def cosine_gradient(
    view: View[GradientInversionBrief],
    rng: Rng,
    *,
    restarts: Annotated[int, Range(1), Stronger.MORE] = 1,
    steps: Annotated[int, Range(1), Stronger.MORE] = 200,
    rate: Annotated[float, Range(0, open_low=True)] = 0.1,
    smooth: Annotated[float, Range(-1)] = -1.0,
    enough: Annotated[float, Range(0, 1)] = 1e-4,
) -> Outcome:
    """Search records whose gradient has the direction of the client's gradient, by signed Adam.

    An adaptive attacker who knows of a training-time defense computes the client's real step on the
    guess, and searches the noise of that step together with the records.

    Args:
        restarts: number of random starts; the one with the largest cosine is the result.
        steps: steps per start; the step size falls to a hundredth.
        rate: initial step size, as a share of the records' range.
        smooth: initial weight of the total variation, which falls to 0. At -1 it is 0.01 for
            pictures and 0.1 for sound, whose spectrograms are smoother.
        enough: a start ends when 1 minus the cosine falls below this.
    """
    return cosine_search.search(
        [view], [rng], restarts=restarts, steps=steps, rate=rate, smooth=smooth, enough=enough
    )[0]


def _rounds(views: Views, rngs: Sequence[Rng], **settings: Any) -> list[Outcome]:
    """Play all rounds: those whose clients are alike in one search."""
    return gradient_matching.in_groups(cosine_search.search, views, rngs, settings)
