"""Glosses: a small net that classifies the subject of a dictionary's definitions."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

import hartley
from hartley.core import Data, Modality, Range, Scene, Settings, Stronger, recipe
from hartley.data.glosses import definitions
from hartley.kit.cache import digest
from hartley.kit.fleet import Training
from hartley.kit.language.bags import Bags
from hartley.kit.language.word_model import PublicTexts
from hartley.kit.nets import dense
from hartley.models.pipeline import Pipeline
from hartley.scenes import _assemble_vision

PUBLIC, TEST = 2000, 800
"""The attacker's definitions, and those that answers are judged on."""

POOL = 1600
"""Definitions of the pool that extraction divides into regions."""


@recipe(modality=Modality.LANGUAGE, packs=("wordnet",), extras=("torch",))
def glosses(
    *,
    records: Annotated[int, Range(16, 8000)] = 4000,
    epochs: Annotated[int, Range(0)] = 8,
    batch: Annotated[int, Range(1)] = 32,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
    workers: Annotated[int, Range(1), Stronger.NEITHER] = 1,
) -> Scene:
    """Definitions of nouns from eight subjects, and a net that was trained on half of them.

    The net reads which words and which pairs of neighbours a definition has.

    Args:
        records: size of the pool; half of it trained the deployed model.
        epochs: passes over the training definitions.
        batch: definitions per step.
        seed: of the split and of the training.
        workers: processes for training; the result does not depend on their number.
    """
    half, bags = records // 2, Bags()
    labelled, others = definitions()
    sizes = {"train": half, "holdout": half, "public": PUBLIC, "test": TEST}
    parts = _assemble_vision.deal(labelled, sizes, seed)
    pipeline = Pipeline(
        dense((bags.width,), len(labelled.facts["names"]), (32,)),
        Training(epochs=epochs, batch=batch, lr=3e-3, anneal=True),
        modality=Modality.LANGUAGE,
        workers=workers,
        bags=bags,
    )
    model = pipeline.fit(parts["train"], np.ones((1, half), dtype=bool), seed).member(0)
    return Scene(
        name="glosses",
        modality=Modality.LANGUAGE,
        digest=digest(
            {
                "version": hartley.__version__,
                "pipeline": pipeline.recipe,
                "parts": {name: [data.x, data.labels] for name, data in parts.items()},
                "seed": seed,
            }
        ),
        model=model.with_(name="glosses"),
        train=parts["train"],
        holdout=parts["holdout"],
        fit=pipeline.fit,
        extra={
            "public": parts["public"],
            "test": parts["test"],
            "pool": _pool(parts["train"], parts["holdout"]),
        },
        training=pipeline,
        parts=(PublicTexts(others),),
        utility=_assemble_vision.accuracy_utility,
        settings=Settings(seed=seed),
        facts={
            "train accuracy": _assemble_vision.accuracy(model, parts["train"]),
            "test accuracy": _assemble_vision.accuracy(model, parts["test"]),
            "parameters": pipeline.net.size,
            **{f"{name} records": len(data) for name, data in parts.items()},
        },
    )


def _pool(train: Data, holdout: Data) -> Data:
    """Return the definitions that victims of extraction learn: a row of each is 6,144 numbers."""
    pool = _assemble_vision.together(train, holdout)
    rows = np.random.default_rng(0).permutation(len(pool))[:POOL]
    return replace(pool, x=pool.x[rows], y=pool.labels[rows])
