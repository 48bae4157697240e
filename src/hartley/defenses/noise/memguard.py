"""MemGuard: the least noise that leaves an attack classifier undecided and the label as it is."""

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
"""Members, and non-members, that an attack classifier is trained on at most."""

RECIPE = Training(epochs=40, batch=32, lr=3e-3)
STEP, HALVINGS, WIDTH = 0.1, 12, 32
"""Length of a step of the search, halvings of the way found, hidden width of the classifier."""

ROOM = 4_000_000
"""Numbers of one search that are worked on at once."""


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
    """Fool the owner's own attack classifier with label-preserving noise, within a budget.

    For every model the owner trains a classifier that tells the answers about its members from
    those about records it never saw (his test records; where he has none, the records of the
    training call that the model was not given). Each answer is walked down the gradient of that
    classifier until its verdict turns, the label kept, and the way is halved until the verdict just
    stands at one half. That noise is added with a probability at which the expected L1 distance
    from the true answer stays in the budget; the coin is fixed by a secret key and the record, so
    asking again does not help. What it moves is the noise. An attacker who knows it trains his
    references with classifiers of their own, from the same records.

    Args:
        budget: expected L1 distance between a published answer and the true one.
        search: steps of the search for noise.
    """
    key, others = int(rng.integers(2**62)), _strangers(scene)
    output = scene.model.output if scene.model is not None else Output.PROBABILITIES

    def make(
        made: Ensemble, data: Data, include: NDArray[Any], whose: str
    ) -> per_model_filter.Guard:
        @cache
        def judges() -> Judges:
            seed = spawn(key, "judge", whose) & 0x7FFFFFFF
            return learn(made, data, include, others, output=output, seed=seed)

        def guard(x: NDArray[Any], answers: NDArray[Any], models: list[int]) -> NDArray[Any]:
            clear = logs_of(answers, output)
            noisy = judges().undecided(clear, models, search)
            p, q = np.exp(clear), np.exp(noisy)
            apart = np.abs(p - q).sum(2)
            chance = np.minimum(1, budget / np.maximum(apart, FLOOR))
            coins = [uniform(x, (len(x), 1), spawn(key, whose, k))[:, 0] for k in models]
            changed = (np.stack(coins) < chance) & (apart > 0)
            shielded = noisy if output is Output.LOGITS else q
            return np.where(changed[..., None], shielded, answers)

        return guard

    return per_model_filter.behind(scene, make)


