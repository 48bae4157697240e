"""Attribute inference: does a model of a table reveal a field of its training records?

For each target, a training record, the auditor draws the sensitive field uniformly among K values
before the owner trains. The other fields therefore contain no information about it, and bits come
from the model and not from imputation (which arXiv:2209.01292 finds to explain most of such
attacks). The attacker has the other fields and the label, and queries the model.
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
    Stronger,
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
"""Default number of victims."""

CLASSES, VALUES, RECORDS, WIDTH = 4, 4, 96, 6
"""Sizes of the live and dead scenes."""


@dataclass(frozen=True, slots=True, eq=False)
class SensitiveAttribute:
    """A sensitive field of K values in the owner's records.

    Attributes:
        columns: columns of a record that contain the field.
        codes: (K, columns) the code of each value there.
        targets: number of records per victim whose field is drawn.
        public: the attacker's own records with their field; None: those of the scene.
    """

    columns: tuple[int, ...]
    codes: NDArray[np.floating]
    targets: int = 100
    public: Data | None = None


def live(modality: Modality, rng: Rng) -> Scene:
    """A model that memorises its training records."""
    return trainable(_scene(modality, rng, leaks=True), epochs=40)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A model whose answers do not depend on its training records."""
    return trainable(_scene(modality, rng, leaks=False), epochs=0)


@dataclass(frozen=True, slots=True)
class AttributeInferenceBrief:
    """What an attacker of attribute inference knows.

    Attributes:
        question: m targets with the field blank (zeros), and their labels; the answer is one
            value for each.
        columns: (c,) columns of a record that contain the field.
        codes: (K, c) the code of each value there.
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
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000), Stronger.TRIALS] = 0
) -> Deal:
    """Train victims on records with a random field; the attacker guesses the field's values.

    Args:
        rounds: number of victims, each with its own targets; 0 takes the scene's default.

    Raises:
        UsageError: there are fewer labelled training records than twice the targets.
    """
    part = scene.part(SensitiveAttribute)
    rounds = scene.settings.rounds_of("attribute_inference", rounds, ROUNDS)
    train = scene.train
    assert scene.fit is not None and scene.model is not None and train is not None
    if train.y is None:
        raise UsageError(f"{scene.name}: train must be labelled to infer an attribute")
    if len(train) < 2 * part.targets:
        raise UsageError(
            f"scene {scene.name!r} must have at least {2 * part.targets} training records for "
            f"{part.targets} targets, got {len(train)}"
        )
    columns, values = list(part.columns), len(part.codes)
    target_rows = [rng.choice(len(train), part.targets, replace=False) for _ in range(rounds)]
    truth = rng.integers(0, values, (rounds, part.targets))
    redrawn = []
    for rows, secret in zip(target_rows, truth, strict=True):
        x = train.x[rows]
        x[:, columns] = part.codes[secret]
        redrawn.append(x)
    # The data of all victims: the owner's records, then every victim's redrawn targets.
    training_data = replace(
        train,
        x=np.concatenate([train.x, *redrawn]),
        y=np.concatenate([train.y, *(train.y[rows] for rows in target_rows)]),
    )
    include = np.zeros((rounds, len(training_data)), dtype=bool)
    include[:, : len(train)] = True
    for k, rows in enumerate(target_rows):
        include[k, rows] = False
        include[k, len(train) + k * part.targets : len(train) + (k + 1) * part.targets] = True
    victims = scene.victims(training_data, include, int(rng.integers(2**31)))
    salt = int(rng.integers(2**31))
    dealt = []
    for k, rows in enumerate(target_rows):
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
                public=scene.extra.get("public") if part.public is None else part.public,
            ),
            defenses=scene.defenses,
            salt=salt,
        )
        dealt.append(Round(view=view, truth=truth[k], alphabet=values))
    return Deal(rounds=tuple(dealt), judge=judge)


def judge(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
    """Return the guessed values (m,) of each round; −1 means no guess.

    Raises:
        RunError: an attack did not return an integer for each target.
    """
    guesses = []
    for round_, outcome in zip(rounds, outcomes, strict=True):
        guess = np.asarray(outcome.guess)
        if guess.shape != round_.truth.shape or guess.dtype.kind not in "iu":
            raise RunError(
                f"guesses must be {len(round_.truth)} integers, one per target, got "
                f"{guess.dtype} of shape {guess.shape}"
            )
        guesses.append(guess.astype(np.int64))
    return answers(rounds, guesses)


def candidates(brief: AttributeInferenceBrief) -> NDArray[np.float32]:
    """Return every target with every value of the field: (m, K, features)."""
    records = np.repeat(brief.question.x[:, None], len(brief.codes), axis=1)
    records[:, :, brief.columns] = brief.codes
    return records


def filled(brief: AttributeInferenceBrief, guess: NDArray[Any]) -> Data:
    """Return the targets with the guessed values, as loot."""
    values = np.maximum(guess, 0)
    x = candidates(brief)[np.arange(len(values)), values]
    return replace(brief.question, name="completed records", x=x, role="records")


def _scene(modality: Modality, rng: Rng, *, leaks: bool) -> Scene:
    codes = np.eye(VALUES, dtype=np.float32)
    fit = _lookup_trainer(leaks=leaks)

    def records(name: str) -> Data:
        x = rng.random((RECORDS, WIDTH + VALUES), dtype=np.float32)
        x[:, WIDTH:] = codes[rng.integers(0, VALUES, RECORDS)]
        # Labels follow the model's answers to other records, so that it is right about those too.
        return Data(name, modality, x, _pseudo_random_answers(x).argmax(1))

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


def _pseudo_random_answers(x: NDArray[Any]) -> NDArray[np.float64]:
    """Return fixed answers (n, CLASSES) to any records, which depend on all their numbers."""
    phase = x.astype(np.float64) @ (1.0 + np.arange(x.shape[1]))
    odds = np.exp(2 * np.sin(phase[:, None] * (1 + np.arange(CLASSES))))
    return np.asarray(odds / odds.sum(1, keepdims=True))


def _lookup_trainer(*, leaks: bool) -> Any:
    """Return a trainer of lookup tables: a training record's label, else pseudo-random answers."""

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        labels = data.y
        assert labels is not None
        keys = [row.tobytes() for row in np.ascontiguousarray(data.x)]

        def member(k: int) -> Model:
            table = {keys[i]: int(labels[i]) for i in np.flatnonzero(include[k])} if leaks else {}

            def query(x: NDArray[Any]) -> NDArray[Any]:
                rows = np.ascontiguousarray(x, dtype=np.float32)
                out = _pseudo_random_answers(rows)
                for i, row in enumerate(rows):
                    label = table.get(row.tobytes())
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
