"""Class inversion: what do records of the classes of a model look like?

For each victim the auditor draws a permutation of the data set's classes (identities), and trains
it with permuted labels. The attacker knows outputs by index only, and rebuilds a record of one of
them. Two outputs of a victim are never the same identity, so a second question would not be
independent of the first. The question is therefore about one random output per victim; the secret
is uniform over all identities, and all uses are independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
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
    Slot,
    Stronger,
    View,
    game,
    spawn,
)
from hartley.core.errors import RunError, UsageError
from hartley.games.inversion.judging import answers, nearest
from hartley.games.inversion.labelled_records import labelled, unlabelled
from hartley.kit import cache
from hartley.kit.fleet import Fleet, Training, train
from hartley.kit.nets import conv, dense
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 24
"""Default number of victims."""

ROOM = 1 << 26
"""Bytes of records in one training call; each victim has a copy with its own labels."""

SIDE = 8
"""Least side of a picture for which the evaluator has convolutions."""

TOP = 5


@dataclass(frozen=True, slots=True)
class Identities:
    """A part of scenes whose classes are identities that an attacker may want to see."""


def live(modality: Modality, rng: Rng) -> Scene:
    """Victims that score a record by its distance to the mean of each class."""
    return trainable(_scene(modality, rng, leaks=True), epochs=40)


def dead(modality: Modality, rng: Rng) -> Scene:
    """Victims that score a record by its distance to points that do not depend on the classes."""
    return trainable(_scene(modality, rng, leaks=False), epochs=0)


@dataclass(frozen=True, slots=True)
class ClassInversionBrief:
    """What an attacker of class inversion knows.

    Attributes:
        question: its ``x`` (1, 1) is the index of the output in question.
        classes: outputs of the victim.
        shape: of a record.
        public: the attacker's records, without labels, or None.
    """

    question: Data
    classes: int
    shape: tuple[int, ...]
    public: Data | None


def aim(scene: Scene, target: Model, rng: Rng, **_: Any) -> tuple[View[ClassInversionBrief], ...]:
    """Return the views of a class inversion that is aimed at a model: one for each of its outputs.

    Args:
        scene: its ``train`` gives the shape of a record, ``public`` the attacker's records.
        target: a victim of another game, or the deployed model.
        rng: draws the salt.

    Raises:
        UsageError: the scene has no training records or the target is not a classifier.
    """
    if scene.train is None or not isinstance(target, Model) or target.classes < 2:
        raise UsageError(
            f"scene {scene.name!r} must have training records and a classifier for class inversion"
        )
    public, salt = unlabelled(scene.extra.get("public")), int(rng.integers(2**31))
    return tuple(
        View(
            source=target,
            brief=ClassInversionBrief(
                question=Data("outputs", scene.modality, np.array([[output]])),
                classes=target.classes,
                shape=scene.train.x.shape[1:],
                public=public,
            ),
            defenses=scene.defenses,
            salt=salt,
        )
        for output in range(target.classes)
    )


@game(
    cls="inversion",
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="class",
    live=live,
    dead=dead,
    brief=ClassInversionBrief,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    requires=("identities", "fit", "model", "train", "holdout"),
    metrics=("identified", "identified_without_target", "evaluator_top1", "likeness"),
    loot="data",
    accepts=(Slot.SOURCE, Slot.PUBLIC),
    aim=aim,
    aim_requires=("train",),
    aims_at="model",
)
def class_inversion(
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000), Stronger.TRIALS] = 0
) -> Deal:
    """Train victims with permuted classes; the attacker rebuilds a record of one output of each.

    Args:
        rounds: number of victims, each with one question; 0 takes the scene's default.

    Raises:
        UsageError: train or holdout has no labels.
    """
    rounds = scene.settings.rounds_of("class_inversion", rounds, ROUNDS)
    owner, holdout = scene.train, scene.holdout
    assert scene.model is not None and owner is not None and holdout is not None
    if owner.y is None or holdout.y is None:
        raise UsageError(f"{scene.name}: train and holdout must be labelled to invert classes")
    classes = int(max(owner.y.max(), holdout.y.max())) + 1
    order = np.stack([rng.permutation(classes) for _ in range(rounds)])
    slots = rng.integers(0, classes, rounds)
    seed, salt = int(rng.integers(2**31)), int(rng.integers(2**31))
    views, victims = [], _victims(scene, owner, order, seed)
    for k, victim in enumerate(victims):
        views.append(
            Round(
                view=View(
                    source=victim,
                    brief=ClassInversionBrief(
                        question=Data("outputs", scene.modality, slots[k].reshape(1, 1)),
                        classes=classes,
                        shape=owner.x.shape[1:],
                        public=unlabelled(scene.extra.get("public")),
                    ),
                    defenses=scene.defenses,
                    salt=salt,
                ),
                truth=np.array([int(np.flatnonzero(order[k] == slots[k])[0])]),
                alphabet=classes,
            )
        )

    def judge(dealt: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        assert holdout.y is not None
        means = np.stack([_mean(holdout, c) for c in range(classes)])
        independent = evaluator(scene, holdout, classes)
        symbols, metrics = [], []
        for k, (round_, outcome) in enumerate(zip(dealt, outcomes, strict=True)):
            rebuilt = _record(outcome, holdout.x.shape[1:])
            symbols.append(nearest(rebuilt, means, unlike))
            ranks = np.argsort(-independent.query(rebuilt)[0, 0], kind="stable")
            place = int(np.flatnonzero(ranks == round_.truth[0])[0])
            metrics.append(
                {
                    "evaluator_top1": float(place == 0),
                    "evaluator_top5": float(place < TOP),
                    "likeness": 1 - float(unlike(rebuilt[0], means[round_.truth])[0]),
                    "victim_accuracy": _accuracy(victims[k], holdout, order[k]),
                }
            )
        return answers(dealt, symbols, metrics)

    return Deal(rounds=tuple(views), judge=judge, cluster=False)


def unlike(record: NDArray[Any], candidates: NDArray[Any]) -> NDArray[Any]:
    """Return 1 minus the correlation of a record with each candidate; contrast does not matter."""
    a = np.asarray(record, np.float64).reshape(-1)
    b = np.asarray(candidates, np.float64).reshape(len(candidates), -1)
    a, b = a - a.mean(), b - b.mean(1, keepdims=True)
    scale = np.linalg.norm(a) * np.linalg.norm(b, axis=1)
    return np.asarray(1 - b @ a / np.maximum(scale, 1e-12))


def evaluator(scene: Scene, holdout: Data, classes: int) -> Fleet:
    """Return a classifier of the holdout whose architecture differs from that of the victims."""
    assert holdout.y is not None
    owner_net = getattr(scene.training, "net", None)
    shape = holdout.x.shape[1:]
    pictures = len(shape) == SIDES and min(shape[1:]) >= SIDE
    convolutional = pictures and getattr(owner_net, "kind", "dense") != "conv"
    net = (
        conv(shape, classes, (16, 32), (48,)) if convolutional else dense(shape, classes, (192, 96))
    )
    training = Training(epochs=40 if len(holdout) < LARGE else 8, batch=32, lr=2e-3, anneal=True)

    def build() -> dict[str, NDArray[Any]]:
        assert holdout.y is not None
        all_rows = np.ones((1, len(holdout)), dtype=bool)
        return dict(train(net, holdout.x, holdout.y, all_rows, training, seed=EVALUATOR).weights)

    recipe = {"net": net.recipe, "lesson": training.recipe, "x": holdout.x, "y": holdout.y}
    weights = cache.cached("evaluator", recipe, build, code=train)
    return Fleet(net, {name: weights[name] for name in net.shapes})


SIDES, LARGE, EVALUATOR = 3, 2000, 7_340_033
"""Dimensions of a picture; records for which few passes suffice; the evaluator's seed."""


