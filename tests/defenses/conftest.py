"""Scenes for the defences that stand in them: digits, built once, and a tiny one for every test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hartley.core import Data, Modality, Scene
from hartley.data import vision
from hartley.kit.fleet import Training
from hartley.kit.nets import Net, conv, dense
from hartley.models.pipeline import OPEN, Pipeline
from hartley.scenes.digits import digits as recipe


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARTLEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield recipe(epochs=40)


@pytest.fixture(scope="session")
def tiny() -> Any:
    """A tiny scene with an owner's pipeline, quick enough to train in every test of a shield."""
    return SimpleNamespace(
        DENSE=DENSE,
        CONV=CONV,
        rng=rng,
        part=part,
        scene=scene,
        victims=victims,
        noisy=noisy,
        told_apart=told_apart,
        losses=losses,
    )


DENSE = dense((1, 8, 8), 10, (32,))
CONV = conv((1, 8, 8), 10, channels=(4,), hidden=(16,))


def rng(seed: int = 0) -> Any:
    return np.random.default_rng(seed)


def part(name: str, first: int, last: int, modality: Modality = Modality.VISION) -> Data:
    data = vision.digits()
    assert data.y is not None
    return Data(name, modality, data.x[first:last], data.y[first:last])


def scene(
    net: Net = DENSE, *, epochs: int = 40, n: int = 100, modality: Modality = Modality.VISION
) -> Scene:
    """``n`` training records, as many held out, and the pool of both."""
    pipeline = Pipeline(
        net, Training(epochs=epochs, batch=16, lr=3e-3), modality, offers=OPEN, cached=False
    )
    train = part("train", 0, n, modality)
    model = pipeline.fit(train, np.ones((1, n), bool), 0).member(0)
    return Scene(
        "tiny",
        modality,
        digest="tiny",
        model=model,
        train=train,
        holdout=part("holdout", n, 2 * n, modality),
        fit=pipeline.fit,
        extra={
            "pool": part("pool", 0, 2 * n, modality),
            "test": part("test", 400, 600, modality),
        },
        training=pipeline,
    )


def victims(of: Scene, count: int = 4) -> tuple[Any, Any, Data]:
    """An ensemble trained by the owner's pipeline on halves of the pool: (it, include, pool)."""
    pool = of.extra["pool"]
    include = rng(7).random((count, len(pool))) < 0.5
    assert of.fit is not None
    return of.fit(pool, include, 3), include, pool


def noisy(of: Scene, seed: int = 5) -> Scene:
    """The scene with a pool whose labels are dice: what is learnt of them is learnt by heart."""
    pool = of.extra["pool"]
    drawn = replace(pool, y=rng(seed).integers(0, 10, len(pool)))
    return replace(of, extra={**of.extra, "pool": drawn})


def told_apart(of: Scene) -> float:
    """Mean area under the ROC of a loss threshold over a few victims, on halves of the pool."""
    made, include, pool = victims(of)
    loss = losses(made.query(pool.x), pool.y)
    found = [(each[~row][:, None] > each[row]).mean()
             for each, row in zip(loss, include, strict=True)]  # fmt: skip
    return float(np.mean(found))


def losses(probabilities: Any, y: Any) -> Any:
    """Cross-entropies (…, n) in nats."""
    return -np.log(np.maximum(probabilities[..., np.arange(len(y)), y], 1e-12))
