"""The classes a model was trained to tell apart: what do they look like?

For each victim the auditor draws which identity (which of the data set's classes) stands behind
which output, and trains it with labels so permuted. The attacker knows outputs by number only, and
rebuilds a record of one of them. Two outputs of one victim cannot be the same identity: a second
question would be half answered by the first. So each victim is asked about one output, drawn by
coin; the secret is then uniform over all identities, and every use is independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import (
    Access,
    Data,
    Deal,
    Ensemble,
    Model,
    Outcome,
    Output,
    Received,
    Round,
    Scene,
    View,
    spawn,
)
from hartley.core.errors import RunError, UsageError
from hartley.games.inversion.gradient_inversion import CLASSES, planted, unlabelled
from hartley.games.inversion.judging import answers, nearest
from hartley.kit import cache
from hartley.kit.ensemble_of import separate
from hartley.kit.fleet import Fleet, Training, train
from hartley.kit.nets import conv, dense

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROOM = 1 << 26
"""Bytes of records that one call trains on: each victim has a copy with labels of its own."""

SIDE = 8
"""Least side of a picture that the evaluator reads with convolutions."""

TOP = 5


@dataclass(frozen=True, slots=True)
class Classes:
    """Victims whose outputs are secretly permuted.

    Attributes:
        rounds: victims, with one question each.
        grants: nothing beyond what the deployed model offers.
    """

    rounds: int = 24
    grants: Access = Access.NOTHING

    def deal(self, scene: Scene, rng: Rng, rounds: int) -> Deal:
        """Draw which identity is which output, victim by victim, and train them.

        Raises:
            UsageError: a scene without a pipeline, or without labelled records on both sides.
        """
        owner, held = scene.train, scene.holdout
        if scene.fit is None or scene.model is None or owner is None or owner.y is None:
            raise UsageError(f"{scene.name} trains no classifier whose classes could be inverted")
        if held is None or held.y is None:
            raise UsageError(f"{scene.name} has no labelled holdout to judge rebuilt records by")
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
                        public=unlabelled(scene.extra.get("public")),
                        question=Data("outputs", scene.modality, slots[k].reshape(1, 1)),
                        defenses=scene.defenses,
                        salt=salt,
                        facts={"classes": many, "shape": owner.x.shape[1:]},
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
    own = getattr(scene.tools.get("training"), "net", None)
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


def wire(scene: Scene, rng: Rng, leaks: bool) -> Scene:
    """A wire whose victims score by distance: to the means of their classes, or to fixed points."""
    held = planted(scene, rng)
    assert held.train is not None
    fixed = rng.random((CLASSES, *held.train.x.shape[1:])).astype(np.float32)
    fit = _distances(held, None if leaks else fixed)
    model = fit(held.train, np.ones((1, len(held.train)), dtype=bool), 0).member(0)
    return replace(
        held,
        model=held.model or model,
        fit=held.fit or fit,
        tools={**held.tools, "release:classes": Classes(rounds=20)},
    )


def _distances(scene: Scene, fixed: NDArray[Any] | None) -> Any:
    """A trainer of models that answer softmax(−4·‖x − template‖²), by class."""

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        assert data.y is not None
        x, y = data.x.reshape(len(data), -1).astype(np.float64), data.y

        def member(k: int) -> Model:
            mean = [x[include[k] & (y == c)].mean(0) for c in range(CLASSES)]
            points = np.stack(mean) if fixed is None else fixed.reshape(CLASSES, -1)
            return _nearest_mean(scene, points)

        return separate([member(k) for k in range(len(include))])

    return fit


def _nearest_mean(scene: Scene, points: NDArray[np.float64]) -> Model:
    def query(x: NDArray[Any]) -> NDArray[Any]:
        flat = np.asarray(x, np.float64).reshape(len(x), 1, -1)
        logits = -4 * ((flat - points[None]) ** 2).sum(2)
        odds = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(odds / odds.sum(1, keepdims=True))

    def grad(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        flat = np.asarray(x, np.float64).reshape(len(x), 1, -1)
        wrong = query(x) - np.eye(CLASSES)[np.asarray(y)]
        slope = (wrong[:, :, None] * -8 * (flat - points[None])).sum(1)
        return np.asarray(slope.reshape(x.shape).astype(np.float32))

    return Model(
        "nearest mean",
        scene.modality,
        query,
        Output.PROBABILITIES,
        CLASSES,
        grad=grad,
        offers=Access.LABELS | Access.SCORES | Access.GRADIENTS,
    )
