"""Gradient inversion: what a server sees of a client's few records in a federated step.

In a round a client holds a batch of B records, each drawn by coin from N candidates of its own, and
sends the gradient of its mean loss. The server knows the net and its weights, neither the labels
nor the candidates, and rebuilds B records. They carry no order, so each is first given to the
client's place whose candidates it resembles most, and then to one of those: the truth is never
asked. It enters only the usual picture metrics, where rebuilt and true records are paired at best.

The step is the owner's own: what a training-time defence makes them minimise, clients minimise. An
attacker who knows of it finds that step in their brief.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    Access,
    AnswerForm,
    Bound,
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
)
from hartley.core.brief import adaptive_only_but
from hartley.core.errors import UsageError
from hartley.games.inversion.assignment import by_batch, elsewhere, likeness, placed, records
from hartley.games.inversion.client_step import KnownStep, Step
from hartley.games.inversion.judging import answers
from hartley.games.inversion.labelled_records import CLASSES, labelled, unlabelled
from hartley.games.inversion.update_protection import Protection, right
from hartley.kit.nets import Net, dense
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 24
"""Clients, where neither the player nor the scene says how many."""

FEWEST = 2
"""Candidates that a record must have at least."""


@dataclass(frozen=True, slots=True)
class FederatedStep:
    """Single training steps on small batches, whose gradients a server sees.

    Attributes:
        batches: records a client holds, round by round in turn.
        candidates: N, of each record; fewer where the holdout has not so many.
        epochs: passes that the net was trained for before the step; 0 is its first weights.
        net: the architecture; None takes the owner's.
        protection: what a client does to their gradient.
        blind: compute it from other records than the drawn ones: a dead scene.
    """

    batches: tuple[int, ...] = (1, 2, 4, 8)
    candidates: int = 32
    epochs: int = 0
    net: Net | None = None
    protection: Protection = field(default_factory=Protection)
    blind: bool = False

    @property
    def grants(self) -> Access:
        """A server holds the net that it sends out."""
        return Access.GRADIENTS | Access.WEIGHTS

    def unmet(self, scene: Scene) -> str:
        """Why no client can take the owner's real step, or an empty string."""
        objective = getattr(scene.training, "objective", None)
        if objective is None or objective.alone:
            return ""
        return (
            f"what {scene.name} teaches a record follows from models that were trained on the "
            "others here, and no client of federated learning has those: there is no such step"
        )

    def step(self, scene: Scene) -> Step:
        """What a client of this scene computes, by its owner's training as it is defended.

        Raises:
            UsageError: the owner trains no such net.
        """
        pipeline, holdout = scene.training, scene.holdout
        net = self.net or getattr(pipeline, "net", None)
        if net is None and holdout is not None and holdout.y is not None:
            net = dense(holdout.x.shape[1:], int(holdout.y.max()) + 1, (64,))
        if not isinstance(net, Net):
            raise UsageError(f"{scene.name} trains no net whose gradients could be sent")
        own = {name: getattr(pipeline, name, None) for name in ("objective", "private")}
        return Step(net, **own, epoch=self.epochs)

    def weights(self, scene: Scene, step: Step, rng: Rng, rounds: int) -> list[dict[str, Any]]:
        """The net before the step, a round: its first weights, or those after some training.

        The training is the owner's, on random halves of their records. The weights of an
        objective's own are among them: they start at 0 and are kept.

        Raises:
            UsageError: training is asked for and there are no labelled records.
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


def live(modality: Modality, rng: Rng) -> Scene:
    """True gradients of a small dense net."""
    return trainable(_wire(modality, rng, leaks=True), epochs=40)


def dead(modality: Modality, rng: Rng) -> Scene:
    """Gradients of other records than those in question."""
    return trainable(_wire(modality, rng, leaks=False), epochs=0)


def _step_before(known: KnownStep | None, undefended: Scene) -> KnownStep | None:
    """The step that a static attacker takes the client's for: by what is deployed alone."""
    part = undefended.find(FederatedStep)
    step = None if part is None else part.step(undefended)
    if step is None or not step.recipe:
        return None
    sent = {} if known is None else known.extra
    # The weights of an objective come with the net's; an added defense may have replaced them.
    return KnownStep(step, sent) if set(step.extra) <= set(sent) else None


@dataclass(frozen=True, slots=True)
class GradientInversionBrief:
    """What an attacker of gradient inversion knows.

    Attributes:
        gradient: the update that the client sent, by weight.
        net: the architecture; the source of the view shows its weights before the step.
        batch: records in the client's step.
        classes: of the net.
        public: records of the attacker's own, without labels, or None.
        step: how the client computed the update, where it is not plain SGD on cross-entropy.
    """

    gradient: Mapping[str, NDArray[Any]]
    net: Net
    batch: int
    classes: int
    public: Data | None
    step: KnownStep | None = field(default=None, metadata=adaptive_only_but(_step_before))


