"""How a tower of convolutions learns: from aims, from captions, or on pictures that are attacked.

Learnt anew, a tower draws pictures near to given embeddings (those of a larger network) and to
their captions. Tuned against an attacker it learns pictures that steps up the slope of the loss
changed, with one of two losses: the distance from its own answers to the clean pictures, before it
was tuned (FARE, arXiv:2402.12336: no caption takes part, and every stored embedding stays valid),
or the contrast with captions (TeCoA, arXiv:2212.07016).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.core.errors import UsageError
from hartley.kit.vision.conv_tower import Shape, as_tensors, embedded, features

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

Loss = Literal["learn", "own", "captions"]
"""Learn anew; stay near the own clean answers; or the contrast with captions."""

WEIGHTS: Mapping[Loss, tuple[float, float]] = {
    "learn": (4.0, 1.0),
    "own": (1.0, 0.0),
    "captions": (0.0, 1.0),
}
"""Of the distance from aims, and of the contrast with captions."""

WARM = 50
"""Steps over which the rate rises."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """How a tower learns: AdamW, with a rate that rises and then falls to 0.

    Attributes:
        loss: see ``Loss``.
        epochs: passes over the pictures.
        rate: largest learning rate.
        epsilon: largest change of a pixel by the attacker of the training; 0 for none.
        steps: of that attacker, from a start drawn by chance.
        batch: pictures a step, contrasted with one another.
        decay: decoupled weight decay.
        dropout: share of features that a step leaves out.
        shift: pixels by which a picture is moved at most, on white; half of them are mirrored too.
    """

    loss: Loss
    epochs: int
    rate: float
    epsilon: float = 0.0
    steps: int = 1
    batch: int = 64
    decay: float = 0.05
    dropout: float = 0.3
    shift: int = 4

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return {"tower lesson": 1, **asdict(self)}


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a tower learns from.

    Attributes:
        pictures: float32 (n, channels, side, side) from 0 to 1.
        captions: (n, width) embeddings of length 1 of their captions.
        numbers: (n,) equal where captions are; these are not contrasted.
        aims: (n, width) embeddings of length 1 to come near to, or None.
        sharpness: inverse temperature of the contrast.
    """

    pictures: NDArray[Any]
    captions: NDArray[Any]
    numbers: NDArray[np.int64]
    aims: NDArray[Any] | None
    sharpness: float


def learnt(
    shape: Shape,
    state: Mapping[str, NDArray[Any]],
    material: Material,
    lesson: Lesson,
    seed: int,
) -> dict[str, NDArray[np.float32]]:
    """Return parameters after a lesson.

    Args:
        shape: the tower.
        state: the parameters before.
        material: what it learns from.
        lesson: how.
        seed: of orders, shifts and starts.

    Raises:
        UsageError: a tower is to learn aims and there are none, or there are fewer pictures than
            a batch.
    """
    import torch

    if lesson.loss == "learn" and material.aims is None:
        raise UsageError("a tower that learns anew must have aims, got none")
    if len(material.pictures) < lesson.batch:
        raise UsageError(
            f"a tower must learn from {lesson.batch} pictures or more, got {len(material.pictures)}"
        )
    generator = torch.Generator().manual_seed(seed)
    before, now = as_tensors(state), as_tensors(state, learns=True)
    optimiser = torch.optim.AdamW([*now.values()], lr=lesson.rate, weight_decay=lesson.decay)
    every = _Tensors.of(material)
    a_pass = len(material.pictures) // lesson.batch
    total, at = a_pass * lesson.epochs, 0
    for _ in range(lesson.epochs):
        order = torch.randperm(len(material.pictures), generator=generator)
        for rows in order[: a_pass * lesson.batch].split(lesson.batch):
            pictures = _moved(every.pictures[rows], lesson.shift, generator)
            pairs = every.some(rows)
            if lesson.loss == "own":
                with torch.no_grad():
                    aims = embedded(before, features(before, shape, pictures))
                pairs = replace(pairs, aims=aims)
            judge = _Judge(shape, now, pairs, *WEIGHTS[lesson.loss])
            if lesson.epsilon:
                pictures = _attacked(judge, pictures, lesson, generator)
            loss = judge.loss(pictures, dropout=lesson.dropout)
            share = min(1.0, (at + 1) / WARM) * (0.5 + 0.5 * float(np.cos(np.pi * at / total)))
            for group in optimiser.param_groups:
                group["lr"] = lesson.rate * share
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            at += 1
    return {name: np.array(value.detach().numpy()) for name, value in now.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Tensors:
    pictures: Tensor
    captions: Tensor
    numbers: Tensor
    aims: Tensor | None
    sharpness: float

    @classmethod
    def of(cls, material: Material) -> _Tensors:
        import torch

        floats = (
            None if x is None else torch.from_numpy(np.array(x, dtype=np.float32))
            for x in (material.pictures, material.captions, material.aims)
        )
        pictures, captions, aims = floats
        numbers = torch.from_numpy(np.array(material.numbers))
        return cls(pictures, captions, numbers, aims, material.sharpness)

    def some(self, rows: Tensor) -> _Tensors:
        aims = None if self.aims is None else self.aims[rows]
        return _Tensors(
            self.pictures[rows], self.captions[rows], self.numbers[rows], aims, self.sharpness
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """The loss of a batch, which the attacker of the training raises and the tower lowers."""

    shape: Shape
    now: Mapping[str, Tensor]
    pairs: _Tensors
    near: float
    contrast: float

    def loss(self, pictures: Tensor, dropout: float = 0.0) -> Tensor:
        """Return the mean loss of pictures in place of the clean ones."""
        import torch
        from torch.nn import functional

        flat = features(self.now, self.shape, pictures)
        z = embedded(self.now, functional.dropout(flat, dropout) if dropout else flat)
        out = z.new_zeros(())
        if self.near and self.pairs.aims is not None:
            out = out + self.near * (1 - (z * self.pairs.aims).sum(1)).mean()
        if self.contrast:
            alike = self.pairs.sharpness * z @ self.pairs.captions.T
            same = self.pairs.numbers[:, None] == self.pairs.numbers
            same.fill_diagonal_(False)
            rows = torch.arange(len(z))
            out = out + functional.cross_entropy(alike.masked_fill(same, -torch.inf), rows)
        return out


def _attacked(
    judge: _Judge, pictures: Tensor, lesson: Lesson, generator: torch.Generator
) -> Tensor:
    """Return pictures that steps up the slope of the loss changed, from a start by chance."""
    import torch

    epsilon = lesson.epsilon
    change = (torch.rand(pictures.shape, generator=generator) * 2 - 1) * epsilon
    step = (1.25 if lesson.steps == 1 else 2.5 / lesson.steps) * epsilon
    for _ in range(lesson.steps):
        now = (pictures + change).clamp(0, 1).requires_grad_()
        (slope,) = torch.autograd.grad(judge.loss(now), now)
        change = (change + step * slope.sign()).clamp(-epsilon, epsilon)
    return (pictures + change).clamp(0, 1)


def _moved(pictures: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    """Return pictures, half of them mirrored, all moved alike on white."""
    import torch
    from torch.nn import functional

    if not shift:
        return pictures
    mirrored = torch.rand(len(pictures), generator=generator) < 0.5
    pictures = torch.where(mirrored[:, None, None, None], pictures.flip(3), pictures)
    across, down = torch.randint(0, 2 * shift + 1, (2,), generator=generator).tolist()
    wide = functional.pad(pictures, (shift,) * 4, value=1.0)
    side = pictures.shape[2], pictures.shape[3]
    return wide[:, :, down : down + side[0], across : across + side[1]]
