"""Quantile regression: is the model surer of a record than of a stranger that looks like it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.membership._shared import pinball_regression
from hartley.attacks.model_to_data.reference_models import confidence
from hartley.core import ALL, Access, Data, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.games.membership.split_checks import claimed
from hartley.kit.features import plain_features, standardised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LEAST = 20
"""Strangers that a quantile can be learned from."""


@attack(
    game=membership,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=ALL,
    paper="arXiv:2307.03694",
    requires=("public",),
    sweep={"ridge": (0.1, 30.0)},
)
def quantile_regression(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    level: Annotated[float, Range(0.5, 1, open_low=True, open_high=True)] = 0.9,
    components: Annotated[int, Range(1)] = 32,
    ridge: Annotated[float, Range(0, open_low=True)] = 1.0,
) -> Outcome:
    """Predict from a record alone how sure the victim is of strangers like it, and compare.

    One regression on records that the attacker knows not to be members takes the place of all
    reference models: it learns the median and an upper quantile of the victim's confidence as
    functions of the record. The answer is by how many of their distances the record's own
    confidence lies above the median; it crosses 1 where the upper quantile is passed.

    Args:
        level: the upper quantile, one less the false-positive rate that the paper aims at.
        components: principal components of the records that the regression reads.
        ridge: how strongly its weights are held down.

    Raises:
        UsageError: too few strangers.
    """
    del rng
    asked, strangers = view.brief.question, view.brief.strangers
    if strangers is None or len(strangers) < LEAST:
        raise UsageError(f"quantile_regression learns from {LEAST} strangers at least")
    known, table = _tables(strangers, asked, view.model.classes, components)
    usual = confidence(view.model, strangers)
    middle, upper = (
        pinball_regression.predict(table, pinball_regression.fit(known, usual, q, ridge))
        for q in (0.5, level)
    )
    spread = np.maximum(upper - middle, 0.1 * max(float(usual.std()), 1e-6))
    guess = (confidence(view.model, asked) - middle) / spread
    return Outcome(guess=guess, asset=claimed(asked, guess > np.median(guess)))


def _tables(
    strangers: Data, asked: Data, classes: int, components: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Strangers and asked records in the strangers' principal components, and their labels."""
    labels = 0 if strangers.y is None else classes
    law, other = plain_features(strangers), plain_features(asked)
    other, law = standardised(other, law), standardised(law)
    _, _, axes = np.linalg.svd(law, full_matrices=False)
    axes = axes[: min(components, len(law) // 4)].T
    both = []
    for data, table in ((strangers, law), (asked, other)):
        part = table @ axes
        if labels and data.y is not None:
            part = np.concatenate([part, data.y[:, None] == np.arange(labels)], 1)
        both.append(part)
    scale = np.maximum(both[0].std(0), 1e-9)
    return both[0] / scale, both[1] / scale