@game(
    cls="inversion",
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="record of a batch",
    live=live,
    dead=dead,
    brief=GradientInversionBrief,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    requires=("federated_step", "holdout"),
    metrics=("identified", "identified_without_target", "psnr"),
    loot="data",
)
def gradient_inversion(
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000)] = 0
) -> Deal:
    """Deal each client's records and send the gradient of their step; the loot is the records.

    Args:
        rounds: clients, each with records of its own; 0 leaves it to the scene.

    Raises:
        UsageError: too few holdout records, or unlabelled ones.
    """
    part = scene.part(FederatedStep)
    rounds = scene.settings.rounds_of("gradient_inversion", rounds, ROUNDS)
    holdout = scene.holdout
    room = 0 if holdout is None else len(holdout) // max(part.batches)
    if holdout is None or holdout.y is None or room < FEWEST:
        raise UsageError(
            f"gradients of {max(part.batches)} records need {FEWEST * max(part.batches)} "
            f"labelled holdout records; {scene.name} has {0 if holdout is None else len(holdout)}"
        )
    many = min(part.candidates, room)
    step = part.step(scene)
    net = step.net
    stages = part.weights(scene, step, rng, rounds)
    salt = int(rng.integers(2**31))
    made, chosen = [], []
    for k in range(rounds):
        size = part.batches[k % len(part.batches)]
        rows = rng.choice(len(holdout), (size, many), replace=False)
        truth = rng.integers(0, many, size)
        used = rng.integers(0, many, size) if part.blind else truth
        batch = rows[np.arange(size), used]
        raw = step.update(stages[k], holdout.x[batch], holdout.y[batch], rng)
        sent = part.protection.apply(raw, rng)
        for array in sent.values():
            array.flags.writeable = False
        own = {name: stages[k][name] for name in net.shapes}
        view = View(
            source=_model(scene, net, own, part.grants),
            brief=GradientInversionBrief(
                gradient=sent,
                net=net,
                batch=size,
                classes=net.classes,
                public=unlabelled(scene.extra.get("public")),
                step=_known(step, stages[k]),
            ),
            defenses=scene.defenses,
            salt=salt,
        )
        made.append(Round(view=view, truth=truth, alphabet=many))
        chosen.append(rows)
    proved = [rho for rho in (part.protection.rho, step.rho) if rho is not None]
    bounds = tuple(Bound("zcdp", {"rho": rho}, games=("gradient_inversion",)) for rho in proved)

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


def protected(scene: Scene, **changes: float) -> Scene:
    """The scene with a client's updates protected further.

    Args:
        scene: one that releases gradients.
        changes: fields of the ``Protection``; what stood before stays where it is stricter.

    Raises:
        UsageError: numbers that are no protection.
    """
    part = scene.part(FederatedStep)
    before = part.protection
    wanted = Protection(**changes)
    clip = min(c for c in (before.clip, wanted.clip) if c) if before.clip or wanted.clip else 0.0
    spread = np.hypot(before.spread, wanted.spread)
    after = Protection(
        clip=clip, noise=float(spread) / (clip or 1.0), keep=min(before.keep, wanted.keep)
    )
    return scene.with_part(replace(part, protection=after))


def federated(scene: Scene) -> NDArray[np.bool_] | None:
    """What a scene's defences cost clients: where a net is right that is trained on their updates.

    Returns:
        (n,) of the test records; None for a scene without gradients, net or test records, and for
        one whose training no client can take part in.
    """
    part = scene.find(FederatedStep)
    net = getattr(scene.training, "net", None)
    train, test = scene.train, scene.extra.get("test")
    if part is None or not isinstance(net, Net) or part.unmet(scene):
        return None
    if train is None or test is None or train.y is None or test.y is None:
        return None
    step = replace(part, net=net, epochs=0).step(scene)
    return right(step, (train.x, train.y), (test.x, test.y), part.protection)


def _known(step: Step, weights: dict[str, Any]) -> KnownStep | None:
    """The step as an attacker who knows the defenses knows it; None for a plain one."""
    if not step.recipe:
        return None
    extra = {name: weights[name] for name in step.extra}
    for array in extra.values():
        array.flags.writeable = False
    return KnownStep(step, extra)


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


def _wire(modality: Modality, rng: Rng, *, leaks: bool) -> Scene:
    scene = labelled(modality, rng, leaks=leaks)
    assert scene.holdout is not None
    net = dense(scene.holdout.x.shape[1:], CLASSES, (24,))
    step = FederatedStep(batches=(1,), candidates=16, net=net, blind=not leaks)
    return replace(scene, parts=(step,), settings=Settings({"gradient_inversion": 20}))
