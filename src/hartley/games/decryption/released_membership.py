"""Released membership: whose record was in the table that was released?

The attacker knows the whole record of each person, of those in the table and of their controls, and
says how likely it was in. This is the strongest knowledge of the games on released tables; the
distance to the closest released record is known to show little of it (arXiv:2505.01524).
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
from hartley.core.brief import ADAPTIVE_ONLY
from hartley.core.errors import RunError
from hartley.games.decryption import released_tables
from hartley.games.decryption.released_tables import Publication, dead, live
from hartley.kit.mixed_tables import TableColumn
from hartley.kit.releases.table_release import TableRelease

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.kit.releases.table_release import Publish


@dataclass(frozen=True, slots=True)
class ReleasedMembershipBrief:
    """What an attacker of membership knows; the source of the view is the released table.

    Attributes:
        columns: of the released table.
        question: (2m, d) the whole records of the people; one score answers each, larger for one
            who is in the table.
        public: (n, d) records of the attacker's own, of the same population and of nobody who is
            asked about; None where they have none.
        way: (table (n, d), rng) → what the owner would publish of it, before any defense; None
            where nobody knows it.
        defended_way: the same behind the defenses.
    """

    columns: tuple[TableColumn, ...]
    question: Data
    public: Data | None
    way: Publish | None = None
    defended_way: Publish | None = field(default=None, metadata=ADAPTIVE_ONLY)


@game(
    cls="decryption",
    flow=Flow.INTERACTION,
    role=Role.TAP,
    form=AnswerForm.SCORE,
    unit="pair of people",
    live=live,
    dead=dead,
    brief=ReleasedMembershipBrief,
    modalities=(Modality.TABULAR,),
    requires=("table_release", "people"),
    metrics=("auc",),
    loot="data",
    paper="arXiv:2011.07018",
)
def released_membership(
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000), Stronger.TRIALS] = 0
) -> Deal:
    """Publish tables of people; the attacker says whose records were in them.

    Args:
        rounds: tables that are published, each with its own people; 0 takes the scene's default.

    Raises:
        UsageError: there are too few people.
    """
    part = scene.part(TableRelease)
    published = released_tables.publications(scene, rng, rounds)

    def brief(one: Publication, rng: Rng) -> ReleasedMembershipBrief:
        del rng
        question = Data("people", scene.modality, one.people, role="records")
        return ReleasedMembershipBrief(
            columns=part.columns,
            question=question,
            public=scene.extra.get("public"),
            way=part.known_way,
            defended_way=None if part.known_way is None else part.released,
        )

    def scored(one: Publication, outcome: Outcome) -> NDArray[np.float64]:
        guess = np.asarray(outcome.guess, dtype=np.float64)
        if guess.shape != (len(one.people),):
            raise RunError(
                f"released_membership: the guess must be {len(one.people)} scores, got shape "
                f"{guess.shape}"
            )
        return guess

    return released_tables.dealt(
        scene, rng, published, brief, succeeded=scored, rates=lambda *_: {}
    )
