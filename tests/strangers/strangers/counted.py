"""A model that writes down every record it is asked about, and whose answers are never alike."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from hartley.core import Data, Modality, Model, Scene, recipe

WIDTH, CLASSES, RECORDS = 4, 3, 100


@recipe(modality=Modality.TABULAR)
def counted(*, identity: str = "", jitter: float = 1e-6, steady: bool = False) -> Scene:
    """A model of one's own behind a counter: one line in $COUNTED for each question.

    Args:
        identity: what the model declares to be; empty declares nothing.
        jitter: how far the answers to one question differ.
        steady: declare that the same question gets the same answer.
    """
    rng = np.random.default_rng(5)
    mix = rng.normal(size=(WIDTH, CLASSES))

    def records(name: str) -> Data:
        x = rng.normal(size=(RECORDS, WIDTH)).astype(np.float32)
        return Data(name, Modality.TABULAR, x, rng.integers(0, CLASSES, RECORDS))

    def query(x):
        with Path(os.environ["COUNTED"]).open("a") as stream:
            stream.write(f"{os.getpid()} {len(x)}\n")
        noise = jitter * np.random.default_rng().normal(size=(len(x), CLASSES))
        scores = np.exp(np.asarray(x, np.float64) @ mix + noise)
        return scores / scores.sum(1, keepdims=True)

    model = Model(
        "counting",
        Modality.TABULAR,
        query,
        classes=CLASSES,
        identity=identity,
        deterministic=steady,
    )
    train, holdout = records("train"), records("holdout")
    return Scene("counted", Modality.TABULAR, model=model, train=train, holdout=holdout)
