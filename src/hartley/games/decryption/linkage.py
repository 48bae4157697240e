"""Linkage: which row of a released table is this person's?

The attacker knows names and some columns of the people in the table, and the release has their
rows without names, in an order that the auditor drew. They score every row for every person. The
place of a person's row is the secret, uniform among all rows (linkage of quasi-identifiers,
doi:10.1142/S0218488502001648; probabilistic linkage, doi:10.1080/01621459.1969.10501049). Where a
release has no row of anybody, as a synthetic table, the auditor draws a place that nothing depends
on, so that nothing is read. Where several rows belong together (a person's visits), the place is
looked for among one row of each of them: the others are neither right nor wrong.
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
    Range,
    Role,
    Round,
    Scene,
    Stronger,
    View,
    game,
)
from hartley.core.errors import UsageError
from hartley.games.decryption import released_tables
from hartley.games.decryption.ranked_rows import judge_of
from hartley.games.decryption.released_tables import dead, live
from hartley.kit.mixed_tables import TableColumn
from hartley.kit.releases.table_release import TableRelease

if TYPE_CHECKING:
    from hartley.core.parts import Rng


MOST_SCORES = 4_000_000
"""Scores of people and rows that are held at a time."""


@dataclass(frozen=True, slots=True)
class LinkageBrief:
    """What an attacker of linkage knows; the source of the view is the released table.

    Attributes:
        columns: of the released table.
        question: (m, c) the people of the table in the columns that are known of them.
        known: (c,) places of these columns in the released table.
        public: (n, d) records of the attacker's own, of the same population; None where they have
            none.
    """

    columns: tuple[TableColumn, ...]
    question: Data
    known: tuple[int, ...]
    public: Data | None


@game(
    cls="decryption",
    flow=Flow.INTERACTION,
    role=Role.TAP,
    form=AnswerForm.RANK,
    unit="person",
    live=live,
    dead=dead,
    brief=LinkageBrief,
    modalities=(Modality.TABULAR,),
    requires=("table_release", "people", "row_owners"),
    metrics=("linked", "linked_by_chance"),
    loot="data",
    paper="doi:10.1142/S0218488502001648",
)
def linkage(
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000), Stronger.TRIALS] = 0
) -> Deal:
    """Publish tables of people without names; the attacker finds the row of each.

    The guess is (m, rows), a score of each row for each person, larger for a likelier one. The
    answer is the rank of the true row; rows of the same score are ordered at random.

    Args:
        rounds: tables that are published, each with its own people; 0 takes the scene's default.

    Raises:
        UsageError: there are too few people, or none of them has a row.
    """
    part = scene.part(TableRelease)
    once = scene.extra.get("control") is not None
    published = released_tables.publications(scene, rng, rounds)
    salt = int(rng.integers(2**31))
    ties = int(rng.integers(2**62))
    dealt, places, among = [], [], []
    for one in published:
        rows = len(one.release)
        drawn = rng.integers(0, rows, len(one.coins))
        asked_about = np.arange(len(one.coins))
        if once:
            # People without a row are left out, and so many that scores fit into memory.
            owned = np.flatnonzero(one.rows >= 0) if part.rows else asked_about
            asked_about = owned[: max(1, MOST_SCORES // rows)]
        if not len(asked_about):
            raise UsageError(f"{scene.name} must have rows of its people in the release, got none")
        place = np.where(one.rows >= 0, one.rows, drawn)[asked_about]
        inside = one.people[one.inside[asked_about]]
        question = released_tables.records("known columns", inside, part.known, scene.modality)
        view = View(
            source=one.release,
            brief=LinkageBrief(part.columns, question, part.known, scene.extra.get("public")),
            defenses=scene.defenses,
            salt=salt,
        )
        candidates = np.arange(rows) if one.candidates is None else one.candidates
        among.append(candidates)
        places.append(np.searchsorted(candidates, place))
        dealt.append(Round(view=view, truth=places[-1], alphabet=len(candidates)))

    judge = judge_of("linkage", places, [len(one.release) for one in published], ties, among)
    return Deal(rounds=tuple(dealt), judge=judge, cluster=not once, planted=not once)
