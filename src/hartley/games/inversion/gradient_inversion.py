"""Gradient inversion: what does a client's gradient reveal about its records?

In each round a client has a batch of B records, each drawn uniformly from N candidates, and sends
the gradient of the mean loss. The server, which is the attacker, knows the net and its weights, but
neither the labels nor the candidates, and rebuilds B records. These have no order: the judge first
assigns each to the place of the batch whose candidates are most similar, and then to one of these
candidates, without the truth. The truth is used only in picture metrics, for the best pairing.

The client's step is that of the owner's training, with its training-time defenses. The brief of an
adaptive attacker contains this step.
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
    Stronger,
    View,
    game,
)
from hartley.core.brief import adaptive_only_but
from hartley.core.errors import UsageError
from hartley.games.inversion.assignment import (
    assign,
    likeness,
    metrics_by_batch_size,
    null_partner,
    records,
)
from hartley.games.inversion.client_step import KnownStep, Step
from hartley.games.inversion.judging import answers
from hartley.games.inversion.labelled_records import CLASSES, labelled, unlabelled
from hartley.games.inversion.update_protection import Protection, correctly_labelled
from hartley.kit.nets import Net, dense
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 24
"""Default number of clients."""

FEWEST = 2
"""Least number of candidates of a record."""


@dataclass(frozen=True, slots=True)
class FederatedStep:
    """A training step on a small batch, whose gradient a server sees.

    Attributes:
        batches: batch sizes; rounds take them in turn.
        candidates: N, the number of candidates of each record; fewer if the holdout is small.
        epochs: passes of training before the step; 0 means initial weights.
        net: the architecture; None takes the owner's.
        protection: changes that a client makes to the gradient.
        blind: compute the gradient from unrelated records (a dead scene).
    """

    batches: tuple[int, ...] = (1, 2, 4, 8)
    candidates: int = 32
    epochs: int = 0
    net: Net | None = None
    protection: Protection = field(default_factory=Protection)
    blind: bool = False

    @property
    def grants(self) -> Access:
        """The server has the net that it sends to clients."""
        return Access.GRADIENTS | Access.WEIGHTS

    def unmet(self, scene: Scene) -> str:
        """Return why a client cannot compute the owner's step, or an empty string."""
        objective = getattr(scene.training, "objective", None)
        if objective is None or objective.alone:
            return ""
        return (
            f"the training targets of {scene.name} depend on models trained on other records, "
            "which a client of federated learning does not have"
        )

    def step(self, scene: Scene) -> Step:
        """Return the step of a client of this scene, by the owner's training with its defenses.

        Raises:
            UsageError: the owner does not train a ``Net``.
        """
        pipeline, holdout = scene.training, scene.holdout
        net = self.net or getattr(pipeline, "net", None)
        if net is None and holdout is not None and holdout.y is not None:
            net = dense(holdout.x.shape[1:], int(holdout.y.max()) + 1, (64,))
        if not isinstance(net, Net):
            raise UsageError(f"scene {scene.name!r} must train a Net for its gradients, got none")
        training = {name: getattr(pipeline, name, None) for name in ("objective", "private")}
        return Step(net, **training, epoch=self.epochs)

    def weights(self, scene: Scene, step: Step, rng: Rng, rounds: int) -> list[dict[str, Any]]:
        """Return the weights before the step, for each round: initial ones, or after some training.

        The training is the owner's, on random halves of their records. The weights include those
        of the objective, which start at 0.

        Raises:
            UsageError: ``epochs`` is above 0, and there are no labelled records.
        """
        net = step.net
        if not self.epochs:
            zeros = {n: np.zeros(shape, np.float32) for n, shape in step.extra.items()}
            return [{**net.initial(rng), **zeros} for _ in range(rounds)]
        from hartley.kit.fleet import Training, train, train_private

        data = scene.train
        if data is None or data.y is None:
            raise UsageError(f"scene {scene.name!r} must have labelled records to train, got none")
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
        all_weights = {**fleet.weights, **fleet.extra}
        return [{n: w[k] for n, w in all_weights.items()} for k in range(rounds)]


def live(modality: Modality, rng: Rng) -> Scene:
    """Gradients of a small dense net on the clients' records."""
    return trainable(_scene(modality, rng, leaks=True), epochs=40)


def dead(modality: Modality, rng: Rng) -> Scene:
    """Gradients of unrelated records."""
    return trainable(_scene(modality, rng, leaks=False), epochs=0)


