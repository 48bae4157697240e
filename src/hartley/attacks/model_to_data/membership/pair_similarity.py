"""Pair similarity: a picture and a caption that were trained together lie nearer to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.attacks.model_to_data.reference_models import likelihood
from hartley.core import Access, Data, Modality, Model, Outcome, Range, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.games.membership.split_checks import claimed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

SURE = 0.25
"""Share of the records, the most alike, that the weak variant takes for members to learn from."""


@attack(
    game=membership,
    access=Access.EMBEDDINGS,
    term=Term.NOISE,
    modalities=(Modality.PAIRED,),
    paper="arXiv:2310.00108",
)
def pair_similarity(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    variant: Literal["plain", "augmented", "weak"] = "augmented",
    copies: Annotated[int, Range(1)] = 4,
    blur: Annotated[float, Range(0, open_low=True)] = 0.1,
) -> Outcome:
    """Score a pair by the cosine of its embeddings, and by how much that falls when it is blurred.

    Args:
        variant: plain (the cosine alone), augmented (the cosine, and its mean fall over
            blurred copies, added), or weak (a linear rule on both, learnt between the
            attacker's own pairs, which were not trained on, and the pairs most alike).
        copies: blurred copies of each pair.
        blur: standard deviation of the blur, as a share of that of a feature.
    """
    asked = view.brief.question
    if variant == "plain":
        guess = likelihood(view.model, asked)
        return Outcome(guess=guess, asset=claimed(asked, guess > np.median(guess)))
    told = _signs(view.model, asked, rng, copies, blur)
    guess = told.sum(1)
    if variant == "weak":
        out = _signs(view.model, view.brief.public, rng, copies, blur)
        within = told[guess >= np.quantile(guess, 1 - SURE)]
        # Fisher's linear rule between the two; a little ridge, for signs that move together.
        spread = np.cov(np.concatenate([out - out.mean(0), within - within.mean(0)]).T)
        rule = np.linalg.solve(
            spread + 1e-6 * np.trace(spread) * np.eye(2), within.mean(0) - out.mean(0)
        )
        guess = told @ rule
    return Outcome(guess=guess, asset=claimed(asked, guess > np.median(guess)))


def _signs(model: Model, data: Data, rng: Rng, copies: int, blur: float) -> NDArray[np.float64]:
    """The cosine of each pair, and its mean fall over blurred copies: (n, 2)."""
    clear = likelihood(model, data)
    size = blur * data.x.std(0)
    falls: list[Any] = []
    for _ in range(copies):
        noise = rng.standard_normal(data.x.shape).astype(np.float32) * size
        blurred = Data(data.name, data.modality, (data.x + noise).astype(np.float32))
        falls.append(clear - likelihood(model, blurred))
    return np.stack([clear, np.mean(falls, 0)], 1)
