"""Records around one template per class: the live and dead scenes of two inversion games."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Modality, Model, Output, Scene
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit.ensemble_of import separate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLASSES, RECORDS = 6, 96


def labelled(modality: Modality, rng: Rng, *, leaks: bool) -> Scene:
    """Return a scene whose victims score by the distance to class means, or to fixed points.

    Args:
        modality: vision, audio or tabular.
        rng: draws the records.
        leaks: whether a victim depends on its training records (the live scene).
    """
    shape = tiny_shape(modality, "inversion", flat=16)
    templates = rng.random((CLASSES, *shape))
    parts = {}
    for name in ("train", "holdout", "public"):
        y = np.arange(RECORDS) % CLASSES
        x = np.clip(templates[y] + 0.1 * rng.standard_normal((RECORDS, *shape)), 0, 1)
        parts[name] = Data(name, modality, x.astype(np.float32), y)
    fixed = rng.random((CLASSES, *shape)).astype(np.float32)
    fit = _distances(modality, None if leaks else fixed)
    everyone = np.ones((1, RECORDS), dtype=bool)
    return Scene(
        name="live" if leaks else "dead",
        modality=modality,
        model=fit(parts["train"], everyone, 0).member(0),
        train=parts["train"],
        holdout=parts["holdout"],
        fit=fit,
        extra={"public": replace(parts["public"], y=None)},
    )


def unlabelled(data: Data | None) -> Data | None:
    """Return the attacker's records without their labels."""
    return None if data is None else replace(data, y=None)


def _distances(modality: Modality, fixed: NDArray[Any] | None) -> Any:
    """Return a trainer of models that answer with softmax(−4·‖x − template‖²) over classes."""

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        assert data.y is not None
        x, y = data.x.reshape(len(data), -1).astype(np.float64), data.y

        def member(k: int) -> Model:
            mean = [x[include[k] & (y == c)].mean(0) for c in range(CLASSES)]
            points = np.stack(mean) if fixed is None else fixed.reshape(CLASSES, -1)
            return _nearest_mean(modality, points)

        return separate([member(k) for k in range(len(include))])

    return fit


def _nearest_mean(modality: Modality, points: NDArray[np.float64]) -> Model:
    def query(x: NDArray[Any]) -> NDArray[Any]:
        flat = np.asarray(x, np.float64).reshape(len(x), 1, -1)
        logits = -4 * ((flat - points[None]) ** 2).sum(2)
        odds = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(odds / odds.sum(1, keepdims=True))

    def grad(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        flat = np.asarray(x, np.float64).reshape(len(x), 1, -1)
        residual = query(x) - np.eye(CLASSES)[np.asarray(y)]
        slope = (residual[:, :, None] * -8 * (flat - points[None])).sum(1)
        return np.asarray(slope.reshape(x.shape).astype(np.float32))

    return Model(
        "nearest mean",
        modality,
        query,
        Output.PROBABILITIES,
        CLASSES,
        grad=grad,
        offers=Access.LABELS | Access.SCORES | Access.GRADIENTS,
    )
