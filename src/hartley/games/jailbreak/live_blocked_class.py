"""The live and dead scenes of a blocked class: a linear model with a gate, and one that is shut.

The live scene is that of evasion with a fifth answer, the refusal. Its score rises with those of
two classes and falls with those of the others, so that all records of these two are refused, and a
change that moves the scores apart within the budget lets their class out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Ensemble, Modality, Model, Scene
from hartley.games.jailbreak import live_evasion
from hartley.games.jailbreak.live_evasion import CLASSES
from hartley.kit.answer_units import log_probabilities
from hartley.kit.ensemble_of import separate
from hartley.kit.fleet import Training
from hartley.kit.nets import dense
from hartley.models.gate import Gate
from hartley.models.pipeline import OPEN, Pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

GATE = Gate(blocked=(2, 3), refused=CLASSES)

SCORE = np.array([-1.0, -1.0, 1.5, 1.5])
"""What each class's score adds to that of the refusal; it sums to 1, so that a shift is one."""


def scene(modality: Modality, rng: Rng, *, opens: bool) -> Scene:
    """Return a scene whose gate can be passed, or refuses everything."""
    plain = live_evasion.scene(modality, rng, reads=True)
    assert plain.model is not None and plain.train is not None
    model = _gated(plain.model) if opens else _shut(plain.model)

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del data, seed
        return separate([model] * len(include))

    model = model.with_(fit=fit)
    owner = None
    if plain.training is not None:
        # A defense that trains the owner's model anew trains its gate too.
        gate = GATE if opens else replace(GATE, blocked=tuple(range(CLASSES)))
        owner = Pipeline(
            dense(plain.train.x.shape[1:], CLASSES + 1, (64,)),
            Training(epochs=40, batch=16, lr=5e-3),
            modality=modality,
            offers=OPEN,
            cached=False,
            gate=gate,
        )
    return replace(plain, model=model, fit=fit, training=owner, parts=(*plain.parts, GATE))


def _gated(model: Model) -> Model:
    """Return a linear model of four classes with the refusal as its fifth."""
    mix = np.vstack([np.eye(CLASSES), SCORE])

    def query(x: NDArray[Any]) -> NDArray[Any]:
        z = log_probabilities(model.query(x), model.output) @ mix.T
        out = np.exp(z - z.max(1, keepdims=True))
        return np.asarray(out / out.sum(1, keepdims=True))

    def grad(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        # What the loss rises by with each class's score. These sum to 0, so that the part which
        # the slopes of all classes have in common cancels out.
        rises = (query(x) - np.eye(CLASSES + 1)[np.asarray(y)]) @ mix
        shape = (-1, *(1,) * (x.ndim - 1))
        assert model.grad is not None
        out = np.zeros(x.shape)
        for c in range(CLASSES):
            out -= rises[:, c].reshape(shape) * model.grad(x, np.full(len(x), c))
        return out

    return model.with_(query=query, grad=grad, classes=CLASSES + 1, name="gated " + model.name)


def _shut(model: Model) -> Model:
    """Return a model that refuses every record, whose slope is 0 everywhere."""
    answer = np.full(CLASSES + 1, 0.01)
    answer[-1] = 1 - answer[:-1].sum()

    def grad(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        del y
        return np.zeros(np.shape(x))

    return model.with_(
        query=lambda x: np.tile(answer, (len(x), 1)),
        grad=grad,
        classes=CLASSES + 1,
        name="shut gate",
    )