def _victims(scene: Scene, owner: Data, order: NDArray[Any], seed: int) -> list[Model]:
    """Train a victim for each permutation of labels, several in one call."""
    assert owner.y is not None
    n, victims = len(owner), []
    group = max(1, ROOM // max(1, owner.x.nbytes))
    for start in range(0, len(order), group):
        rows = order[start : start + group]
        copies = replace(
            owner,
            name="relabelled records",
            x=np.concatenate([owner.x] * len(rows)),
            y=np.concatenate([row[owner.y] for row in rows]),
        )
        include = np.kron(np.eye(len(rows)), np.ones(n)).astype(bool)
        trained = scene.victims(copies, include, spawn(seed, start) & 0x7FFFFFFF)
        victims += [trained.member(k) for k in range(len(rows))]
    return victims


def _mean(holdout: Data, identity: int) -> NDArray[Any]:
    assert holdout.y is not None
    rows = holdout.x[holdout.y == identity]
    if not len(rows):
        raise UsageError(f"the holdout must have records of class {identity}, got none")
    return np.asarray(rows.mean(0))


def _record(outcome: Outcome, shape: tuple[int, ...]) -> NDArray[Any]:
    loot = outcome.asset
    if not isinstance(loot, Data) or loot.x.shape != (1, *shape):
        given = loot.x.shape if isinstance(loot, Data) else loot
        raise RunError(f"the loot must be one rebuilt record of shape {shape}, got {given}")
    if not np.isfinite(loot.x).all():
        raise RunError("the rebuilt record must be finite, got NaN or infinity")
    return loot.x


def _accuracy(victim: Model, holdout: Data, permuted: NDArray[Any]) -> float:
    assert holdout.y is not None
    labels = np.asarray(victim.query(holdout.x))
    labels = labels if victim.output is Output.LABELS else labels.argmax(1)
    return float((labels == permuted[holdout.y]).mean())


def _scene(modality: Modality, rng: Rng, *, leaks: bool) -> Scene:
    scene = labelled(modality, rng, leaks=leaks)
    return replace(scene, parts=(Identities(),), settings=Settings({"class_inversion": 20}))
