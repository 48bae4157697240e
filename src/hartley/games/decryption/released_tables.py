"""Tables that were released: who is in them, drawn by the auditor, and what attackers are asked.

In each round the auditor deals the people of a pool into pairs, tosses a fair coin for each pair,
and publishes the table of those on whom the coin fell; the other of each pair is the control. What
is measured is one bit a pair: which of the two was in the table? An attack is never asked this. It
does what it does to a release (isolate a person, link their records, infer a value), the judge
notes for each of the two how far it succeeded, and the difference is the answer. So bits are what
the release says about its own people beyond what it says about the population: a control group
within the channel. Replacing one of a pair by the other is replacing one row, so that a guarantee
of differential privacy for a replaced row is a ceiling.

A table that is published already was drawn by nobody's coin. Its people are compared with others of
the same population, once (``control``), and nothing is certified about the way it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Deal, Modality, Outcome, Received, Round, Scene, View
from hartley.core.errors import RunError, UsageError
from hartley.kit.mixed_tables import TableColumn
from hartley.kit.releases.table_release import (
    RowClusters,
    RowOwners,
    SecretColumn,
    TableRelease,
    as_floats,
    halves_of,
    pseudonymised,
)
from hartley.kit.residual_risk import residual_risk, success_rate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.kit.releases.table_release import Publish

    Floats = NDArray[np.float64]

ROUNDS = 40
"""Default number of tables that are published."""
LEAST, MOST = 8, 2000
"""Pairs of people, at least, and at most of a table that is published already."""
LIVE_PEOPLE, LIVE_NUMBERS, LIVE_VALUES = 64, 4, (4, 16)
"""Of the live and dead scenes: people, columns of numbers, and values of the two categories."""


@dataclass(frozen=True, slots=True, eq=False)
class Publication:
    """One published table, the people who are asked about, and who of them is in it.

    Attributes:
        release: the published table, its rows shuffled.
        people: (2m, d) the two people of each pair, in an order of their own.
        pairs: (m, 2) places in ``people`` of the first and the second of each pair.
        coins: (m,) 1 where the first is in the table, 0 where the second is.
        rows: (m,) the published row of the one who is in, −1 where no row is theirs.
        others: (k, d) all further people of the table and of its control, about whom nothing is
            asked; none where the auditor dealt everybody into pairs.
        relatives: (k,) the place in ``people`` of the row that each of ``others`` belongs together
            with, −1 for none.
        candidates: (c,) the published rows among which a person's is looked for, sorted: one of
            each cluster, which is the drawn one where it was published; None: all rows.
    """

    release: Data
    people: Floats
    pairs: NDArray[np.int64]
    coins: NDArray[np.int64]
    rows: NDArray[np.int64]
    others: Floats
    relatives: NDArray[np.int64]
    candidates: NDArray[np.int64] | None = None

    @property
    def inside(self) -> NDArray[np.int64]:
        """Places (m,) in ``people`` of those who are in the table."""
        return np.where(self.coins == 1, self.pairs[:, 0], self.pairs[:, 1])

    @property
    def outside(self) -> NDArray[np.int64]:
        """Places (m,) in ``people`` of those who are not."""
        return np.where(self.coins == 1, self.pairs[:, 1], self.pairs[:, 0])


def publications(scene: Scene, rng: Rng, rounds: int) -> list[Publication]:
    """Draw who is in a table and publish it, ``rounds`` times; 0 takes the scene's default.

    Raises:
        UsageError: there are too few people, or several rounds of a table that is published once.
    """
    part, people = scene.part(TableRelease), as_floats(scene.extra["people"].x)
    control = scene.extra.get("control")
    if control is not None:
        if rounds > 1:
            raise UsageError(f"rounds must be 1 for a table that is published, got {rounds}")
        return [_published_once(scene, part, people, as_floats(control.x), rng)]
    rounds = scene.settings.rounds_of("released_tables", rounds, ROUNDS)
    count = len(people) // 2
    _enough(scene, count)
    return [_published(scene, part, people, count, rng) for _ in range(rounds)]


def _enough(scene: Scene, pairs: int) -> None:
    if pairs < LEAST:
        raise UsageError(
            f"{scene.name}: there must be at least {LEAST} pairs of people, got {pairs}"
        )


def _published(
    scene: Scene, part: TableRelease, people: Floats, count: int, rng: Rng
) -> Publication:
    order = rng.permutation(len(people))[: 2 * count]
    coins = rng.integers(0, 2, count)
    pairs = np.arange(2 * count).reshape(count, 2)
    dealt_people = people[order]
    inside = np.where(coins == 1, pairs[:, 0], pairs[:, 1])
    # The mechanism has its own stream, so that every way to publish meets the same people.
    noise = np.random.default_rng(int(rng.integers(2**62)))
    # The order of the pool says nothing about the place in the published table.
    table_order = rng.permutation(count)
    released = part.released(dealt_people[inside[table_order]], noise)
    shuffled = noise.permutation(len(released))
    rows = np.full(count, -1, dtype=np.int64)
    if part.rows:
        place = np.empty(len(released), dtype=np.int64)
        place[shuffled] = np.arange(len(released))
        rows[table_order] = place
    seated = rng.permutation(2 * count)
    at = np.empty(2 * count, dtype=np.int64)
    at[seated] = np.arange(2 * count)
    release = _data("release", scene.modality, released[shuffled])
    nobody = np.zeros(0, dtype=np.int64)
    return Publication(release, dealt_people[seated], at[pairs], coins, rows, people[:0], nobody)


def _published_once(
    scene: Scene, part: TableRelease, people: Floats, control: Floats, rng: Rng
) -> Publication:
    clusters = scene.find(RowClusters)
    # Rows that belong together are no independent draws: one of each is drawn.
    members, others = (
        rng.permutation(size) if labels is None else _one_of_each(labels, rng)
        for size, labels in (
            (len(people), None if clusters is None else clusters.people),
            (len(control), None if clusters is None else clusters.control),
        )
    )
    count = min(len(members), len(others), MOST)
    _enough(scene, count)
    released = part.released(people, rng)
    members, others = members[:count], others[:count]
    coins = rng.integers(0, 2, count)
    first = np.where(coins[:, None] == 1, people[members], control[others])
    second = np.where(coins[:, None] == 1, control[others], people[members])
    seated = rng.permutation(2 * count)
    at = np.empty(2 * count, dtype=np.int64)
    at[seated] = np.arange(2 * count)
    pairs = np.stack([np.arange(count), np.arange(count) + count], 1)
    shuffled = rng.permutation(len(released))
    rows = np.full(count, -1, dtype=np.int64)
    candidates = None
    owners = scene.find(RowOwners)
    if part.rows and owners is not None and owners.places is not None:
        place = np.empty(len(released), dtype=np.int64)
        place[shuffled] = np.arange(len(released))
        member_rows = owners.places[members]
        rows = np.where(member_rows >= 0, place[member_rows], -1)
        if clusters is not None:
            there = owners.places >= 0
            labels = np.full(len(released), -1, dtype=np.int64)
            labels[place[owners.places[there]]] = clusters.people[there]
            candidates = _candidates(labels, rows[rows >= 0], rng)
    release = _data("release", scene.modality, released[shuffled])
    further = np.concatenate([np.delete(people, members, 0), np.delete(control, others, 0)])
    relatives = np.full(len(further), -1, dtype=np.int64)
    if clusters is not None:
        seats = at[np.where(coins == 1, pairs.T, pairs.T[::-1])]
        parts = ((clusters.people, members, seats[0]), (clusters.control, others, seats[1]))
        relatives = np.concatenate([_relatives(*part) for part in parts])
    questioned = np.concatenate([first, second])[seated]
    return Publication(release, questioned, at[pairs], coins, rows, further, relatives, candidates)


def _candidates(labels: NDArray[np.int64], drawn: NDArray[np.int64], rng: Rng) -> NDArray[np.int64]:
    """Return one published row of each cluster, the drawn one of those that have one.

    Args:
        labels: (r,) the cluster of each published row, −1 for nobody's: each of these stays.
        drawn: published rows of the people who are asked about.
        rng: draws a row of each of the others.
    """
    order = np.concatenate([drawn, rng.permutation(len(labels))])
    order = order[labels[order] >= 0]
    _, first = np.unique(labels[order], return_index=True)
    return np.sort(np.concatenate([order[first], np.flatnonzero(labels < 0)]))


def _relatives(
    labels: NDArray[np.int64], drawn: NDArray[np.int64], seats: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return for each row that was not drawn the seat of the drawn one of its cluster, or −1."""
    seat_of = np.full(int(labels.max()) + 1, -1, dtype=np.int64)
    seat_of[labels[drawn]] = seats
    return seat_of[np.delete(labels, drawn)]


