"""Lessons of dual encoders against wrong pairs: learn safe pairs alone, or tune on clean ones.

Beside the contrast of pictures with captions both have one inside each side: two copies of a
record, each without a part of its features, should be alike, and unlike those of other records.
No wrong caption takes part in it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hartley.core import spawn
from hartley.core.errors import UsageError
from hartley.kit.cache import digest
from hartley.kit.infonce_towers import SHARPEST, train_towers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hartley.kit.infonce_towers import Stack, Towers

TEMPERATURE = 0.07
"""Of the contrast inside a side."""

DROPPED = "dropped"
"""The array of a stack (K, n): training pairs whose picture never met their caption."""


class Lesson(Protocol):
    """How projections learn."""

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""

    def train(
        self, how: Towers, x: NDArray[Any], include: NDArray[Any], seed: int, first: int = 0
    ) -> tuple[Stack, dict[str, Any]]:
        """Train, as ``train_towers``; the stack may have ``DROPPED`` too."""


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """The contrastive loss of all pairs."""

    @property
    def recipe(self) -> dict[str, Any]:
        """Nothing beyond the recipe of the towers."""
        return {}

    def train(
        self, how: Towers, x: NDArray[Any], include: NDArray[Any], seed: int, first: int = 0
    ) -> tuple[Stack, dict[str, Any]]:
        """Train by ``train_towers``."""
        return train_towers(how, x, include, seed, first)


@dataclass(frozen=True, slots=True, eq=False)
class CleanTuning:
    """Train by another lesson, then tune on clean pairs (arXiv:2303.03323).

    Attributes:
        before: the lesson before.
        records: (m, d) clean pairs.
        epochs: passes over them.
        lr: first learning rate; it falls to 0.
        inner: weight of the contrast inside each side; that of pictures with captions has 1.
        dropout: share of features that a copy lacks.
    """

    before: Lesson
    records: NDArray[Any]
    epochs: int
    lr: float
    inner: float
    dropout: float

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        plain = [self.epochs, self.lr, self.inner, self.dropout]
        return {**self.before.recipe, "tuned": [digest({"x": self.records}), plain]}

    def train(
        self, how: Towers, x: NDArray[Any], include: NDArray[Any], seed: int, first: int = 0
    ) -> tuple[Stack, dict[str, Any]]:
        """Train, then tune every model on the clean pairs."""
        started = time.perf_counter()
        stack, facts = self.before.train(how, x, include, seed, first)
        everything = np.arange(len(self.records))
        for k in range(len(include)):
            rng = np.random.default_rng(spawn(seed, "clean tuning", first + k))
            weights = (stack["image"][k], stack["text"][k], stack["sharp"][k])
            pupil = _Pupil(how, self.records, weights, self.lr)
            for p in range(self.epochs):
                for rows in _batches(rng, everything, how.batch):
                    loss = pupil.across(rows) + self.inner * pupil.inside(rows, rng, self.dropout)
                    pupil.step(loss, 1 - p / self.epochs)
            pupil.write(stack, k)
        return stack, {**facts, "seconds": time.perf_counter() - started}


@dataclass(frozen=True, slots=True, eq=False)
class SafeOnly:
    """Match pictures with captions in pairs that agree without having been matched.

    The mechanism of arXiv:2310.05862: passes inside each side, then a short look at all pairs, a
    mixture of two normal laws on their cosines, and passes in which pairs that are surely of the
    upper law are matched and the others are contrasted inside their sides.

    Attributes:
        warm: passes inside the sides.
        look: passes over all pairs, each pair scored by a model that looked at others alone.
        folds: parts of the pairs; 1 scores pairs that were looked at, as the paper does.
        sure: least probability of the upper law.
        growth: share of pairs by which the safe ones grow after every pass.
        dropout: share of features that a copy lacks.
    """

    warm: int
    look: int
    folds: int
    sure: float
    growth: float
    dropout: float

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        plain = [self.warm, self.look, self.folds, self.sure, self.growth, self.dropout]
        return {"safe": plain}

    def train(
        self, how: Towers, x: NDArray[Any], include: NDArray[Any], seed: int, first: int = 0
    ) -> tuple[Stack, dict[str, Any]]:
        """Train every model on its safe pairs; the others are ``DROPPED``.

        Raises:
            UsageError: the recipe has a pool, which would bring captions that are not safe.
        """
        if how.pool:
            raise UsageError(f"training on safe pairs must be without a pool, got {how.pool}")
        started = time.perf_counter()
        sides = (how.split, x.shape[1] - how.split)
        count, short = len(include), np.float32
        stack: Stack = {
            "image": np.empty((count, sides[0], how.width), short),
            "text": np.empty((count, sides[1], how.width), short),
            "sharp": np.empty(count, short),
            DROPPED: np.zeros(include.shape, dtype=bool),
        }
        for k in range(count):
            rng = np.random.default_rng(spawn(seed, "safe pairs", first + k))
            members = np.flatnonzero(include[k])
            pupil, matched = self._taught(how, x, members, rng)
            pupil.write(stack, k)
            stack[DROPPED][k, members] = ~matched
        return stack, {"strategy": "one by one", "seconds": time.perf_counter() - started}

    def _taught(
        self, how: Towers, x: NDArray[Any], members: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[_Pupil, NDArray[np.bool_]]:
        pupil = _Pupil(how, x, _drawn(how, x.shape[1], rng), how.lr)
        matched = np.zeros(len(members), dtype=bool)
        if len(members) < 2 * self.folds or not how.epochs:
            return pupil, matched
        for _ in range(self.warm):
            for rows in _batches(rng, members, how.batch):
                pupil.step(pupil.inside(rows, rng, self.dropout), 1.0)
        cosine = self._looked(how, pupil, members, rng)
        safe = upper_law(cosine) >= self.sure
        if safe.sum() < 2:
            safe = _largest(cosine, 2)
        for p in range(how.epochs):
            matched |= safe
            rate = 1 - p / how.epochs
            for rows in _batches(rng, members[safe], how.batch):
                pupil.step(pupil.across(rows), rate)
            for rows in _batches(rng, members[~safe], how.batch):
                pupil.step(pupil.inside(rows, rng, self.dropout), rate)
            if self.growth:
                size = safe.sum() + int(np.ceil(self.growth * len(members)))
                safe = _largest(pupil.cosines(members), min(size, len(members)))
        return pupil, matched

    def _looked(
        self, how: Towers, pupil: _Pupil, members: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the cosine (n,) of each member in a pupil that looked at others."""
        cosine = np.empty(len(members))
        fold = rng.permutation(len(members)) % self.folds
        for f in range(self.folds):
            learner = pupil.copy()
            others = members if self.folds == 1 else members[fold != f]
            for p in range(self.look):
                for rows in _batches(rng, others, how.batch):
                    learner.step(learner.across(rows), 1 - p / self.look)
            cosine[fold == f] = learner.cosines(members[fold == f])
        return cosine


