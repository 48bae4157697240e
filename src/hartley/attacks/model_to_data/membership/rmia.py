"""RMIA: how many records of the population does a record beat, against few reference models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data import reference_models
from hartley.core import ALL, Access, Data, Modality, Outcome, Range, Term, View, attack
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
    references: Annotated[int, Range(2, 512)] = 64,
    gamma: Annotated[float, Range(1)] = 1.0,
    online: bool = True,
    a: Annotated[float, Range(0, 1)] = 0.3,
) -> Outcome:
    """Test a record against records of the population by the ratio of likelihood ratios.

    The score of x is the share of population records z for which
    (Pr(x|victim)/Pr(x)) / (Pr(z|victim)/Pr(z)) is at least gamma.

    Args:
        references: reference models, each trained on a random half of the records.
        gamma: how much larger the record's ratio has to be.
        online: Pr(x) from models with and without the record; else only from those without it,
            corrected by ``a``.
        a: offline, Pr(x) is taken as ((1+a)·Pr(x|out) + 1−a)/2; 1 for texts.
    """
    del rng
    asked, public = view.brief.question, view.brief.public
    if asked.modality is Modality.LANGUAGE:
        # The line from a is drawn for probabilities near 1; a text's are far below, and what it
        # adds would stand over all of them. At 1 the prior is that of the "out" models alone.
        a = 1.0
    fleet = reference_models.references(view, references)
    # Log-probabilities of the true label, from the logit-scaled confidences that LiRA shares.
    seen = _probability(reference_models.confidence(view.model, asked), asked)
    shadow = _probability(fleet.confidence(asked), asked)
    ratio = seen / _prior(shadow, ~fleet.include, online, a)
    if _same(public, asked):
        others = ratio
    else:
        # No reference model has seen these records: all are "out" models, for any Pr(z).
        apart = _probability(fleet.confidence(public), public)
        prior = _prior(apart, np.ones(apart.shape, dtype=bool), False, a)
        others = _probability(reference_models.confidence(view.model, public), public) / prior
    beaten = np.searchsorted(np.sort(others), ratio / gamma, side="right") / len(others)
    claimed = beaten > 0.5
    return Outcome(
        guess=beaten,
        asset=Data(
            "claimed members",
            asked.modality,
            asked.x[claimed],
            None if asked.y is None else asked.y[claimed],
        ),
    )


def _probability(confidence: NDArray[Any], data: Data) -> NDArray[np.float64]:
    """The probability of the true answer, from its confidence, kept away from 0."""
    if data.y is None:
        return np.asarray(np.exp(confidence))
    return np.asarray(np.maximum(1 / (1 + np.exp(-confidence)), reference_models.FLOOR))


def _prior(
    shadow: NDArray[Any], out: NDArray[np.bool_], online: bool, a: float
) -> NDArray[np.float64]:
    """Pr(x): (n,) over the reference models (K, n)."""
    missing = np.where(out, shadow, 0).sum(0) / np.maximum(out.sum(0), 1)
    if not online:
        return np.asarray(np.maximum(((1 + a) * missing + (1 - a)) / 2, reference_models.FLOOR))
    present = np.where(out, 0, shadow).sum(0) / np.maximum((~out).sum(0), 1)
    return np.asarray(np.maximum((missing + present) / 2, reference_models.FLOOR))


def _same(one: Data, other: Data) -> bool:
    return one.x is other.x or (one.x.shape == other.x.shape and bool((one.x == other.x).all()))
