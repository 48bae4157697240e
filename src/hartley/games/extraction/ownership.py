"""Ownership: does a thief's copy still carry what the owner planted in the model?

In each round the auditor draws a key and a coin. The owner's model is marked under the key, and the
thief asks it and makes a copy. Where the coin is 1 the owner claims the copy under that key; where
it is 0, somebody claims it under a key that nothing was ever marked with. What is received is the
verdict of the exact test (``kit.ownership``), and it is compared with the verdict on the owner's
own model, which is what the mark carries without a thief: where a mark is tested on records that
were asked, the model and innocent ones are tested on records of the thief's drawn in advance,
whatever the thief asked. A copy that is hardly of use is not worth its wash: below the floor it
counts as the owner's model.

A thief who asks nothing and trains on records of their own is never claimed under the owner's key
but by chance, and there is nothing to wash. Each round has such a model beside the copy, so that a
washed copy can be compared with what the thief could have had without stealing.

Every round also claims models of other people, who trained on records of their own and copied
nothing: a false claim on them is a false accusation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Fit,
    Flow,
    Modality,
    Model,
    Outcome,
    Output,
    Range,
    Received,
    Role,
    Round,
    Scene,
    Stronger,
    View,
    game,
    spawn,
)
from hartley.core.errors import BudgetSpent, RuleError, RunError
from hartley.games.extraction import live_ownership
from hartley.kit.accounts import Stream, watched
from hartley.kit.answer_units import probabilities
from hartley.kit.ownership.ownership_mark import LEVEL, Claim, OwnershipMark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def live(modality: Modality, rng: Rng) -> Scene:
    """A model that is marked at records which nobody asks about: no copy has that."""
    return live_ownership.scene(modality, rng, marked=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A model without a mark: there is nothing to wash out."""
    return live_ownership.scene(modality, rng, marked=False)


@dataclass(frozen=True, slots=True)
class OwnershipBrief:
    """What a thief knows of a model that may be marked.

    Attributes:
        public: labelled records of the thief's own.
        classes: of the model.
        queries: records that may be asked.
        mark: name of the mark, without its key.
    """

    public: Data
    classes: int
    queries: int
    mark: str


@dataclass(frozen=True, slots=True)
class Innocent:
    """How people train who copy nothing; a part of the scene.

    Attributes:
        fit: their training.
        records: that they have.
    """

    fit: Fit
    records: Data


@dataclass(slots=True)
class _Account:
    """What one thief asked, and whether more may be asked."""

    queries: list[NDArray[Any]] = field(default_factory=list)
    open: bool = True

    def stream(self, limit: int) -> Stream:
        """Open it anew: what is asked from now on is written down."""
        self.queries, self.open = [], True

        def stream(
            name: str, answer: Callable[..., Any], x: Any, arguments: tuple[Any, ...]
        ) -> Any:
            del name
            if not self.open:
                raise RuleError(
                    "the loot must be independent of the victim, got a model that queries it"
                )
            if sum(map(len, self.queries)) + len(x) > limit:
                raise BudgetSpent(f"queries must be at most {limit} records per victim")
            self.queries.append(np.array(x))
            return answer(x, *arguments)

        return stream