def upper_law(values: NDArray[Any], steps: int = 200) -> NDArray[np.float64]:
    """Return the probability (n,) that each value is of the upper of two normal laws.

    The laws are fitted by expectation and maximisation from the lower and upper halves. A value
    beyond the upper mean counts as one at that mean, however wide the lower law is.

    Args:
        values: (n,).
        steps: of the fit.
    """
    v = np.asarray(values, dtype=np.float64)
    floor = 1e-6 * max(float(v.var()), 1e-12)
    share = (v > np.median(v)).astype(float)
    share = np.stack([1 - share, share])
    for _ in range(steps):
        weight = np.maximum(share.sum(1), 1e-9)
        mean = share @ v / weight
        variance = np.maximum((share * (v - mean[:, None]) ** 2).sum(1) / weight, floor)
        share = _shares(v, weight, mean, variance)
    upper = int(mean.argmax())
    return np.asarray(_shares(np.minimum(v, mean[upper]), weight, mean, variance)[upper])


def _shares(v: NDArray[Any], weight: Any, mean: Any, variance: Any) -> NDArray[np.float64]:
    logs = (np.log(weight) - 0.5 * np.log(variance))[:, None] - (v - mean[:, None]) ** 2 / (
        2 * variance[:, None]
    )
    logs = np.exp(logs - logs.max(0))
    return np.asarray(logs / logs.sum(0))


