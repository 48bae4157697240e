"""Linkability: does a released table connect two records of one person?

The attacker holds two tables of the same people, with other columns each and without names, and the
release, which has the columns of both. They say for each row of the first table which row of the
second is the same person's. A table that says nothing about its own people connects the records of
controls as often (the attack of arXiv:2211.10459).
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
from hartley.kit.releases.table_release import TableRelease

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@dataclass(frozen=True, slots=True)
class LinkabilityBrief:
    """What an attacker of linkability knows; the source of the view is the released table.

    Attributes:
        columns: of the released table.
        first: (2m, a) the people in the columns ``first_columns``.
        second: (2m, b) the same people in the columns ``second_columns``, in another order.
        first_columns: (a,) places of these columns in the released table.
        second_columns: (b,) places of these columns in the released table.
    """

    columns: tuple[TableColumn, ...]
    first: Data
    second: Data
    first_columns: tuple[int, ...]
    second_columns: tuple[int, ...]


@game(
    cls="decryption",
    flow=Flow.INTERACTION,
    role=Role.TAP,
    form=AnswerForm.SCORE,
    unit="pair of people",
    live=live,
    dead=dead,
    brief=LinkabilityBrief,
    modalities=(Modality.TABULAR,),
    requires=("table_release", "people"),
    metrics=("auc", "attack_rate", "control_rate", "residual_risk"),
    loot="data",
    paper="arXiv:2211.10459",
)
def linkability(
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000), Stronger.TRIALS] = 0
) -> Deal:
    """Publish tables of people; the attacker connects two records of each by the release.

    The guess is (2m, 2): for each row of the first table the row of the second that is claimed to
    be the same person's, −1 for none, and how sure the attacker is, above 0 where they claim. A
    claim counts where it is right.

    Args:
        rounds: tables that are published, each with its own people; 0 takes the scene's default.

    Raises:
        UsageError: there are too few people, or a set of columns is empty.
    """
    part = scene.part(TableRelease)
    first, second = part.halves
    if not first or not second:
        raise UsageError("linkability must have columns in both sets, got an empty one")
    published = released_tables.publications(scene, rng, rounds)
    orders: list[NDArray[np.int64]] = []

    def brief(one: Publication, rng: Rng) -> LinkabilityBrief:
        order = rng.permutation(len(one.people))
        orders.append(order)
        return LinkabilityBrief(
            columns=part.columns,
            first=released_tables.records("first records", one.people, first, scene.modality),
            second=released_tables.records(
                "second records", one.people[order], second, scene.modality
            ),
            first_columns=first,
            second_columns=second,
        )

    places = {id(one): k for k, one in enumerate(published)}

    def linked(one: Publication, outcome: Outcome) -> NDArray[np.float64]:
        order = orders[places[id(one)]]
        claims, sure = _claims(outcome, len(order))
        right = (claims >= 0) & (order[np.maximum(claims, 0)] == np.arange(len(order)))
        return np.where(right, sure, 0.0)

    return released_tables.dealt(scene, rng, published, brief, succeeded=linked)


def _claims(outcome: Outcome, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the claimed row (2m,) of each row, and how sure the attacker is.

    Raises:
        RunError: the guess is something else.
    """
    guess = np.asarray(outcome.guess, dtype=np.float64)
    if guess.shape != (count, 2):
        raise RunError(
            f"linkability: the guess must be ({count}, 2), a row and how sure the attacker is, got "
            f"shape {guess.shape}"
        )
    # Written so that NaN is refused too.
    whole = (guess[:, 0] >= -1) & (guess[:, 0] < count) & (guess[:, 0] == np.rint(guess[:, 0]))
    if not whole.all():
        raise RunError(
            f"linkability: a row must be a whole number from -1 to {count - 1}, got "
            f"{guess[~whole, 0][0]:g}"
        )
    if not np.isfinite(guess[:, 1]).all():
        raise RunError("linkability: how sure the attacker is must be a finite number")
    if ((guess[:, 1] <= 0) & (guess[:, 0] >= 0)).any():
        raise RunError("linkability: a claim must be surer than 0")
    return guess[:, 0].astype(np.int64), guess[:, 1]
