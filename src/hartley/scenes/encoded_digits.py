"""Encoded digits: a service that answers pictures of digits with their embeddings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import hartley
from hartley.core import Modality, Model, Range, Scene, Settings, Stronger, recipe
from hartley.data import vision as data
from hartley.games.extraction.encoder_extraction import EmbeddingEndpoint
from hartley.kit import kmeans
from hartley.kit.cache import digest
from hartley.kit.contrastive_encoder import Contrast
from hartley.kit.interval_values import Figure, share_figure
from hartley.models.contrastive import ContrastivePipeline
from hartley.scenes import _assemble_vision

if TYPE_CHECKING:
    from numpy.typing import NDArray

PUBLIC, TEST = 500, 397
"""The attacker's records, and those that utility is measured on; the other 900 are the pool."""

TASK = 3
"""Digits of the user with a small task: 0, 1 and 2."""


@recipe(modality=Modality.VISION, extras=("torch", "vision"))
def encoded_digits(
    *,
    records: Annotated[int, Range(256, 900)] = 900,
    width: Annotated[int, Range(2)] = 32,
    epochs: Annotated[int, Range(0)] = 80,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Handwritten digits, 8×8, and a contrastive encoder that was trained on half of them.

    Args:
        records: size of the pool; half of it trained the deployed encoder.
        width: numbers in an embedding.
        epochs: passes over the training records.
        seed: of the split and of the training.
    """
    half = records // 2
    parts = _assemble_vision.deal(
        data.digits(), {"train": half, "holdout": half, "public": PUBLIC, "test": TEST}, seed
    )
    owner = ContrastivePipeline(Modality.VISION, Contrast(width=width, epochs=epochs))
    train = parts["train"]
    model = owner.fit(train, np.ones((1, half), dtype=bool), seed).member(0)
    scene = Scene(
        name="encoded_digits",
        modality=Modality.VISION,
        digest=digest(
            {
                "version": hartley.__version__,
                "owner": owner.recipe,
                "parts": {name: [part.x, part.labels] for name, part in parts.items()},
                "seed": seed,
            }
        ),
        model=replace(model, name="encoded_digits"),
        train=train,
        holdout=parts["holdout"],
        fit=owner.fit,
        extra={
            "pool": _assemble_vision.together(train, parts["holdout"]),
            "public": parts["public"],
            "test": parts["test"],
        },
        parts=(EmbeddingEndpoint(),),
        utility=utility,
        settings=Settings(seed=seed),
        facts={**{f"{name} records": len(part) for name, part in parts.items()}, **model.facts},
    )
    return replace(scene, facts={**scene.facts, **utility(scene)})


def utility(scene: Scene) -> dict[str, Figure]:
    """Return how often users name a digit by the embeddings that their accounts received.

    Each user has half of the test records with their labels, and names each of the others by the
    nearest mean. The user of ``accuracy_small_task`` has the digits 0, 1 and 2 alone; the user of
    ``accuracy`` has all ten.
    """
    assert scene.model is not None
    test = scene.extra["test"]
    small = test.labels < TASK
    return {
        "accuracy": _user(scene.model, test.x, test.labels),
        "accuracy_small_task": _user(scene.model, test.x[small], test.labels[small]),
    }


def _user(model: Model, x: NDArray[Any], labels: NDArray[Any]) -> Figure:
    """Return the accuracy of one account at the service, which asks for all records at once."""
    query = model.query if model.session is None else model.session()("query", model.query)
    embeddings = np.asarray(query(x), dtype=np.float64)
    half = len(x) // 2
    classes = np.unique(labels)
    means = np.stack([embeddings[:half][labels[:half] == c].mean(0) for c in classes])
    named = classes[kmeans.distances(embeddings[half:], means).argmin(1)]
    return share_figure(named == labels[half:])
