"""RMIA: compare a record's likelihood ratio with those of records of the population."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data import reference_models
from hartley.core import ALL, Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.SCORES | Access.TRAIN,
    term=Term.NOISE,
    modalities=ALL,
    paper="arXiv:2312.03262",
    adapts="trains",
)
def rmia(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    references: Annotated[int, Range(2, 512), Stronger.MORE] = 64,
    gamma: Annotated[float, Range(1)] = 1.0,
    online: bool = True,
    a: Annotated[float, Range(0, 1)] = 0.3,
) -> Outcome:
    """Score a record by the share of population records that it beats in likelihood ratio.

    The score of x is the share of population records z for which
    (Pr(x|victim)/Pr(x)) / (Pr(z|victim)/Pr(z)) is at least gamma.

    Args:
        references: number of reference models, each trained on a random half of the records.
        gamma: factor by which the record's ratio must be larger.
        online: estimate Pr(x) from models with and without the record; else only from those without
            it, corrected by ``a``.
        a: offline, Pr(x) is estimated as ((1+a)·Pr(x|out) + 1−a)/2; always 1 for texts.
    """
    del rng
    question, public = view.brief.question, view.brief.public
    if question.modality is Modality.LANGUAGE:
        # The correction by a is meant for probabilities near 1. Those of texts are far smaller than
        # its constant term; with a = 1 the prior is that of the "out" models alone.
        a = 1.0
    fleet = reference_models.references(view, references)
    # Probabilities of the true label, from the logit-scaled confidences that LiRA uses too.
    victim = _probability(reference_models.confidence(view.model, question), question)
    shadow = _probability(fleet.confidence(question), question)
    ratio = victim / _prior(shadow, ~fleet.include, online, a)
    if _same(public, question):
        population_ratio = ratio
    else:
        # No reference model was trained on these records, so all are "out" models.
        public_shadow = _probability(fleet.confidence(public), public)
        prior = _prior(public_shadow, np.ones(public_shadow.shape, dtype=bool), False, a)
        population_ratio = (
            _probability(reference_models.confidence(view.model, public), public) / prior
        )
    scores = np.searchsorted(np.sort(population_ratio), ratio / gamma, side="right") / len(
        population_ratio
    )
    claimed = scores > 0.5
    return Outcome(
        guess=scores,
        asset=Data(
            "claimed members",
            question.modality,
            question.x[claimed],
            None if question.y is None else question.y[claimed],
        ),
    )


def _probability(confidence: NDArray[Any], data: Data) -> NDArray[np.float64]:
    """Return the probability (n,) of the true answer, from its confidence; at least FLOOR."""
    if data.y is None:
        return np.asarray(np.exp(confidence))
    return np.asarray(np.maximum(1 / (1 + np.exp(-confidence)), reference_models.FLOOR))


def _prior(
    shadow: NDArray[Any], out: NDArray[np.bool_], online: bool, a: float
) -> NDArray[np.float64]:
    """Return Pr(x) (n,) from the probabilities of reference models (K, n)."""
    missing = np.where(out, shadow, 0).sum(0) / np.maximum(out.sum(0), 1)
    if not online:
        return np.asarray(np.maximum(((1 + a) * missing + (1 - a)) / 2, reference_models.FLOOR))
    present = np.where(out, 0, shadow).sum(0) / np.maximum((~out).sum(0), 1)
    return np.asarray(np.maximum((missing + present) / 2, reference_models.FLOOR))


def _same(first: Data, second: Data) -> bool:
    return first.x is second.x or (
        first.x.shape == second.x.shape and bool((first.x == second.x).all())
    )
