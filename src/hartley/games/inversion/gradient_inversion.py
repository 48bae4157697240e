"""The gradients of a federated step: what a server sees of a client's few records.

In a round a client holds a batch of B records, each drawn by coin from N candidates of its own, and
sends the gradient of its mean loss. The server knows the net and its weights, neither the labels
nor the candidates, and rebuilds B records. They carry no order, so each is first given to the
client's place whose candidates it resembles most, and then to one of those: the truth is never
asked. It enters only the usual picture metrics, where rebuilt and true records are paired at best.

The step is the owner's own: what a training-time defence makes him minimise, clients minimise. Who
knows of it finds that step among the defences of his view (``kit.inversion.step.Known``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import (
    Access,
    Bound,
    Data,
    Deal,
    Modality,
    Model,
    Outcome,
    Output,
    Received,
    Round,
    View,
)
from hartley.core.errors import UsageError
from hartley.games.inversion.assignment import by_batch, elsewhere, likeness, placed, records
from hartley.games.inversion.client_step import Known, Step
from hartley.games.inversion.judging import answers
from hartley.games.inversion.update_protection import Protection, right
from hartley.kit.nets import Net, dense

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core import Scene
    from hartley.core.parts import Rng

CLASSES, RECORDS = 6, 96
"""Of the wires."""

FEWEST = 2
"""Candidates that a record must have at least."""


@dataclass(frozen=True, slots=True)
class Gradients:
    """Gradients of single steps on small batches.

    Attributes:
        batches: records a client holds, round by round in turn.
        candidates: N, of each record; fewer where the holdout has not so many.
        epochs: passes that the net was trained for before the step; 0 is its first weights.
        rounds: clients.
        net: the architecture; None takes the owner's.
        protection: what a client does to his gradient.
        blind: compute it from other records than the drawn ones: a dead wire.
    """

    batches: tuple[int, ...] = (1, 2, 4, 8)
    candidates: int = 32
    epochs: int = 0
    rounds: int = 24
    net: Net | None = None
    protection: Protection = field(default_factory=Protection)
    blind: bool = False

    @property
    def grants(self) -> Access:
        """A server holds the net that it sends out."""
        return Access.GRADIENTS | Access.WEIGHTS

    def unmet(self, scene: Scene) -> str:
        """A client takes his owner's real step, unless that needs everybody else's records."""
        objective = getattr(scene.tools.get("training"), "objective", None)
        if objective is None or objective.alone:
            return ""
        return (
            f"what {scene.name} teaches a record follows from models that were trained on the "
            "others here, and no client of federated learning has those: there is no such step"
        )

    def deal(self, scene: Scene, rng: Rng, rounds: int) -> Deal:
        """Draw each client's records, and send his gradient through the protection.

        Raises:
            UsageError: too few holdout records, or unlabelled ones.
        """
        holdout = scene.holdout
        room = 0 if holdout is None else len(holdout) // max(self.batches)
        if holdout is None or holdout.y is None or room < FEWEST:
            raise UsageError(
                f"gradients of {max(self.batches)} records need {FEWEST * max(self.batches)} "
                f"labelled holdout records; {scene.name} has "
                f"{0 if holdout is None else len(holdout)}"
            )
        many = min(self.candidates, room)
        step = self.step(scene)
        net = step.net
        stages = self._weights(scene, step, rng, rounds)
        salt = int(rng.integers(2**31))
        made, chosen = [], []
        for k in range(rounds):
            size = self.batches[k % len(self.batches)]
            rows = rng.choice(len(holdout), (size, many), replace=False)
            truth = rng.integers(0, many, size)
            used = rng.integers(0, many, size) if self.blind else truth
            batch = rows[np.arange(size), used]
            raw = step.update(stages[k], holdout.x[batch], holdout.y[batch], rng)
            sent = self.protection.apply(raw, rng)
            for array in sent.values():
                array.flags.writeable = False
            facts = {"gradient": sent, "net": net, "batch": size, "classes": net.classes}
            own = {name: stages[k][name] for name in net.shapes}
            view = View(
                source=_model(scene, net, own, self.grants),
                public=unlabelled(scene.extra.get("public")),
                defenses=(*scene.defenses, *_known(step, stages[k])),
                salt=salt,
                facts=facts,
            )
            made.append(Round(view=view, truth=truth, alphabet=many))
            chosen.append(rows)
        proved = [rho for rho in (self.protection.rho, step.rho) if rho is not None]
        bounds = tuple(Bound("zcdp", {"rho": rho}, games=("inversion",)) for rho in proved)

        def judge(dealt: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
            rebuilt = [records(got, holdout.x.shape[1:]) for got in outcomes]
            read = [placed(r, holdout.x[rows]) for r, rows in zip(rebuilt, chosen, strict=True)]
            usual = []
            for k, (rows, truth) in enumerate(zip(chosen, (d.truth for d in dealt), strict=True)):
                found = likeness(rebuilt[k], holdout.x[rows[np.arange(len(rows)), truth]])
                another = elsewhere(k, [len(each) for each in chosen])
                if another is not None:
                    other = placed(rebuilt[another], holdout.x[rows])
                    found["identified_without_target"] = float((other == truth).mean())
                usual.append(found)
            return answers(dealt, read, by_batch(dealt, read, usual))

        return Deal(rounds=tuple(made), judge=judge, bounds=bounds)

    def step(self, scene: Scene) -> Step:
        """What a client of this scene computes, by its owner's training as it is defended.

        Raises:
            UsageError: the owner trains no such net.
        """
        pipeline, holdout = scene.tools.get("training"), scene.holdout
        net = self.net or getattr(pipeline, "net", None)
        if net is None and holdout is not None and holdout.y is not None:
            net = dense(holdout.x.shape[1:], int(holdout.y.max()) + 1, (64,))
        if not isinstance(net, Net):
            raise UsageError(f"{scene.name} trains no net whose gradients could be sent")
        own = {name: getattr(pipeline, name, None) for name in ("objective", "private")}
        return Step(net, **own, epoch=self.epochs)

    def _weights(self, scene: Scene, step: Step, rng: Rng, rounds: int) -> list[dict[str, Any]]:
        """First weights, or those after the owner's training on random halves of his records.

        The weights of an objective's own are among them: they start at 0 and are kept.
        """
        net = step.net
        if not self.epochs:
            zeros = {n: np.zeros(shape, np.float32) for n, shape in step.extra.items()}
            return [{**net.initial(rng), **zeros} for _ in range(rounds)]
        from hartley.kit.fleet import Training, train, train_private

        data = scene.train
        if data is None or data.y is None:
            raise UsageError(f"{scene.name} has no labelled records to train {self.epochs} epochs")
        include = rng.random((rounds, len(data))) < 0.5
        seed = int(rng.integers(2**31))
        if step.private is not None:
            steps = max(1, round(self.epochs / step.private.rate))
            private = replace(step.private, steps=steps)
            fleet = train_private(net, data.x, data.y, include, private, seed=seed)
        else:
            fleet = train(
                net, data.x, data.y, include, Training(epochs=self.epochs),
                seed=seed, objective=step.objective,
            )  # fmt: skip
        whole = {**fleet.weights, **fleet.extra}
        return [{n: w[k] for n, w in whole.items()} for k in range(rounds)]


def protected(scene: Scene, **changes: float) -> Scene:
    """The scene with a client's updates protected further.

    Args:
        scene: one that releases gradients.
        changes: fields of the ``Protection``; what stood before stays where it is stricter.

    Raises:
        UsageError: numbers that are no protection.
    """
    release: Gradients = scene.tools["release:gradients"]
    before = release.protection
    wanted = Protection(**changes)
    clip = min(c for c in (before.clip, wanted.clip) if c) if before.clip or wanted.clip else 0.0
    spread = np.hypot(before.spread, wanted.spread)
    after = Protection(
        clip=clip, noise=float(spread) / (clip or 1.0), keep=min(before.keep, wanted.keep)
    )
    tools = {**scene.tools, "release:gradients": replace(release, protection=after)}
    return replace(scene, tools=tools)


def federated(scene: Scene) -> NDArray[np.bool_] | None:
    """What a scene's defences cost clients: where a net is right that is trained on their updates.

    Returns:
        (n,) of the test records; None for a scene without gradients, net or test records, and for
        one whose training no client can take part in.
    """
    release = scene.tools.get("release:gradients")
    net = getattr(scene.tools.get("training"), "net", None)
    train, test = scene.train, scene.extra.get("test")
    if not isinstance(release, Gradients) or not isinstance(net, Net) or release.unmet(scene):
        return None
    if train is None or test is None or train.y is None or test.y is None:
        return None
    step = replace(release, net=net, epochs=0).step(scene)
    return right(step, (train.x, train.y), (test.x, test.y), release.protection)


def _known(step: Step, weights: dict[str, Any]) -> tuple[Known, ...]:
    """The step, for the eyes of who knows of the defences; a plain one is no secret."""
    if not step.recipe:
        return ()
    extra = {name: weights[name] for name in step.extra}
    for array in extra.values():
        array.flags.writeable = False
    return (Known("training step", step.recipe, step=step, extra=extra),)


def unlabelled(data: Data | None) -> Data | None:
    """An attacker's own records, without the labels that the owner's data set has for them."""
    return None if data is None else replace(data, y=None)


def _model(scene: Scene, net: Net, weights: dict[str, Any], grants: Access) -> Model:
    """The net of a round, open to whoever takes part in its training."""

    def query(x: NDArray[Any]) -> NDArray[Any]:
        import torch

        held = {n: torch.from_numpy(np.array(w, np.float32)) for n, w in weights.items()}
        with torch.no_grad():
            rows = torch.from_numpy(np.array(x, np.float32))
            return np.asarray(net.forward(held, rows).softmax(1).numpy())

    return Model(
        f"{net.kind} net of a federated step",
        scene.modality,
        query,
        Output.PROBABILITIES,
        net.classes,
        weights=lambda: weights,
        offers=Access.LABELS | Access.SCORES | grants,
    )


def wire(scene: Scene, rng: Rng, leaks: bool) -> Scene:
    """A wire with true gradients of a small dense net, or with gradients of other records."""
    held = planted(scene, rng)
    assert held.holdout is not None
    net = dense(held.holdout.x.shape[1:], CLASSES, (24,))
    release = Gradients(batches=(1,), candidates=16, rounds=10, net=net, blind=not leaks)
    return replace(held, tools={**held.tools, "release:gradients": release})


def planted(scene: Scene, rng: Rng) -> Scene:
    """A wire with labelled records round one template a class, unless it has records already."""
    if scene.holdout is not None:
        return scene
    shape = {Modality.VISION: (1, 4, 4), Modality.AUDIO: (1, 4, 4)}.get(scene.modality, (16,))
    templates = rng.random((CLASSES, *shape))
    parts = {}
    for name in ("train", "holdout", "public"):
        y = np.arange(RECORDS) % CLASSES
        x = np.clip(templates[y] + 0.1 * rng.standard_normal((RECORDS, *shape)), 0, 1)
        parts[name] = Data(name, scene.modality, x.astype(np.float32), y)
    public = replace(parts["public"], y=None)
    return replace(
        scene,
        train=parts["train"],
        holdout=parts["holdout"],
        extra={**scene.extra, "public": public},
    )
