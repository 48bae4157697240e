"""Retrieval: a dual encoder that finds the caption of a picture, on two frozen encoders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np

import hartley
from hartley.core import Access, Modality, Range, Scene, Settings, Stronger, recipe
from hartley.data import paired
from hartley.kit.cache import digest
from hartley.kit.infonce_towers import Towers
from hartley.kit.interval_values import Figure
from hartley.models.paired import CLOSED, DualEncoder
from hartley.scenes._captioned import Gallery, Source


@recipe(
    modality=Modality.PAIRED,
    packs=(
        "tuxpaint-stamps",
        "stamp-captions",
        "emoji",
        "emoji-twitter",
        "emoji-captions",
        "minilm",
        "efficientnet-lite0",
    ),
    extras=("language", "vision"),
)
def retrieval(
    *,
    pairs: str = "",
    width: Annotated[int, Range(1)] = 512,
    epochs: Annotated[int, Range(0)] = 60,
    batch: Annotated[int, Range(2)] = 512,
    dropout: Annotated[float, Range(0, 1, open_high=True)] = 0.5,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Stamps and emoji of two vendors with captions: which caption belongs to a picture?

    Frozen EfficientNet-Lite0 and MiniLM, with projections trained by InfoNCE. A caption that is
    held out is so with all of its pictures, all other captions that these pictures also have, and
    their twins: captions that differ in words for sex, age or number only, or have the same tags.
    Attackers get gradients: both encoders are public, and what an owner trains on them is small.

    Args:
        pairs: a CSV file of your own pictures, with the columns picture (a file, relative to the
            list) and caption; empty for the stamps and emoji.
        width: dimension of the shared space.
        epochs: passes over the training pairs.
        batch: pairs per step.
        dropout: share of a picture's features that a step leaves out.
        seed: of the split and of the training.
    """
    source = Source(paired.own(Path(pairs)) if pairs else paired.things())
    parts = source.dealt(seed)
    pipeline = DualEncoder(
        Towers(
            source.split, width, epochs, min(batch, len(parts["train"])), lr=2e-3, dropout=dropout
        ),
        offers=CLOSED | Access.GRADIENTS,
    )
    records = {name: source.records(name, rows) for name, rows in parts.items()}
    train = records["train"]
    model = pipeline.fit(train, np.ones((1, len(train)), dtype=bool), seed).member(0)
    model = replace(model, name="retrieval", reads=train.x.shape[1])
    encoders = source.encoders(parts)
    gallery = source.gallery(records["every test picture"], parts["every test picture"])
    return Scene(
        name="retrieval",
        modality=Modality.PAIRED,
        digest=digest(
            {
                "version": hartley.__version__,
                "pipeline": pipeline.recipe,
                "parts": {name: data.x for name, data in records.items()},
                "seed": seed,
            }
        ),
        model=model,
        train=train,
        holdout=records["clean"],
        fit=pipeline.fit,
        extra={"test": records["test"], "public": records["public"]},
        training=pipeline,
        parts=(encoders, gallery),
        utility=utility,
        settings=Settings(seed=seed),
        facts={
            **{f"test {k}": float(v) for k, v in gallery.recall(model).items()},
            **{f"{name} records": len(data) for name, data in records.items()},
            "test captions": len(records["test"]),
            **model.facts,
        },
    )


def utility(scene: Scene) -> dict[str, Figure]:
    """Return how often a held-out picture finds its caption among all held-out captions."""
    assert scene.model is not None
    return scene.part(Gallery).recall(scene.model)
