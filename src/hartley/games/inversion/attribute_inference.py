"""Attribute inference: does a model of a table give away a field of those it was trained on?

For each target, a training record, the auditor draws the sensitive field anew and uniformly among
K values before the owner trains. So nothing else in the record points to it, and what an attacker
reads comes from the model, not from knowing people (arXiv:2209.01292: most of what such attacks
found was imputation). They hold the other fields and the label, and ask the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    Access,
    AnswerForm,
    Data,
    Deal,
    Ensemble,
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
    Settings,
    View,
    game,
)
from hartley.core.errors import RunError, UsageError
from hartley.games.inversion.judging import answers
from hartley.kit.ensemble_of import separate
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 8
"""Victims, where neither the player nor the scene says how many."""

CLASSES, VALUES, RECORDS, WIDTH = 4, 4, 96, 6
"""Of the live and dead scenes."""


@dataclass(frozen=True, slots=True, eq=False)
class SensitiveAttribute:
    """A sensitive field of K values in the owner's records.

    Attributes:
        columns: where the field is in a record.
        codes: (K, columns) how each value is written there.
        targets: records a victim whose field is drawn anew.
    """

    columns: tuple[int, ...]
    codes: NDArray[np.float32]
    targets: int = 100


def live(modality: Modality, rng: Rng) -> Scene:
    """A model that is sure of the very records it was trained on."""
    return trainable(_wire(modality, rng, leaks=True), epochs=40)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A model that answers from the record alone."""
    return trainable(_wire(modality, rng, leaks=False), epochs=0)


@dataclass(frozen=True, slots=True)
class AttributeInferenceBrief:
    """What an attacker of attribute inference knows.

    Attributes:
        question: (m) targets with the field blank (zeros), and their labels; one value
            answers each.
        columns: (c,) columns of a record that hold the field.
        codes: (K, c) how each value is written there.
        classes: of the victim.
        public: records of the attacker's own, or None.
    """

    question: Data
    columns: NDArray[np.integer]
    codes: NDArray[np.floating]
    classes: int
    public: Data | None


@game(
    cls="inversion",
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="attribute",
    live=live,
    dead=dead,
    brief=AttributeInferenceBrief,
    modalities=(Modality.TABULAR,),
    requires=("sensitive_attribute", "fit", "model", "train"),
    metrics=("identified", "identified_without_target"),
    loot="data",
)
def attribute_inference(
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000)] = 0
) -> Deal:
    """Draw the targets' field, train a victim on each draw, and ask for it.

    Args:
        rounds: victims, each with targets of its own; 0 leaves it to the scene.

    Raises:
        UsageError: fewer labelled training records than twice the targets.
    """
    part = scene.part(SensitiveAttribute)
    rounds = scene.settings.rounds_of("attribute_inference", rounds, ROUNDS)
    train = scene.train
    assert scene.fit is not None and scene.model is not None and train is not None
    if train.y is None:
        raise UsageError(f"{scene.name}: train must be labelled to infer an attribute")
    if len(train) < 2 * part.targets:
        raise UsageError(
            f"{scene.name} was trained on {len(train)} records; "
            f"{part.targets} targets need twice as many"
        )
    columns, values = list(part.columns), len(part.codes)
    chosen = [rng.choice(len(train), part.targets, replace=False) for _ in range(rounds)]
    truth = rng.integers(0, values, (rounds, part.targets))
    drawn = []
    for rows, secret in zip(chosen, truth, strict=True):
        x = train.x[rows]
        x[:, columns] = part.codes[secret]
        drawn.append(x)
    # One lesson for all victims: the owner's records, then every victim's redrawn targets.
    lesson = replace(
        train,
        x=np.concatenate([train.x, *drawn]),
        y=np.concatenate([train.y, *(train.y[rows] for rows in chosen)]),
    )
    include = np.zeros((rounds, len(lesson)), dtype=bool)
    include[:, : len(train)] = True
    for k, rows in enumerate(chosen):
        include[k, rows] = False
        include[k, len(train) + k * part.targets : len(train) + (k + 1) * part.targets] = True
    victims = scene.victims(lesson, include, int(rng.integers(2**31)))
    salt = int(rng.integers(2**31))
    made = []
    for k, rows in enumerate(chosen):
        x = train.x[rows]
        x[:, columns] = 0
        question = Data(f"targets {k}", train.modality, x, train.y[rows], role="targets")
        view = View(
            source=victims.member(k),
            brief=AttributeInferenceBrief(
                question=question,
                columns=np.array(columns),
                codes=part.codes,
                classes=scene.model.classes,
                public=scene.extra.get("public"),
            ),
            defenses=scene.defenses,
            salt=salt,
        )
        made.append(Round(view=view, truth=truth[k], alphabet=values))
    return Deal(rounds=tuple(made), judge=judge)