class Judges:
    """One attack classifier for each model: sorted answers → member or not."""

    def __init__(self, net: Net, weights: Mapping[str, NDArray[Any]]) -> None:
        self.net, self.weights = net, weights

    def verdict(self, logs: torch.Tensor, held: Sequence[torch.Tensor]) -> torch.Tensor:
        """Log-odds (j, n) of membership for log-probabilities (j, n, classes)."""
        import torch

        now = features(logs)
        for weight, bias in zip(held[::2], held[1::2], strict=True):
            now = now.relu() if now.shape[2] == WIDTH else now
            now = torch.baddbmm(bias.unsqueeze(1), now, weight.transpose(1, 2))
        return now[..., 1] - now[..., 0]

    def undecided(
        self, logs: NDArray[np.float64], models: list[int], search: int
    ) -> NDArray[np.float64]:
        """Log-probabilities nearest to ``logs`` on the way to where the verdict turns.

        Args:
            logs: (j, n, classes) of j models.
            models: their numbers.
            search: steps.

        Returns:
            (j, n, classes), equal to ``logs`` where no label-preserving noise was found.
        """
        import torch

        held = [torch.from_numpy(np.array(w[models])) for w in self.weights.values()]
        rows = max(1, ROOM // (len(models) * WIDTH))
        parts = []
        for at in range(0, logs.shape[1], rows):
            clear = torch.from_numpy(logs[:, at : at + rows].astype(np.float32))
            parts.append(self._walk(clear, held, search).numpy().astype(np.float64))
        return np.concatenate(parts, 1)

    def _walk(self, clear: torch.Tensor, held: Sequence[torch.Tensor], search: int) -> torch.Tensor:
        import torch

        label = clear.argmax(2, keepdim=True)
        side = self.verdict(clear, held).sign()
        now, done = clear.clone(), side == 0
        for _ in range(search):
            if bool(done.all()):
                break
            noise = now.detach().requires_grad_()
            logs = torch.log_softmax(noise, 2)
            top = logs.gather(2, label).squeeze(2)
            rival = logs.scatter(2, label, -torch.inf).amax(2)
            # Down to the other side of the verdict; up against a rival that overtakes the label.
            loss = side * self.verdict(logs, held) + 10 * (rival - top + 0.01).relu()
            (slope,) = torch.autograd.grad(loss.sum(), noise)
            slope /= slope.norm(dim=2, keepdim=True).clamp_min(FLOOR)
            with torch.no_grad():
                ahead = torch.log_softmax(now - STEP * slope, 2)
                now = torch.where(done.unsqueeze(2), now, ahead)
                done |= self.turned(now, held, side, label)
        with torch.no_grad():
            return self._halved(clear, now, held, side, label)

    def _halved(
        self,
        clear: torch.Tensor,
        far: torch.Tensor,
        held: Sequence[torch.Tensor],
        side: torch.Tensor,
        label: torch.Tensor,
    ) -> torch.Tensor:
        """The nearest point of the straight way to ``far`` at which the verdict has turned."""
        import torch

        low, high = torch.zeros_like(side), torch.ones_like(side)
        found = self.turned(far, held, side, label)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            here = torch.log_softmax(clear + middle.unsqueeze(2) * (far - clear), 2)
            turned = self.turned(here, held, side, label)
            high, low = torch.where(turned, middle, high), torch.where(turned, low, middle)
        near = torch.log_softmax(clear + high.unsqueeze(2) * (far - clear), 2)
        return torch.where(found.unsqueeze(2), near, clear)

    def turned(
        self,
        logs: torch.Tensor,
        held: Sequence[torch.Tensor],
        side: torch.Tensor,
        label: torch.Tensor,
    ) -> torch.Tensor:
        """Where the verdict is no longer ``side`` and the label is still the likeliest."""
        kept = logs.argmax(2, keepdim=True).eq(label).squeeze(2)
        return kept & (self.verdict(logs, held) * side <= 0)


def learn(
    made: Ensemble,
    data: Data,
    include: NDArray[Any],
    others: Data | None,
    *,
    output: Output,
    seed: int,
) -> Judges:
    """Train the classifiers of all models in one call, each on its own model's answers."""
    import torch

    own = logs_of(made.query(data.x), output)
    apart = None if others is None else logs_of(made.query(others.x), output)
    rows: list[NDArray[Any]] = []
    sides: list[NDArray[Any]] = []
    for k, kept in enumerate(include):
        rng = np.random.default_rng(spawn(seed, "records", k))
        yes, no = own[k, kept], own[k, ~kept] if apart is None else apart[k]
        yes, no = (rng.permutation(v)[: min(EACH, len(yes), len(no))] for v in (yes, no))
        rows += [yes, no]
        sides += [np.ones(len(yes), int), np.zeros(len(no), int)]
    x = np.concatenate(rows)
    owner = np.repeat(
        np.arange(len(include)),
        [len(a) + len(b) for a, b in zip(rows[::2], rows[1::2], strict=True)],
    )
    net = dense((x.shape[1],), 2, (WIDTH,))
    seen = features(torch.from_numpy(x[None].astype(np.float32)))[0].numpy()
    mine = owner == np.arange(len(include))[:, None]
    fleet = train(net, seen, np.concatenate(sides), mine, RECIPE, seed=seed)
    return Judges(net, fleet.weights)


def features(logs: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (…, classes) as a classifier reads them: sorted, of order 1."""
    return logs.clamp_min(float(np.log(FLOOR))).sort(-1, descending=True).values / 4


def logs_of(answers: NDArray[Any], output: Output) -> NDArray[np.float64]:
    """Log-probabilities of answers (…, classes) in the units of ``output``."""
    scores = np.asarray(answers, dtype=np.float64)
    if output is not Output.LOGITS:
        scores = np.log(np.maximum(scores, FLOOR))
    scores = scores - scores.max(-1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(-1, keepdims=True)))


def _strangers(scene: Scene) -> Data | None:
    """Records of the owner's that none of his models was trained on, if he has any."""
    test = scene.extra.get("test")
    if test is not None:
        return test
    return scene.holdout if scene.holdout is not scene.train else None