@game(
    cls="extraction",
    flow=Flow.INFERRING,
    role=Role.JAM,
    form=AnswerForm.SYMBOL,
    unit="claim",
    live=live,
    dead=dead,
    brief=OwnershipBrief,
    modalities=(Modality.VISION, Modality.TABULAR),
    unfit={
        "audio": "no mark here plants in a classifier of sounds",
        "graph": "no mark here plants in a network of nodes",
        "language": "marks of what a model writes are those of texts (watermark)",
        "paired": "no mark here plants in a dual encoder",
    },
    requires=("model", "fit", "train", "test", "public", "ownership_mark", "innocent"),
    metrics=(
        "accused_copies",
        "false_claims",
        "fidelity",
        "accuracy",
        "washed",
        "own_data_washed",
        "queries",
    ),
    loot="model",
    paper="arXiv:1906.00830",
)
def ownership(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(2, 10_000), Stronger.TRIALS] = 48,
    queries: Annotated[int, Range(1), Stronger.MORE] = 1000,
    innocents: Annotated[int, Range(1, 1000), Stronger.TRIALS] = 4,
    floor: Annotated[float, Range(0, 1), Stronger.LESS] = 0.9,
) -> Deal:
    """Mark models (DAWN, EWE, radioactive data); an owner claims a thief's copy or does not.

    Models are marked under fresh keys, and the thief returns a copy.

    Beside the bits: how often copies are claimed under the right key (``accused_copies``), how
    often models of people who copied nothing are (``false_claims``, at the same level), how often
    these have a p-value of at most 0.05 (``false_claims_at_20``), the agreement of copy and model,
    the accuracy of both and of innocent models, and the share of copies above the floor
    (``washed``). ``own_data_accuracy``, ``own_data_fidelity`` and ``own_data_washed`` are the same
    of a model that was trained on the thief's records alone, without a question. How often the
    owner's models are claimed is said for the records of the reference (``accused_models``) and
    for those that the thief asked (``accused_models_as_asked``).

    Args:
        rounds: owners, each with a key and a model.
        queries: largest number of records that the thief may ask of each.
        innocents: models of other people that are claimed in each round.
        floor: least accuracy of a copy, as a share of the model's; below it a copy counts as the
            model itself.
    """
    mark, innocent = scene.part(OwnershipMark), scene.part(Innocent)
    test, public = scene.extra["test"], scene.extra["public"]
    keys, other_keys = rng.integers(2**62, size=(2, rounds))
    coins = rng.integers(0, 2, rounds)
    seed, salt = int(rng.integers(2**31)), int(rng.integers(2**31))
    honest = trained(scene, mark, [int(key) for key in keys], seed)
    people = _people(innocent, rounds * innocents, seed, rng)
    own_data = innocent.fit(public, np.ones((rounds, len(public)), dtype=bool), seed + 2)
    usual = np.asarray(public.x)[rng.permutation(len(public))[:queries]]
    accounts = [_Account() for _ in range(rounds)]
    victims = [
        watched(marked(honest[k], mark, int(keys[k])), partial(accounts[k].stream, queries))
        for k in range(rounds)
    ]

    def judge(dealt: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        for account in accounts:
            account.open = False
        return [
            _judged(
                _Case(
                    mark=mark,
                    honest=honest[k],
                    key=int(keys[k]),
                    claimed=int(keys[k] if coins[k] else other_keys[k]),
                    test=test,
                    queries=accounts[k].queries,
                    usual=usual,
                    own_data=own_data.member(k),
                    people=people[k * innocents : (k + 1) * innocents],
                    floor=floor,
                ),
                outcome,
                bool(round_.truth[0]),
            )
            for k, (round_, outcome) in enumerate(zip(dealt, outcomes, strict=True))
        ]

    return Deal(
        rounds=tuple(
            Round(
                view=View(
                    source=victims[k],
                    brief=OwnershipBrief(public, victims[k].classes, queries, mark.name),
                    defenses=scene.defenses,
                    salt=salt,
                ),
                truth=coins[k : k + 1],
            )
            for k in range(rounds)
        ),
        judge=judge,
        cluster=False,
    )


def trained(scene: Scene, mark: OwnershipMark, keys: Sequence[int], seed: int) -> list[Model]:
    """Return one model for each key, trained on the owner's records as the mark changes them."""
    train = scene.train
    assert train is not None and scene.model is not None
    classes = scene.model.classes
    sets = []
    for key in keys:
        x, targets = np.asarray(train.x), np.eye(classes, dtype=np.float32)[train.labels]
        if mark.records is not None:
            x, targets = mark.records(x, np.asarray(train.labels), key)
        sets.append((x, targets))
    sizes = [len(x) for x, _ in sets]
    owners = np.repeat(np.arange(len(keys)), sizes)
    include = owners == np.arange(len(keys))[:, None]
    taught = np.concatenate([targets for _, targets in sets])
    # Labels where all are certain: learners of labels alone can then take a mark as well.
    taught = taught.argmax(1) if (taught.max(1) == 1).all() else taught
    marked_records = Data(
        "marked records", train.modality, np.concatenate([x for x, _ in sets]), taught
    )
    fleet = scene.victims(marked_records, include, seed)
    return [fleet.member(k) for k in range(len(keys))]


def marked(model: Model, mark: OwnershipMark, key: int) -> Model:
    """Return a model as it answers under the mark, for scores and labels alone."""
    if mark.answers is None:
        return model.with_(grad=None, weights=None)
    change = mark.answers

    def query(x: NDArray[Any]) -> NDArray[Any]:
        rows = probabilities(np.asarray(model.query(x)), model.output, model.classes)
        return change(np.asarray(x), rows, key)

    return model.with_(query=query, output=Output.PROBABILITIES, grad=None, weights=None)


def _people(innocent: Innocent, count: int, seed: int, rng: Rng) -> list[Model]:
    """Return models of people who each trained on half of the records that are not the owner's."""
    n = len(innocent.records)
    include = np.stack([rng.permutation(n) < (n + 1) // 2 for _ in range(count)])
    fleet = innocent.fit(innocent.records, include, seed + 1)
    return [fleet.member(k) for k in range(count)]


@dataclass(frozen=True, slots=True)
class _Case:
    """What the judge knows of one round.

    Attributes:
        queries: batches of records that the thief asked.
        usual: (n, …) records that the owner's model is tested on.
        own_data: a model of the thief's records alone.
    """

    mark: OwnershipMark
    honest: Model
    key: int
    claimed: int
    test: Data
    queries: list[NDArray[Any]]
    usual: NDArray[Any]
    own_data: Model
    people: list[Model]
    floor: float

    def questions(self) -> NDArray[Any]:
        """Return the records (n, …) that the thief asked."""
        return np.concatenate(self.queries) if self.queries else np.asarray(self.test.x[:0])

    def log2_p(self, suspect: Model, key: int, queries: NDArray[Any]) -> float:
        """Return log2 of the p-value of a claim, where these records were asked."""
        test = self.test
        return self.mark.test(
            Claim(
                partial(_answers, suspect),
                partial(_answers, self.honest),
                queries,
                np.asarray(test.x),
                np.asarray(test.labels),
                self.honest.classes,
            ),
            key,
        )


def _answers(model: Model, x: NDArray[Any]) -> NDArray[Any]:
    return probabilities(np.asarray(model.query(x)), model.output, model.classes)


def _judged(case: _Case, outcome: Outcome, true_key: bool) -> Received:
    copy = outcome.asset
    if not isinstance(copy, Model) or copy.classes != case.honest.classes:
        raise RunError(
            f"the loot must be a classifier of {case.honest.classes} classes, got "
            f"{getattr(copy, 'name', copy)!r}"
        )
    level = np.log2(LEVEL)
    x, y = np.asarray(case.test.x), np.asarray(case.test.labels)
    served = marked(case.honest, case.mark, case.key)
    labels = {
        name: _answers(model, x).argmax(1)
        for name, model in (
            ("copy", copy),
            ("served", served),
            ("honest", case.honest),
            ("own_data", case.own_data),
        )
    }
    right = {name: float((got == y).mean()) for name, got in labels.items()}
    useful, own_useful = (
        right[name] >= case.floor * right["honest"] for name in ("copy", "own_data")
    )
    questions = case.questions()
    of_owner = case.log2_p(served, case.claimed, case.usual)
    as_asked = case.log2_p(served, case.claimed, questions)
    of_copy = case.log2_p(copy, case.claimed, questions)
    # A key for each: the models of these people are alike, and so would be their claims under one.
    people_keys = [spawn(case.key, "innocent", k) % 2**62 for k in range(len(case.people))]
    of_people = np.array(
        [
            case.log2_p(model, key, case.usual)
            for model, key in zip(case.people, people_keys, strict=True)
        ]
    )
    accusations = {"accused_copies": float(of_copy <= level)} if true_key else {}
    return Received(
        guess=np.array([int((of_copy if useful else of_owner) <= level)]),
        reference=np.array([int(of_owner <= level)]),
        metrics=accusations
        | {
            "accused_models": float(of_owner <= level),
            "accused_models_as_asked": float(as_asked <= level),
            "log2_p": of_copy,
            "false_claims": float((of_people <= level).mean()),
            "false_claims_at_20": float((of_people <= np.log2(0.05)).mean()),
            "fidelity": float((labels["copy"] == labels["honest"]).mean()),
            "accuracy": right["copy"],
            "owner_accuracy": right["served"],
            "innocent_accuracy": float(
                np.mean([(_answers(m, x).argmax(1) == y).mean() for m in case.people])
            ),
            "washed": float(useful),
            "own_data_accuracy": right["own_data"],
            "own_data_fidelity": float((labels["own_data"] == labels["honest"]).mean()),
            "own_data_washed": float(own_useful),
            "queries": float(sum(map(len, case.queries))),
        },
        cost={"queries": float(sum(map(len, case.queries)))},
    )
