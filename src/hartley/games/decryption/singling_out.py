"""Singling out: does a released table let an attacker describe one person of it alone?

The attacker sees the release and nothing else, and hands in predicates ("age ≥ 81 and country =
17"). A predicate isolates a person where it matches them and nobody else among all people of the
round, those in the table and their controls; of a table that is published already, among all rows
of the table and of the control, also those about whom nothing is asked. Rows that belong together
with the person's, as other visits of theirs, may match too. A table that says nothing
about its own people isolates controls as often (predicate singling out, arXiv:1904.06009; the
attack of arXiv:2211.10459).
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
from hartley.core.errors import RunError
from hartley.games.decryption import released_tables
from hartley.games.decryption.released_tables import Publication, dead, live
from hartley.kit import table_predicates
from hartley.kit.mixed_tables import TableColumn
from hartley.kit.releases.table_release import TableRelease

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@dataclass(frozen=True, slots=True)
class SinglingOutBrief:
    """What an attacker of singling out knows; the source of the view is the released table.

    Attributes:
        columns: of the released table.
    """

    columns: tuple[TableColumn, ...]


@game(
    cls="decryption",
    flow=Flow.INTERACTION,
    role=Role.TAP,
    form=AnswerForm.SCORE,
    unit="pair of people",
    live=live,
    dead=dead,
    brief=SinglingOutBrief,
    modalities=(Modality.TABULAR,),
    requires=("table_release", "people"),
    metrics=("auc", "attack_rate", "control_rate", "residual_risk", "predicates"),
    loot="data",
    paper="arXiv:1904.06009",
)
def singling_out(
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000), Stronger.TRIALS] = 0
) -> Deal:
    """Publish tables of people; the attacker hands in predicates that match one person each.

    The loot is predicates, ``x`` (q, d, 2): of each column the least and the largest value that
    match, −∞ and +∞ where any does. The rates beside the bits count predicates that match exactly
    one row of the table, and of a table of the controls. Of a table that is published already, they
    count those that isolate one of the people asked about, in the table and not.

    Args:
        rounds: tables that are published, each with its own people; 0 takes the scene's default.

    Raises:
        UsageError: there are too few people.
    """
    columns = scene.part(TableRelease).columns
    once = scene.extra.get("control") is not None
    published = released_tables.publications(scene, rng, rounds)

    def isolated(one: Publication, outcome: Outcome) -> NDArray[np.float64]:
        predicates = predicates_of(outcome, len(columns))
        _, whose = table_predicates.isolating(predicates, one.people, one.others, one.relatives)
        return np.bincount(whose, minlength=len(one.people)).astype(np.float64)

    def rates(one: Publication, outcome: Outcome) -> dict[str, float]:
        predicates = predicates_of(outcome, len(columns))
        if once:
            # Halves of a table and of a control would not be the tables that were singled out in.
            _, whose = table_predicates.isolating(predicates, one.people, one.others, one.relatives)
            inside, outside = (int(np.isin(whose, at).sum()) for at in (one.inside, one.outside))
        else:
            inside, outside = (
                int((table_predicates.counts(predicates, one.people[rows]) == 1).sum())
                for rows in (one.inside, one.outside)
            )
        count = len(predicates)
        return {**released_tables.rates_of(inside, outside, count), "predicates": float(count)}

    return released_tables.dealt(
        scene, rng, published, lambda *_: SinglingOutBrief(columns), succeeded=isolated, rates=rates
    )


def predicates_of(outcome: Outcome, width: int) -> NDArray[np.float64]:
    """Return the predicates (q, d, 2) of an outcome.

    Raises:
        RunError: the loot is something else, or has NaN.
    """
    loot = outcome.asset
    shape = None if not isinstance(loot, Data) else loot.x.shape
    if not isinstance(loot, Data) or loot.x.shape[1:] != (width, 2) or np.isnan(loot.x).any():
        raise RunError(
            f"singling_out: the loot must be predicates of shape (q, {width}, 2) without NaN, got "
            f"{shape}"
        )
    return np.asarray(loot.x, dtype=np.float64)


def handed_in(predicates: NDArray[np.float64], release: Data) -> Outcome:
    """Return predicates (q, d, 2) as an attack hands them in."""
    return Outcome(asset=Data("predicates", release.modality, predicates, role="predicates"))
