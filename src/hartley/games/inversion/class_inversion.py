"""Class inversion: what do the classes that a model was trained to tell apart look like?

For each victim the auditor draws which identity (which of the data set's classes) stands behind
which output, and trains it with labels so permuted. The attacker knows outputs by number only, and
rebuilds a record of one of them. Two outputs of one victim cannot be the same identity: a second
question would be half answered by the first. So each victim is asked about one output, drawn by
coin; the secret is then uniform over all identities, and every use is independent.
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
"""Victims, where neither the player nor the scene says how many."""

ROOM = 1 << 26
"""Bytes of records that one call trains on: each victim has a copy with labels of its own."""

SIDE = 8
"""Least side of a picture that the evaluator reads with convolutions."""

TOP = 5


@dataclass(frozen=True, slots=True)
class Identities:
    """A part of scenes whose classes stand for identities that an attacker may want to see."""


def live(modality: Modality, rng: Rng) -> Scene:
    """Victims that score a record by its distance to the mean of each class."""
    return trainable(_wire(modality, rng, leaks=True), epochs=40)


def dead(modality: Modality, rng: Rng) -> Scene:
    """Victims that score a record by its distance to points that no class has a say in."""
    return trainable(_wire(modality, rng, leaks=False), epochs=0)


@dataclass(frozen=True, slots=True)
class ClassInversionBrief:
    """What an attacker of class inversion knows.

    Attributes:
        question: its ``x`` (1, 1) is the number of the output that is asked about.
        classes: outputs of the victim.
        shape: of a record.
        public: records of the attacker's own, without labels, or None.
    """

    question: Data
    classes: int
    shape: tuple[int, ...]
    public: Data | None


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
)
def class_inversion(
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000)] = 0
) -> Deal:
    """Deal which identity is which output, victim by victim; the loot is a record of one output.

    Args:
        rounds: victims to train, each with one question; 0 leaves it to the scene.

    Raises:
        UsageError: no labelled records on both sides.
    """
    rounds = scene.settings.rounds_of("class_inversion", rounds, ROUNDS)
    owner, held = scene.train, scene.holdout
    assert scene.model is not None and owner is not None and held is not None
    if owner.y is None or held.y is None:
        raise UsageError(f"{scene.name}: train and holdout must be labelled to invert classes")
    many = int(max(owner.y.max(), held.y.max())) + 1
    order = np.stack([rng.permutation(many) for _ in range(rounds)])
    slots = rng.integers(0, many, rounds)
    seed, salt = int(rng.integers(2**31)), int(rng.integers(2**31))
    made = []
    for k, victim in enumerate(_victims(scene, owner, order, seed)):
        made.append(
            Round(
                view=View(
                    source=victim,
                    brief=ClassInversionBrief(
                        question=Data("outputs", scene.modality, slots[k].reshape(1, 1)),
                        classes=many,
                        shape=owner.x.shape[1:],
                        public=unlabelled(scene.extra.get("public")),
                    ),
                    defenses=scene.defenses,
                    salt=salt,
                ),
                truth=np.array([int(np.flatnonzero(order[k] == slots[k])[0])]),
                alphabet=many,
            )
        )

    def judge(dealt: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        assert held.y is not None
        means = np.stack([_mean(held, c) for c in range(many)])
        other = evaluator(scene, held, many)
        read, usual = [], []
        for k, (one, got) in enumerate(zip(dealt, outcomes, strict=True)):
            rebuilt = _record(got, held.x.shape[1:])
            read.append(nearest(rebuilt, means, unlike))
            ranks = np.argsort(-other.query(rebuilt)[0, 0], kind="stable")
            place = int(np.flatnonzero(ranks == one.truth[0])[0])
            usual.append(
                {
                    "evaluator_top1": float(place == 0),
                    "evaluator_top5": float(place < TOP),
                    "likeness": 1 - float(unlike(rebuilt[0], means[one.truth])[0]),
                    "victim_accuracy": _accuracy(one.view.model, held, order[k]),
                }
            )
        return answers(dealt, read, usual)

    return Deal(rounds=tuple(made), judge=judge, cluster=False)


def unlike(one: NDArray[Any], candidates: NDArray[Any]) -> NDArray[Any]:
    """One less the correlation of a record with each candidate: contrast identifies nobody."""
    a = np.asarray(one, np.float64).reshape(-1)
    b = np.asarray(candidates, np.float64).reshape(len(candidates), -1)
    a, b = a - a.mean(), b - b.mean(1, keepdims=True)
    scale = np.linalg.norm(a) * np.linalg.norm(b, axis=1)
    return np.asarray(1 - b @ a / np.maximum(scale, 1e-12))


def evaluator(scene: Scene, held: Data, many: int) -> Fleet:
    """A classifier of the holdout, of another architecture and other weights than any victim."""
    assert held.y is not None
    own = getattr(scene.training, "net", None)
    shape = held.x.shape[1:]
    pictures = len(shape) == SIDES and min(shape[1:]) >= SIDE
    wide = pictures and getattr(own, "kind", "dense") != "conv"
    net = conv(shape, many, (16, 32), (48,)) if wide else dense(shape, many, (192, 96))
    lesson = Training(epochs=40 if len(held) < LARGE else 8, batch=32, lr=2e-3, anneal=True)

    def build() -> dict[str, NDArray[Any]]:
        assert held.y is not None
        everyone = np.ones((1, len(held)), dtype=bool)
        return dict(train(net, held.x, held.y, everyone, lesson, seed=EVALUATOR).weights)

    recipe = {"net": net.recipe, "lesson": lesson.recipe, "x": held.x, "y": held.y}
    kept = cache.cached("evaluator", recipe, build, code=train)
    return Fleet(net, {name: kept[name] for name in net.shapes})


SIDES, LARGE, EVALUATOR = 3, 2000, 7_340_033
"""Dimensions of a picture; records from which few passes are enough; the evaluator's own seed."""


def _victims(scene: Scene, owner: Data, order: NDArray[Any], seed: int) -> list[Model]:
    """Train a victim for each permutation, several in one call: every one on its own copy."""
    assert owner.y is not None
    n, found = len(owner), []
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
        found += [trained.member(k) for k in range(len(rows))]
    return found


def _mean(held: Data, identity: int) -> NDArray[Any]:
    assert held.y is not None
    rows = held.x[held.y == identity]
    if not len(rows):
        raise UsageError(f"the holdout has no record of class {identity} to judge by")
    return np.asarray(rows.mean(0))


def _record(got: Outcome, shape: tuple[int, ...]) -> NDArray[Any]:
    loot = got.asset
    if not isinstance(loot, Data) or loot.x.shape != (1, *shape):
        found = loot.x.shape if isinstance(loot, Data) else loot
        raise RunError(f"one rebuilt record of shape {shape} is due, not {found}")
    if not np.isfinite(loot.x).all():
        raise RunError("the rebuilt record holds NaN or infinity")
    return loot.x


def _accuracy(victim: Model, held: Data, permuted: NDArray[Any]) -> float:
    assert held.y is not None
    said = np.asarray(victim.query(held.x))
    said = said if victim.output is Output.LABELS else said.argmax(1)
    return float((said == permuted[held.y]).mean())


def _wire(modality: Modality, rng: Rng, *, leaks: bool) -> Scene:
    scene = labelled(modality, rng, leaks=leaks)
    return replace(scene, parts=(Identities(),), settings=Settings({"class_inversion": 20}))
