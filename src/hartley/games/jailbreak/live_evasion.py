"""The live and dead scenes of evasion: a linear model of weak features, and a model that is blind.

Records carry their class twice: strongly in four entries, which the model does not read, and weakly
in all the others, which it does. So it is right on every clean record, and a small change
of every entry turns it around. A network that is trained against such changes reads the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Modality, Model, Output, Scene
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit.ensemble_of import separate
from hartley.kit.perturbation import Perturbation
from hartley.models.pipeline import OPEN, Pipeline
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLASSES, EPSILON = 4, 0.1
"""Classes, each with one entry that carries it strongly, and the budget."""

WEAK, SPREAD, SHARP = 0.04, 0.02, 6.0
"""Height of the weak features, deviation of the noise, and how confident the model is."""


def scene(modality: Modality, rng: Rng, *, reads: bool) -> Scene:
    """Return a scene whose model reads the weak features, or nothing."""
    shape = tiny_shape(modality, "jailbreak", flat=64)
    size = int(np.prod(shape))
    signs = rng.choice([-1.0, 1.0], (CLASSES, size))
    heights = np.full(size, WEAK)
    heights[:CLASSES] = 2 * EPSILON
    signs[:, :CLASSES] = 2 * np.eye(CLASSES) - 1

    def records(name: str, each: int) -> Data:
        y = np.tile(np.arange(CLASSES), each)
        noise = SPREAD * rng.standard_normal((len(y), size))
        x = np.clip(0.5 + heights * signs[y] + noise, 0, 1).astype(np.float32)
        return Data(name, modality, x.reshape(-1, *shape), y)

    weights = np.where(np.arange(size) < CLASSES, 0.0, signs) * SHARP * reads

    def logits(x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((np.asarray(x, np.float64).reshape(len(x), -1) - 0.5) @ weights.T)

    def query(x: NDArray[Any]) -> NDArray[Any]:
        z = logits(x)
        out = np.exp(z - z.max(1, keepdims=True))
        return np.asarray(out / out.sum(1, keepdims=True))

    def grad(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        error = query(x) - np.eye(CLASSES)[np.asarray(y)]
        return np.asarray((error @ weights).reshape(x.shape))

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del data, seed
        return separate([model] * len(include))

    model = Model(
        "weak features",
        modality,
        query,
        Output.PROBABILITIES,
        CLASSES,
        grad=grad,
        fit=fit,
        offers=Access.LABELS | Access.SCORES | Access.GRADIENTS | Access.TRAIN,
    )
    train = records("train", 40)
    whole = Scene(
        name="live" if reads else "dead",
        modality=modality,
        model=model,
        train=train,
        holdout=records("holdout", 8),
        fit=fit,
        extra={"test": records("test", 10), "public": records("public", 10)},
        parts=(Perturbation("linf", EPSILON),),
    )
    whole = trainable(whole, epochs=40 if reads else 0)
    assert isinstance(whole.training, Pipeline)
    return replace(whole, training=whole.training.with_(offers=OPEN))