def _largest(values: NDArray[Any], size: int) -> NDArray[np.bool_]:
    out = np.zeros(len(values), dtype=bool)
    out[np.argsort(-values, kind="stable")[:size]] = True
    return out


def _batches(
    rng: np.random.Generator, rows: NDArray[np.int64], batch: int
) -> Iterator[NDArray[np.int64]]:
    """Give rows in batches of about equal size, none of a single row."""
    if len(rows) > 1:
        yield from np.array_split(rng.permutation(rows), max(1, round(len(rows) / batch)))


def _drawn(how: Towers, d: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    if not 0 < how.split < d:
        raise UsageError(f"pairs must have features of both sides, got split {how.split} of {d}")
    image, text = (
        rng.standard_normal((side, how.width)) / np.sqrt(side)
        for side in (how.split, d - how.split)
    )
    return image, text, np.log(1 / TEMPERATURE)


class _Pupil:
    """The projections of one model, and AdamW."""

    def __init__(
        self, how: Towers, x: NDArray[Any], weights: tuple[Any, Any, Any], lr: float
    ) -> None:
        import torch

        self.how, self.x, self.lr = how, x, lr
        self.records = torch.from_numpy(np.array(x, dtype=np.float32))
        self.weights = [
            torch.tensor(np.asarray(w), dtype=torch.float32, requires_grad=True) for w in weights
        ]
        groups = [
            {"params": self.weights[:2], "weight_decay": how.decay},
            {"params": self.weights[2:], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=lr)

    def copy(self) -> _Pupil:
        """Return one of the same weights."""
        image, text, sharp = (w.detach().numpy().copy() for w in self.weights)
        return _Pupil(self.how, self.x, (image, text, sharp), self.lr)

    def across(self, rows: NDArray[np.int64]) -> Any:
        """Return the contrastive loss of pictures and captions."""
        pairs = self.records[rows]
        image, text = self._embedded(pairs[:, : self.how.split], pairs[:, self.how.split :])
        return _contrast(image @ text.T * self.weights[2].exp())

    def inside(self, rows: NDArray[np.int64], rng: np.random.Generator, dropout: float) -> Any:
        """Return the mean contrastive loss of copies inside the two sides."""
        import torch

        pairs = self.records[rows]
        copies = []
        for _ in range(2):
            stay = rng.random(pairs.shape, dtype=np.float32) >= dropout
            half = pairs * torch.from_numpy(stay)
            copies.append(self._embedded(half[:, : self.how.split], half[:, self.how.split :]))
        losses = [_contrast(a @ b.T / TEMPERATURE) for a, b in zip(*copies, strict=True)]
        return (losses[0] + losses[1]) / 2

    def step(self, loss: Any, rate: float) -> None:
        """Take one step down a loss at a share of the learning rate."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr * rate
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.weights[2].data.clamp_(max=float(SHARPEST))

    def cosines(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the cosine (n,) of the picture and caption of pairs."""
        import torch

        with torch.no_grad():
            pairs = self.records[rows]
            image, text = self._embedded(pairs[:, : self.how.split], pairs[:, self.how.split :])
            return np.asarray((image * text).sum(1).numpy(), dtype=np.float64)

    def write(self, stack: Stack, k: int) -> None:
        """Put the weights into place ``k`` of a stack."""
        for name, weight in zip(("image", "text", "sharp"), self.weights, strict=True):
            stack[name][k] = weight.detach().numpy()

    def _embedded(self, pictures: Any, captions: Any) -> tuple[Any, Any]:
        from torch.nn import functional

        return (
            functional.normalize(pictures @ self.weights[0], dim=-1),
            functional.normalize(captions @ self.weights[1], dim=-1),
        )


def _contrast(alike: Any) -> Any:
    """Mean of both cross-entropies of a square of similarities."""
    import torch

    matched = torch.diagonal(alike)
    return (alike.logsumexp(0) + alike.logsumexp(1) - 2 * matched).mean() / 2
