"""Pair similarity: the embeddings of a picture and its caption are closer if it is a member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.attacks.model_to_data.reference_models import likelihood
from hartley.core import Access, Data, Modality, Model, Outcome, Range, Stronger, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.games.membership.split_checks import claimed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

SURE = 0.25
"""Share of the records, the most similar pairs, that the weak variant takes for members."""


@attack(
    game=membership,
    access=Access.EMBEDDINGS,
    term=Term.NOISE,
    modalities=(Modality.PAIRED,),
    paper="arXiv:2310.00108",
    sweep={"variant": ("plain", "augmented", "weak"), "blur": (0.1, 0.4)},
)
def pair_similarity(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    variant: Literal["plain", "augmented", "weak"] = "augmented",
    copies: Annotated[int, Range(1), Stronger.MORE] = 4,
    blur: Annotated[float, Range(0, open_low=True)] = 0.1,
) -> Outcome:
    """Score a pair by the cosine of its embeddings, and by how much noise lowers the cosine.

    Args:
        variant: plain (the cosine alone), augmented (the cosine plus its mean decrease over noisy
            copies), or weak (a linear classifier on both, trained on the attacker's own pairs as
            non-members and the most similar pairs as members).
        copies: noisy copies of each pair.
        blur: standard deviation of the noise, as a share of that of a feature.
    """
    question = view.brief.question
    if variant == "plain":
        guess = likelihood(view.model, question)
        return Outcome(guess=guess, asset=claimed(question, guess > np.median(guess)))
    scores = _scores(view.model, question, rng, copies, blur)
    guess = scores.sum(1)
    if variant == "weak":
        nonmembers = _scores(view.model, view.brief.public, rng, copies, blur)
        members = scores[guess >= np.quantile(guess, 1 - SURE)]
        # Fisher's linear discriminant, with a small ridge since the two scores are correlated.
        spread = np.cov(
            np.concatenate([nonmembers - nonmembers.mean(0), members - members.mean(0)]).T
        )
        rule = np.linalg.solve(
            spread + 1e-6 * np.trace(spread) * np.eye(2), members.mean(0) - nonmembers.mean(0)
        )
        guess = scores @ rule
    return Outcome(guess=guess, asset=claimed(question, guess > np.median(guess)))


def _scores(model: Model, data: Data, rng: Rng, copies: int, blur: float) -> NDArray[np.float64]:
    """Return the cosine of each pair and its mean decrease over noisy copies (n, 2)."""
    cosine = likelihood(model, data)
    size = blur * data.x.std(0)
    decreases: list[Any] = []
    for _ in range(copies):
        noise = rng.standard_normal(data.x.shape).astype(np.float32) * size
        noisy = Data(data.name, data.modality, (data.x + noise).astype(np.float32))
        decreases.append(cosine - likelihood(model, noisy))
    return np.stack([cosine, np.mean(decreases, 0)], 1)
