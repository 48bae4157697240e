"""Tiny scenes of ownership: models that are marked where nobody looks, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality, Scene, spawn
from hartley.games import nearest_learner
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit.ownership.ownership_mark import Claim, OwnershipMark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLASSES, HIDDEN = 4, 24
"""Classes, and records far from all others whose labels a key draws."""

FAR = 40.0
"""How far away these lie."""


def scene(modality: Modality, rng: Rng, *, marked: bool) -> Scene:
    """Return a scene of four clouds of records and a nearest-neighbour learner.

    Args:
        modality: of the records.
        rng: the records.
        marked: whether the owner plants labels far away from them.
    """
    from hartley.games.extraction.ownership import Innocent

    shape = tiny_shape(modality, "extraction", flat=8)
    labels = np.arange(64) % CLASSES
    centres = 2.0 * np.eye(int(np.prod(shape)))[:CLASSES]

    def near(name: str) -> Data:
        x = centres[labels] + 0.2 * rng.standard_normal((len(labels), centres.shape[1]))
        return Data(name, modality, x.reshape(len(x), *shape).astype(np.float32), labels)

    fit, train, others = (
        nearest_learner.trainer(modality, CLASSES),
        near("train"),
        near("holdout"),
    )
    return Scene(
        name="live" if marked else "dead",
        modality=modality,
        model=fit(train, np.ones((1, len(train)), dtype=bool), 0).member(0),
        train=train,
        holdout=others,
        fit=fit,
        extra={"public": near("public"), "test": near("test")},
        parts=(_mark(shape, planted=marked), Innocent(fit, others)),
    )


def _mark(shape: tuple[int, ...], *, planted: bool) -> OwnershipMark:
    """Labels of records far away, which a key draws; as many agreeing by chance is binomial."""

    def drawn(key: int) -> tuple[NDArray[Any], NDArray[Any]]:
        draws = np.random.default_rng(spawn(key, "far away"))
        x = FAR * draws.standard_normal((HIDDEN, *shape)).astype(np.float32)
        return x, draws.integers(0, CLASSES, HIDDEN)

    def records(x: NDArray[Any], y: NDArray[Any], key: int) -> tuple[NDArray[Any], NDArray[Any]]:
        one = np.eye(CLASSES, dtype=np.float32)
        if not planted:
            return x, one[y]
        further, labels = drawn(key)
        return np.concatenate([x, further]), one[np.concatenate([y, labels])]

    def test(claim: Claim, key: int) -> float:
        from scipy.stats import binom

        x, labels = drawn(key)
        hits = int((claim.suspect(x).argmax(1) == labels).sum())
        return float(binom.logsf(hits - 1, HIDDEN, 1 / CLASSES) / np.log(2))

    return OwnershipMark("far labels", test, records=records)