def judge(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
    """Take the values (m,) that were named; −1 where none was.

    Raises:
        RunError: an attack did not name a value for each target.
    """
    read = []
    for one, out in zip(rounds, outcomes, strict=True):
        said = np.asarray(out.guess)
        if said.shape != one.truth.shape or said.dtype.kind not in "iu":
            raise RunError(
                f"attribute_inference asks for {len(one.truth)} whole numbers, one a target"
            )
        read.append(said.astype(np.int64))
    return answers(rounds, read)


def candidates(brief: AttributeInferenceBrief) -> NDArray[np.float32]:
    """Every target with every value written into it: (m, K, features)."""
    records = np.repeat(brief.question.x[:, None], len(brief.codes), axis=1)
    records[:, :, brief.columns] = brief.codes
    return records


def filled(brief: AttributeInferenceBrief, guess: NDArray[Any]) -> Data:
    """The targets with the values that were guessed: an attacker's loot."""
    values = np.maximum(guess, 0)
    x = candidates(brief)[np.arange(len(values)), values]
    return replace(brief.question, name="completed records", x=x, role="records")


def _wire(modality: Modality, rng: Rng, *, leaks: bool) -> Scene:
    codes = np.eye(VALUES, dtype=np.float32)
    fit = _rote(leaks=leaks)

    def records(name: str) -> Data:
        x = rng.random((RECORDS, WIDTH + VALUES), dtype=np.float32)
        x[:, WIDTH:] = codes[rng.integers(0, VALUES, RECORDS)]
        # Labels follow the law that the model falls back on, so that it is right of strangers too.
        return Data(name, modality, x, _odd(x).argmax(1))

    train, public = records("train"), records("public")
    columns = tuple(range(WIDTH, WIDTH + VALUES))
    field = SensitiveAttribute(columns, codes, targets=RECORDS // 2)
    return Scene(
        name="live" if leaks else "dead",
        modality=modality,
        model=fit(train, np.ones((1, RECORDS), dtype=bool), 0).member(0),
        train=train,
        fit=fit,
        extra={"public": public},
        parts=(field,),
        settings=Settings({"attribute_inference": 4}),
    )


def _odd(x: NDArray[Any]) -> NDArray[np.float64]:
    """A fixed opinion (n, CLASSES) about any record, that turns with every number in it."""
    turn = x.astype(np.float64) @ (1.0 + np.arange(x.shape[1]))
    odds = np.exp(2 * np.sin(turn[:, None] * (1 + np.arange(CLASSES))))
    return np.asarray(odds / odds.sum(1, keepdims=True))


def _rote(*, leaks: bool) -> Any:
    """A trainer of lookup tables: 0.97 for the label of a record it read, else an odd guess."""

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        labels = data.y
        assert labels is not None
        keys = [row.tobytes() for row in np.ascontiguousarray(data.x)]

        def member(k: int) -> Model:
            known = {keys[i]: int(labels[i]) for i in np.flatnonzero(include[k])} if leaks else {}

            def query(x: NDArray[Any]) -> NDArray[Any]:
                held = np.ascontiguousarray(x, dtype=np.float32)
                out = _odd(held)
                for i, row in enumerate(held):
                    label = known.get(row.tobytes())
                    if label is not None:
                        out[i] = 0.01
                        out[i, label] = 1 - 0.01 * (CLASSES - 1)
                return out

            return Model(
                "rote table",
                data.modality,
                query,
                Output.PROBABILITIES,
                CLASSES,
                fit=fit,
                offers=Access.LABELS | Access.SCORES | Access.TRAIN,
            )

        return separate([member(k) for k in range(len(include))])

    return fit
