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
    ratio = _log_ratio(
        reference_models.confidence(view.model, question),
        *(fleet.confidence(question), ~fleet.include, online, a),
        labelled=question.y is not None,
    )
    if _same(public, question):
        population_ratio = ratio
    else:
        # No reference model was trained on these records, so all are "out" models.
        shadow = fleet.confidence(public)
        population_ratio = _log_ratio(
            reference_models.confidence(view.model, public),
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


def _log_ratio(
    victim: NDArray[Any],
    shadow: NDArray[Any],
    out: NDArray[np.bool_],
    online: bool,
    a: float,
    *,
    labelled: bool,
) -> NDArray[np.float64]:
    """Return ln Pr(x|victim) − ln Pr(x), (n,).

    Where all probabilities round to 1, all ratios round to 1 too. So what
    they lack to 1 is computed beside them: it keeps its order however small it is.

    Args:
        victim: (n,) confidences of the victim: log-odds of the label, or else log-probabilities.
        shadow: (K, n) those of the reference models.
        out: (K, n) booleans, which of them were trained without the record.
        online: Pr(x) is the mean of models with and without the record.
        a: else its correction.
        labelled: whether confidences are log-odds.
    """
    probability, rest = _probability(shadow, labelled)
    missing, missing_rest = _mean(probability, out), _mean(rest, out)
    if online:
        prior = (missing + _mean(probability, ~out)) / 2
        prior_rest = (missing_rest + _mean(rest, ~out)) / 2
    else:
        prior, prior_rest = ((1 + a) * missing + (1 - a)) / 2, (1 + a) / 2 * missing_rest
    return _log(*_probability(victim, labelled)) - _log(prior, prior_rest)


def _probability(
    confidence: NDArray[Any], labelled: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the probability of the true answer and what it lacks to 1, both of full precision."""
    if not labelled:
        return np.exp(confidence), -np.expm1(confidence)
    return np.exp(-np.logaddexp(0, -confidence)), np.exp(-np.logaddexp(0, confidence))


def _log(probability: NDArray[Any], rest: NDArray[Any]) -> NDArray[np.float64]:
    """Return ln p (n,), from whichever of p and 1 − p is the smaller."""
    of_small = np.log(np.maximum(probability, TINY))
    return np.asarray(np.where(probability < 0.5, of_small, np.log1p(-np.minimum(rest, 0.75))))


def _mean(values: NDArray[Any], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean (n,) over the models (K, n) that are chosen."""
    return np.asarray(np.where(chosen, values, 0).sum(0) / np.maximum(chosen.sum(0), 1))


TINY = 1e-300
"""Probabilities below this are raised to it before the logarithm."""


def _same(first: Data, second: Data) -> bool:
    return first.x is second.x or (
        first.x.shape == second.x.shape and bool((first.x == second.x).all())
    )