def _step_before(known: KnownStep | None, undefended: Scene) -> KnownStep | None:
    """Return the step that a static attacker assumes: with the deployed defenses only."""
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
        gradient: the update that the client sent, by name of the weight.
        net: the architecture; the source of the view gives its weights before the step.
        batch: number of records in the client's step.
        classes: of the net.
        public: the attacker's records, without labels, or None.
        step: how the client computed the update, if it is not plain SGD on cross-entropy.
    """

    gradient: Mapping[str, NDArray[Any]]
    net: Net
    batch: int
    classes: int
    public: Data | None
    step: KnownStep | None = field(default=None, metadata=adaptive_only_but(_step_before))


def aim(
    scene: Scene, target: Model | None, rng: Rng, *, rounds: int = 0, **_: Any
) -> tuple[View[GradientInversionBrief], ...]:
    """Return the views of a server that sees updates of clients, each on one record of the owner's.

    Args:
        scene: has a ``FederatedStep`` and labelled training records, which the clients hold.
        target: not used: the server knows the net that it sends.
        rng: draws the clients' records, the weights before the step, and the salt.
        rounds: number of clients; 0 takes the scene's default, and there are at most as many as
            training records.

    Raises:
        UsageError: the scene has no such step, or no labelled training records.
    """
    del target
    part, owner = scene.find(FederatedStep), scene.train
    if part is None or owner is None or owner.y is None:
        raise UsageError(
            f"scene {scene.name!r} must have a federated step and labelled training records for "
            "gradient inversion"
        )
    rounds = min(scene.settings.rounds_of("gradient_inversion", rounds, ROUNDS), len(owner))
    step, rows = part.step(scene), rng.permutation(len(owner))[:rounds]
    (weights,) = part.weights(scene, step, rng, 1)
    salt = int(rng.integers(2**31))
    return tuple(
        _view(scene, step, weights, (owner.x[[row]], owner.y[[row]]), rng=rng, salt=salt)
        for row in rows
    )


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
    aim=aim,
    aim_requires=("federated_step", "train"),
    aims_at="model",
)
def gradient_inversion(
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000), Stronger.TRIALS] = 0
) -> Deal:
    """Send gradients of clients' secret records; the attacker rebuilds the records from them.

    Args:
        rounds: number of clients, each with its own records; 0 takes the scene's default.

    Raises:
        UsageError: the holdout has no labels, or too few records.
    """
    part = scene.part(FederatedStep)
    rounds = scene.settings.rounds_of("gradient_inversion", rounds, ROUNDS)
    holdout = scene.holdout
    most_candidates = 0 if holdout is None else len(holdout) // max(part.batches)
    if holdout is None or holdout.y is None or most_candidates < FEWEST:
        raise UsageError(
            f"scene {scene.name!r} must have at least {FEWEST * max(part.batches)} labelled "
            f"holdout records for batches of {max(part.batches)}, got "
            f"{0 if holdout is None else len(holdout)}"
        )
    candidates = min(part.candidates, most_candidates)
    step = part.step(scene)
    stages = part.weights(scene, step, rng, rounds)
    salt = int(rng.integers(2**31))
    dealt_rounds, candidate_rows = [], []
    for k in range(rounds):
        size = part.batches[k % len(part.batches)]
        rows = rng.choice(len(holdout), (size, candidates), replace=False)
        truth = rng.integers(0, candidates, size)
        choice = rng.integers(0, candidates, size) if part.blind else truth
        batch = rows[np.arange(size), choice]
        view = _view(
            scene, step, stages[k], (holdout.x[batch], holdout.y[batch]), rng=rng, salt=salt
        )
        dealt_rounds.append(Round(view=view, truth=truth, alphabet=candidates))
        candidate_rows.append(rows)
    proved = [rho for rho in (part.protection.rho, step.rho) if rho is not None]
    bounds = tuple(Bound("zcdp", {"rho": rho}, games=("gradient_inversion",)) for rho in proved)

    def judge(dealt: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        rebuilt = [records(outcome, holdout.x.shape[1:]) for outcome in outcomes]
        symbols = [
            assign(r, holdout.x[rows]) for r, rows in zip(rebuilt, candidate_rows, strict=True)
        ]
        metrics = []
        for k, (rows, truth) in enumerate(
            zip(candidate_rows, (d.truth for d in dealt), strict=True)
        ):
            likeness_metrics = likeness(rebuilt[k], holdout.x[rows[np.arange(len(rows)), truth]])
            partner = null_partner(k, [len(batch_rows) for batch_rows in candidate_rows])
            if partner is not None:
                null_symbols = assign(rebuilt[partner], holdout.x[rows])
                likeness_metrics["identified_without_target"] = float(
                    (null_symbols == truth).mean()
                )
            metrics.append(likeness_metrics)
        return answers(dealt, symbols, metrics_by_batch_size(dealt, symbols, metrics))

    return Deal(rounds=tuple(dealt_rounds), judge=judge, bounds=bounds)


def protected(scene: Scene, **changes: float) -> Scene:
    """Return the scene with further protection of clients' updates.

    Args:
        scene: a scene with a ``FederatedStep``.
        changes: fields of the ``Protection``; an existing stricter value stays.

    Raises:
        UsageError: the values are not a valid ``Protection``.
    """
    part = scene.part(FederatedStep)
    old = part.protection
    new = Protection(**changes)
    clip = min(c for c in (old.clip, new.clip) if c) if old.clip or new.clip else 0.0
    spread = np.hypot(old.spread, new.spread)
    combined = Protection(
        clip=clip, noise=float(spread) / (clip or 1.0), keep=min(old.keep, new.keep)
    )
    return scene.with_part(replace(part, protection=combined))


def federated(scene: Scene) -> NDArray[np.bool_] | None:
    """Return which test records a net labels correctly that is trained on clients' updates.

    This measures what the scene's defenses cost in federated learning.

    Returns:
        (n,) booleans; None if the scene has no gradients, net or test records, or if clients cannot
        take part in its training.
    """
    part = scene.find(FederatedStep)
    net = getattr(scene.training, "net", None)
    train, test = scene.train, scene.extra.get("test")
    if part is None or not isinstance(net, Net) or part.unmet(scene):
        return None
    if train is None or test is None or train.y is None or test.y is None:
        return None
    step = replace(part, net=net, epochs=0).step(scene)
    return correctly_labelled(step, (train.x, train.y), (test.x, test.y), part.protection)


def _view(
    scene: Scene,
    step: Step,
    weights: dict[str, Any],
    batch: tuple[NDArray[Any], NDArray[Any]],
    *,
    rng: Rng,
    salt: int,
) -> View[GradientInversionBrief]:
    """Return what the server sees of a client with a batch of records (b, …) and labels (b,)."""
    part, net = scene.part(FederatedStep), step.net
    update = part.protection.apply(step.update(weights, *batch, rng), rng)
    for array in update.values():
        array.flags.writeable = False
    return View(
        source=_model(scene, net, {name: weights[name] for name in net.shapes}, part.grants),
        brief=GradientInversionBrief(
            gradient=update,
            net=net,
            batch=len(batch[0]),
            classes=net.classes,
            public=unlabelled(scene.extra.get("public")),
            step=_known(step, weights),
        ),
        defenses=scene.defenses,
        salt=salt,
    )


def _known(step: Step, weights: dict[str, Any]) -> KnownStep | None:
    """Return the step for an adaptive attacker; None if it is plain SGD."""
    if not step.recipe:
        return None
    extra = {name: weights[name] for name in step.extra}
    for array in extra.values():
        array.flags.writeable = False
    return KnownStep(step, extra)


def _model(scene: Scene, net: Net, weights: dict[str, Any], grants: Access) -> Model:
    """Return the net of a round as a model, with the access of a participant in its training."""

    def query(x: NDArray[Any]) -> NDArray[Any]:
        import torch

        tensors = {n: torch.from_numpy(np.array(w, np.float32)) for n, w in weights.items()}
        with torch.no_grad():
            rows = torch.from_numpy(np.array(x, np.float32))
            return np.asarray(net.forward(tensors, rows).softmax(1).numpy())

    return Model(
        f"{net.kind} net of a federated step",
        scene.modality,
        query,
        Output.PROBABILITIES,
        net.classes,
        weights=lambda: weights,
        offers=Access.LABELS | Access.SCORES | grants,
    )


def _scene(modality: Modality, rng: Rng, *, leaks: bool) -> Scene:
    scene = labelled(modality, rng, leaks=leaks)
    assert scene.holdout is not None
    net = dense(scene.holdout.x.shape[1:], CLASSES, (24,))
    step = FederatedStep(batches=(1,), candidates=16, net=net, blind=not leaks)
    return replace(scene, parts=(step,), settings=Settings({"gradient_inversion": 20}))
