"""MemGuard: add the least noise that makes an attack classifier undecided and keeps the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Data, Ensemble, Modality, Output, Range, Scene, Term, defense, spawn
from hartley.defenses._shared import per_model_filter
from hartley.defenses._shared.keyed_noise import uniform
from hartley.kit.fleet import Training, train
from hartley.kit.nets import Net, dense

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

FLOOR = 1e-7
"""Probabilities are raised to this before the logarithm."""

EACH = 500
"""Largest number of members, and of non-members, that an attack classifier is trained on."""

RECIPE = Training(epochs=40, batch=32, lr=3e-3)
STEP, HALVINGS, WIDTH = 0.1, 12, 32
"""Length of a search step, steps of the bisection after it, hidden width of the classifier."""

ROOM = 4_000_000
"""Numbers that one search works on at once; limits memory."""


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("membership", "memorization"),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1909.10594",
    strongest={"budget": 2.0},
    requires=("model", "train"),
)
def memguard(
    scene: Scene,
    rng: Rng,
    *,
    budget: Annotated[float, Range(0, 2)] = 0.5,
    search: Annotated[int, Range(1)] = 60,
) -> Scene:
    """Add noise, within a budget, that fools an attack classifier and keeps the label.

    For every model the owner trains a classifier that separates its answers about members from
    those about non-members (the owner's test records; without these, the records of the training
    call that the model was not trained on). Gradient descent changes each answer, keeping its
    label, until the verdict of the classifier flips; a bisection then finds the point where the
    verdict is one half. That noise is added with a probability that keeps the expected L1 distance
    from the true answer within the budget. A secret key and the record determine the coin, so
    repeated queries do not help. The defense raises the noise. An adaptive attacker's reference
    models have classifiers of their own, trained on the same records.

    Args:
        budget: expected L1 distance between a published and a true answer.
        search: steps of gradient descent.
    """
    key, nonmembers = int(rng.integers(2**62)), _nonmembers(scene)
    output = scene.model.output if scene.model is not None else Output.PROBABILITIES

    def make(
        ensemble: Ensemble, data: Data, include: NDArray[Any], kind: str
    ) -> per_model_filter.PerModelFilter:
        @cache
        def classifiers() -> AttackClassifiers:
            seed = spawn(key, "judge", kind) & 0x7FFFFFFF
            return learn(ensemble, data, include, nonmembers, output=output, seed=seed)

        def filter_(x: NDArray[Any], answers: NDArray[Any], models: list[int]) -> NDArray[Any]:
            true_logs = normalised(answers, output)
            noisy_logs = classifiers().undecided(true_logs, models, search)
            p, q = np.exp(true_logs), np.exp(noisy_logs)
            distance = np.abs(p - q).sum(2)
            chance = np.minimum(1, budget / np.maximum(distance, FLOOR))
            coins = [uniform(x, (len(x), 1), spawn(key, kind, k))[:, 0] for k in models]
            changed = (np.stack(coins) < chance) & (distance > 0)
            noisy_answers = noisy_logs if output is Output.LOGITS else q
            return np.where(changed[..., None], noisy_answers, answers)

        return filter_

    return per_model_filter.answers(scene, make)


class AttackClassifiers:
    """One attack classifier for each model: sorted answers → member or not.

    Args:
        net: the architecture of a classifier.
        weights: by name, with an axis of models in front.
    """

    def __init__(self, net: Net, weights: Mapping[str, NDArray[Any]]) -> None:
        self.net, self.weights = net, weights

    def verdict(self, logs: torch.Tensor, weights: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return log-odds (j, n) of membership for log-probabilities (j, n, classes)."""
        import torch

        layer = features(logs)
        for weight, bias in zip(weights[::2], weights[1::2], strict=True):
            layer = layer.relu() if layer.shape[2] == WIDTH else layer
            layer = torch.baddbmm(bias.unsqueeze(1), layer, weight.transpose(1, 2))
        return layer[..., 1] - layer[..., 0]

    def undecided(
        self, logs: NDArray[np.float64], models: list[int], search: int
    ) -> NDArray[np.float64]:
        """Return the log-probabilities nearest to ``logs`` at which the verdict is undecided.

        Args:
            logs: (j, n, classes) log-probabilities of j models.
            models: indices of the models.
            search: steps of gradient descent.

        Returns:
            (j, n, classes), equal to ``logs`` where no label-preserving noise flips the verdict.
        """
        import torch

        weights = [torch.from_numpy(np.array(w[models])) for w in self.weights.values()]
        rows = max(1, ROOM // (len(models) * WIDTH))
        parts = []
        for at in range(0, logs.shape[1], rows):
            start = torch.from_numpy(logs[:, at : at + rows].astype(np.float32))
            parts.append(self._descend(start, weights, search).numpy().astype(np.float64))
        return np.concatenate(parts, 1)

    def _descend(
        self, start: torch.Tensor, weights: Sequence[torch.Tensor], search: int
    ) -> torch.Tensor:
        import torch

        label = start.argmax(2, keepdim=True)
        side = self.verdict(start, weights).sign()
        logs, done = start.clone(), side == 0
        for _ in range(search):
            if bool(done.all()):
                break
            point = logs.detach().requires_grad_()
            point_logs = torch.log_softmax(point, 2)
            top = point_logs.gather(2, label).squeeze(2)
            rival = point_logs.scatter(2, label, -torch.inf).amax(2)
            # Move towards the other verdict; the second term keeps the label the likeliest class.
            loss = side * self.verdict(point_logs, weights) + 10 * (rival - top + 0.01).relu()
            (slope,) = torch.autograd.grad(loss.sum(), point)
            slope /= slope.norm(dim=2, keepdim=True).clamp_min(FLOOR)
            with torch.no_grad():
                moved = torch.log_softmax(logs - STEP * slope, 2)
                logs = torch.where(done.unsqueeze(2), logs, moved)
                done |= self.flipped(logs, weights, side, label)
        with torch.no_grad():
            return self._bisect(start, logs, weights, side, label)

    def _bisect(
        self,
        start: torch.Tensor,
        end: torch.Tensor,
        weights: Sequence[torch.Tensor],
        side: torch.Tensor,
        label: torch.Tensor,
    ) -> torch.Tensor:
        """Return the first point from ``start`` to ``end`` at which the verdict has flipped."""
        import torch

        low, high = torch.zeros_like(side), torch.ones_like(side)
        flips = self.flipped(end, weights, side, label)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            logs = torch.log_softmax(start + middle.unsqueeze(2) * (end - start), 2)
            flipped = self.flipped(logs, weights, side, label)
            high, low = torch.where(flipped, middle, high), torch.where(flipped, low, middle)
        nearest = torch.log_softmax(start + high.unsqueeze(2) * (end - start), 2)
        return torch.where(flips.unsqueeze(2), nearest, start)

    def flipped(
        self,
        logs: torch.Tensor,
        weights: Sequence[torch.Tensor],
        side: torch.Tensor,
        label: torch.Tensor,
    ) -> torch.Tensor:
        """Return where (j, n) the verdict is no longer ``side`` and the label is the likeliest."""
        same_label = logs.argmax(2, keepdim=True).eq(label).squeeze(2)
        return same_label & (self.verdict(logs, weights) * side <= 0)


def learn(
    ensemble: Ensemble,
    data: Data,
    include: NDArray[Any],
    nonmembers: Data | None,
    *,
    output: Output,
    seed: int,
) -> AttackClassifiers:
    """Train the classifiers of all models in one call, each on the answers of its own model.

    Args:
        ensemble: K models.
        data: n records.
        include: (K, n) which record each model was trained on.
        nonmembers: records that no model was trained on; None takes those of ``data``.
        output: units of the answers.
        seed: of the training.
    """
    import torch

    logs = normalised(ensemble.query(data.x), output)
    other_logs = None if nonmembers is None else normalised(ensemble.query(nonmembers.x), output)
    rows: list[NDArray[Any]] = []
    labels: list[NDArray[Any]] = []
    for k, members in enumerate(include):
        rng = np.random.default_rng(spawn(seed, "records", k))
        yes, no = logs[k, members], logs[k, ~members] if other_logs is None else other_logs[k]
        yes, no = (rng.permutation(v)[: min(EACH, len(yes), len(no))] for v in (yes, no))
        rows += [yes, no]
        labels += [np.ones(len(yes), int), np.zeros(len(no), int)]
    x = np.concatenate(rows)
    owner = np.repeat(
        np.arange(len(include)),
        [len(a) + len(b) for a, b in zip(rows[::2], rows[1::2], strict=True)],
    )
    net = dense((x.shape[1],), 2, (WIDTH,))
    inputs = features(torch.from_numpy(x[None].astype(np.float32)))[0].numpy()
    classifier_rows = owner == np.arange(len(include))[:, None]
    fleet = train(net, inputs, np.concatenate(labels), classifier_rows, RECIPE, seed=seed)
    return AttackClassifiers(net, fleet.weights)


def features(logs: torch.Tensor) -> torch.Tensor:
    """Return a classifier's inputs: log-probabilities (…, classes) in descending order, over 4."""
    return logs.clamp_min(float(np.log(FLOOR))).sort(-1, descending=True).values / 4


def normalised(answers: NDArray[Any], output: Output) -> NDArray[np.float64]:
    """Return log-probabilities (…, classes) of answers, normalised after the floor."""
    scores = np.asarray(answers, dtype=np.float64)
    if output is not Output.LOGITS:
        scores = np.log(np.maximum(scores, FLOOR))
    scores = scores - scores.max(-1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(-1, keepdims=True)))


def _nonmembers(scene: Scene) -> Data | None:
    """Return records that no model was trained on, or None where the owner has none."""
    test = scene.extra.get("test")
    if test is not None:
        return test
    return scene.holdout if scene.holdout is not scene.train else None
