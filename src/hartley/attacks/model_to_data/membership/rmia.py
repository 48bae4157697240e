"""RMIA: compare a record's likelihood ratio with those of records of the population."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data import reference_models
from hartley.attacks.model_to_data.membership._shared.likelihood_ratio import log_ratio
from hartley.core import ALL, Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership

if TYPE_CHECKING:
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
    a: Annotated[float, Range(0, 1)] = 0.6,
    temperature: Annotated[float, Range(0, open_low=True)] = 2.0,
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
        temperature: of the softmax of Pr. Above 1, the ratios of records of which every model is
            sure differ more; texts and pairs have none.
    """
    del rng
    question, public = view.brief.question, view.brief.public
    if question.modality is Modality.LANGUAGE:
        # The correction by a is meant for probabilities near 1. Those of texts are far smaller than
        # its constant term; with a = 1 the prior is that of the "out" models alone.
        a = 1.0
    fleet = reference_models.references(view, references)
    ratio = log_ratio(
        reference_models.confidence(view.model, question, temperature),
        *(fleet.confidence(question, temperature), ~fleet.include, online, a),
        labelled=question.y is not None,
    )
    if _same(public, question):
        population_ratio = ratio
    else:
        # No reference model was trained on these records, so all are "out" models.
        shadow = fleet.confidence(public, temperature)
        population_ratio = log_ratio(
            reference_models.confidence(view.model, public, temperature),
            *(shadow, np.ones(shadow.shape, dtype=bool), False, a),
            labelled=public.y is not None,
        )
    beaten = np.searchsorted(np.sort(population_ratio), ratio - np.log(gamma), side="right")
    scores = beaten / len(population_ratio)
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


def _same(first: Data, second: Data) -> bool:
    return first.x is second.x or (
        first.x.shape == second.x.shape and bool((first.x == second.x).all())
    )
