"""Released attribute: does a table show a value of its own people better than of others?

The attacker knows some columns of each person and infers the secret column from the release. What
follows from the population is inferred of controls as well, and cancels within a pair: a
correlation is not a leak (the attack of arXiv:2211.10459; why a control is needed,
arXiv:2209.01292).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Outcome,
    Range,
    Role,
    Scene,
    Stronger,
    game,
)
from hartley.core.errors import RunError, UsageError
from hartley.games.decryption import released_tables
from hartley.games.decryption.released_tables import Publication, dead, live
from hartley.kit.mixed_tables import TableColumn
from hartley.kit.releases.table_release import SecretColumn, TableRelease

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

TINY = 1e-6
"""Least probability that a true value is counted with."""


@dataclass(frozen=True, slots=True)
class ReleasedAttributeBrief:
    """What an attacker knows who infers a value; the source of the view is the released table.

    Attributes:
        columns: of the released table.
        question: (2m, c) the people in the columns that are known of them.
        known: (c,) places of these columns in the released table.
        secret: place of the column that is asked about.
        values: K, the number of its values.
    """

    columns: tuple[TableColumn, ...]
    question: Data
    known: tuple[int, ...]
    secret: int
    values: int


@game(
    cls="decryption",
    flow=Flow.INTERACTION,
    role=Role.TAP,
    form=AnswerForm.SCORE,
    unit="pair of people",
    live=live,
    dead=dead,
    brief=ReleasedAttributeBrief,
    modalities=(Modality.TABULAR,),
    requires=("table_release", "people", "secret_column"),
    metrics=("auc", "attack_rate", "control_rate", "residual_risk"),
    loot="data",
    paper="arXiv:2211.10459",
)
def released_attribute(
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000), Stronger.TRIALS] = 0
) -> Deal:
    """Publish tables of people; the attacker infers a value of each by what they know of them.

    The guess is (2m, K), how likely each value is. Its success is the probability of the true
    value; the rates beside the bits count people whose likeliest value is the true one.

    Args:
        rounds: tables that are published, each with its own people; 0 takes the scene's default.

    Raises:
        UsageError: there are too few people, or no known column.
    """
    part = scene.part(TableRelease)
    secret = scene.part(SecretColumn).place
    values = part.columns[secret].values
    known = tuple(column for column in part.known if column != secret)
    if not known or values < 2:
        raise UsageError(
            f"{scene.name} must have a known column besides the secret one, and two values of that"
        )
    published = released_tables.publications(scene, rng, rounds)

    def brief(one: Publication, rng: Rng) -> ReleasedAttributeBrief:
        del rng
        question = released_tables.records("known columns", one.people, known, scene.modality)
        return ReleasedAttributeBrief(part.columns, question, known, secret, values)

    def inferred(one: Publication, outcome: Outcome) -> NDArray[np.float64]:
        likely = _likely(outcome, len(one.people), values)
        truth = one.people[:, secret].astype(np.int64)
        return np.asarray(np.log(np.maximum(likely[np.arange(len(truth)), truth], TINY)))

    def rates(one: Publication, outcome: Outcome) -> dict[str, float]:
        likely = _likely(outcome, len(one.people), values)
        right = likely.argmax(1) == one.people[:, secret].astype(np.int64)
        return released_tables.success_rates(one, right)

    return released_tables.dealt(scene, rng, published, brief, succeeded=inferred, rates=rates)


def _likely(outcome: Outcome, count: int, values: int) -> NDArray[np.float64]:
    """Return how likely each value is of each of the people: (2m, K), rows that sum to 1.

    Raises:
        RunError: the guess is something else.
    """
    guess = np.asarray(outcome.guess, dtype=np.float64)
    if guess.shape != (count, values):
        raise RunError(
            f"released_attribute: the guess must be ({count}, {values}) probabilities, got shape "
            f"{guess.shape}"
        )
    if not (np.isfinite(guess).all() and (guess >= 0).all()):
        raise RunError("released_attribute: probabilities must be finite and at least 0")
    return np.asarray(guess / np.maximum(guess.sum(1, keepdims=True), 1e-300))