def _one_of_each(labels: NDArray[np.int64], rng: Rng) -> NDArray[np.int64]:
    """Return one row of each cluster, drawn at random, in random order."""
    order = rng.permutation(len(labels))
    _, first = np.unique(labels[order], return_index=True)
    return rng.permutation(order[first])


def records(name: str, people: Floats, places: Sequence[int], modality: Modality) -> Data:
    """Return people in the columns at ``places``, as a brief hands them over."""
    return Data(name, modality, np.ascontiguousarray(people[:, list(places)]), role="records")


def _data(name: str, modality: Modality, x: Floats) -> Data:
    return Data(name, modality, x, role="released table")


Succeeded = Callable[[Publication, Outcome], "Floats"]
"""(publication, outcome of an attack) → how far it succeeded on each of the people (2m,)."""


def dealt(
    scene: Scene,
    rng: Rng,
    published: Sequence[Publication],
    brief: Callable[[Publication, Rng], Any],
    *,
    succeeded: Succeeded,
    rates: Callable[[Publication, Outcome], dict[str, float]] | None = None,
) -> Deal:
    """Return the deal of a game whose answers are differences within pairs.

    Args:
        scene: of the owner.
        rng: draws what briefs shuffle.
        published: the rounds.
        brief: what the attacker knows in a round.
        succeeded: how far an attack succeeded on each of the people; larger is more.
        rates: figures of a round besides; None: the rates of ``success_rates``.
    """
    salt = int(rng.integers(2**31))
    rounds = tuple(
        Round(
            view=View(
                source=one.release, brief=brief(one, rng), defenses=scene.defenses, salt=salt
            ),
            truth=one.coins.astype(np.int64),
        )
        for one in published
    )

    def judge(played: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        del played
        out = []
        for one, outcome in zip(published, outcomes, strict=True):
            score = np.asarray(succeeded(one, outcome), dtype=np.float64)
            if score.shape != (len(one.people),) or not np.isfinite(score).all():
                raise RunError(
                    f"scores must be {len(one.people)} finite numbers, one for each of the people, "
                    f"got shape {score.shape}"
                )
            guess = score[one.pairs[:, 0]] - score[one.pairs[:, 1]]
            figures = success_rates(one, score > 0) if rates is None else rates(one, outcome)
            out.append(Received(guess=guess, metrics=figures))
        return out

    once = scene.extra.get("control") is not None
    return Deal(rounds=rounds, judge=judge, cluster=not once, planted=not once)


def success_rates(one: Publication, success: NDArray[np.bool_]) -> dict[str, float]:
    """Return the rates of an attack on those in the table and on their controls, and the risk.

    Args:
        one: the publication.
        success: (2m,) whether the attack succeeded on each of the people.
    """
    inside, outside = success[one.inside], success[one.outside]
    return rates_of(int(inside.sum()), int(outside.sum()), len(inside))


def rates_of(inside: int, outside: int, attacks: int) -> dict[str, float]:
    """Return both rates as they are, and the risk as anonymeter reports it."""
    if not attacks:
        return {"attack_rate": 0.0, "control_rate": 0.0, "residual_risk": 0.0}
    risk = residual_risk(success_rate(inside, attacks), success_rate(outside, attacks))
    return {
        "attack_rate": inside / attacks,
        "control_rate": outside / attacks,
        "residual_risk": risk.cut,
    }


def live(modality: Modality, rng: Rng) -> Scene:
    """A table that is published as it is."""
    return _scene("live", modality, rng, pseudonymised)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A table of other people of the same population."""

    def independent(table: Floats, noise: Rng) -> Floats:
        return _random_table(len(table), noise)

    return _scene("dead", modality, rng, independent)


def _random_table(count: int, rng: Rng) -> Floats:
    numbers = rng.standard_normal((count, LIVE_NUMBERS))
    words = [rng.integers(0, values, (count, 1)) for values in LIVE_VALUES]
    return np.hstack([numbers, *words]).astype(np.float64)


def _scene(name: str, modality: Modality, rng: Rng, publish: Publish) -> Scene:
    kinds = (*(0 for _ in range(LIVE_NUMBERS)), *LIVE_VALUES)
    columns = tuple(TableColumn(f"column {j}", values) for j, values in enumerate(kinds))
    every = tuple(range(len(kinds)))
    part = TableRelease(
        name="pseudonymised" if name == "live" else "independent",
        columns=columns,
        publish=publish,
        rows=True,
        known=every[:-1],
        halves=halves_of(every),
        known_way=publish,
    )
    return Scene(
        name=name,
        modality=modality,
        extra={
            "people": Data("people", modality, _random_table(LIVE_PEOPLE, rng)),
            "public": Data("public", modality, _random_table(LIVE_PEOPLE, rng)),
        },
        parts=(part, RowOwners(), SecretColumn(every[-1])),
    )
