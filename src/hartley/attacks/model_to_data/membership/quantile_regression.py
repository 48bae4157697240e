"""Quantile regression: compare a record's confidence with that of similar non-members."""

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
"""Least number of non-members that a quantile is fitted on."""


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
    """Predict the victim's confidence in non-members like the record, and compare with its own.

    A regression on known non-members replaces reference models: it predicts the median and an upper
    quantile of the victim's confidence from the record. The score is the confidence minus the
    median, in units of the distance between the two; it exceeds 1 above the upper quantile.

    Args:
        level: the upper quantile; the paper's target false-positive rate is 1 minus this.
        components: number of principal components of the records that the regression uses.
        ridge: penalty on its weights.

    Raises:
        UsageError: the scene has too few known non-members.
    """
    del rng
    question, nonmembers = view.brief.question, view.brief.nonmembers
    count = 0 if nonmembers is None else len(nonmembers)
    if nonmembers is None or count < LEAST:
        raise UsageError(f"the scene must have {LEAST} known non-members, got {count}")
    nonmember_table, table = _tables(nonmembers, question, view.model.classes, components)
    nonmember_confidence = confidence(view.model, nonmembers)
    median, upper = (
        pinball_regression.predict(
            table, pinball_regression.fit(nonmember_table, nonmember_confidence, q, ridge)
        )
        for q in (0.5, level)
    )
    spread = np.maximum(upper - median, 0.1 * max(float(nonmember_confidence.std()), 1e-6))
    guess = (confidence(view.model, question) - median) / spread
    return Outcome(guess=guess, asset=claimed(question, guess > np.median(guess)))


def _tables(
    nonmembers: Data, question: Data, classes: int, components: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return features of non-members and records: principal components and one-hot labels."""
    labels = 0 if nonmembers.y is None else classes
    reference, questioned = plain_features(nonmembers), plain_features(question)
    questioned, reference = standardised(questioned, reference), standardised(reference)
    _, _, axes = np.linalg.svd(reference, full_matrices=False)
    axes = axes[: min(components, len(reference) // 4)].T
    tables = []
    for data, table in ((nonmembers, reference), (question, questioned)):
        columns = table @ axes
        if labels and data.y is not None:
            columns = np.concatenate([columns, data.y[:, None] == np.arange(labels)], 1)
        tables.append(columns)
    scale = np.maximum(tables[0].std(0), 1e-9)
    return tables[0] / scale, tables[1] / scale
