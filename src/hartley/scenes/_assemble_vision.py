"""What the vision scenes share: dealing records into parts, and putting a scene together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import hartley
from hartley.core import Data, Model, Output, Scene, Settings, spawn
from hartley.core.errors import UsageError
from hartley.data.photos import carriers
from hartley.games.inversion.class_inversion import Identities
from hartley.games.inversion.gradient_inversion import FederatedStep, federated
from hartley.games.memorization.canaries import planted
from hartley.kit.cache import digest
from hartley.kit.interval_values import Figure, mean_figure, share_figure
from hartley.kit.vision import image, marks
from hartley.models.pipeline import OPEN, Pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARKED, BITS = 8, 32
"""Photographs and bits of the mark that its utility is read from."""

CANARIES = 16
"""Records that the memorization game may plant, made of the attacker's own."""


def deal(data: Data, sizes: Mapping[str, int], seed: int) -> dict[str, Data]:
    """Cut a data set into disjoint parts of given sizes, at random; what is left is not used.

    Raises:
        UsageError: the data set is too small.
    """
    order = np.random.default_rng(spawn(seed, "parts", data.name)).permutation(len(data))
    assert data.y is not None
    if sum(sizes.values()) > len(order):
        asked = " + ".join(f"{size} {name}" for name, size in sizes.items())
        raise UsageError(f"{data.name!r} must hold {asked} records, got {len(order)}")
    parts, at = {}, 0
    for name, size in sizes.items():
        rows = order[at : at + size]
        parts[name] = replace(data, name=name, x=data.x[rows], y=data.y[rows])
        at += size
    return parts


def together(train: Data, holdout: Data) -> Data:
    """The auditor's population for membership: labelled records that a coin dealt, as one."""
    return replace(
        train,
        name="pool",
        x=np.concatenate([train.x, holdout.x]),
        y=np.concatenate([labels(train), labels(holdout)]),
    )


def assemble(
    name: str,
    parts: Mapping[str, Data],
    pipeline: Pipeline,
    *,
    seed: int,
    facts: Mapping[str, Any] | None = None,
) -> Scene:
    """Train the deployed model on ``train`` and put the scene together.

    Args:
        name: the scene's name.
        parts: ``train``, ``holdout``, ``public`` and ``test``.
        pipeline: how the owner trains.
        seed: of the deployed model.
        facts: what is worth reporting, besides accuracies and sizes.
    """
    train, holdout = parts["train"], parts["holdout"]
    # What canaries are written on is nobody's else: the attacker's records do not hold it.
    public, spare = apart(parts["public"], min(CANARIES, len(parts["public"]) // 2))
    parts = {**parts, "public": public}
    model = pipeline.fit(train, np.ones((1, len(train)), dtype=bool), seed).member(0)
    sizes = {f"{part} records": len(data) for part, data in parts.items()}
    return Scene(
        name=name,
        modality=pipeline.modality,
        digest=digest(
            {
                "version": hartley.__version__,
                "pipeline": pipeline.recipe,
                "offers": list((pipeline.offers & OPEN).words),
                "parts": {part: [data.x, labels(data)] for part, data in parts.items()},
                "seed": seed,
            }
        ),
        model=replace(model, name=name),
        train=train,
        holdout=holdout,
        fit=pipeline.fit,
        extra={
            "pool": together(train, holdout),
            "test": parts["test"],
            "public": parts["public"],
            "carriers": carriers(),
            "canaries": planted(spare, len(spare), seed=seed),
        },
        training=pipeline,
        parts=(Identities(), FederatedStep()),
        utility=utility,
        # A convolutional victim costs as much as ten dense ones.
        settings=Settings({"class_inversion": 24 if pipeline.net.kind == "dense" else 12}),
        facts={
            "train accuracy": accuracy(model, train),
            "test accuracy": accuracy(model, parts["test"]),
            "parameters": pipeline.net.size,
            **sizes,
            **(facts or {}),
        },
    )


def apart(data: Data, count: int) -> tuple[Data, Data]:
    """All records but the last ``count``, and those."""
    cut = len(data) - count
    rest, last = (
        replace(data, x=data.x[rows], y=None if data.y is None else data.y[rows])
        for rows in (slice(cut), slice(cut, None))
    )
    return rest, last


def utility(scene: Scene) -> dict[str, Figure]:
    """What the owner gets: the model's test accuracy as it is defended now, and the mark's PSNR.

    Besides the accuracy of a net that is trained on the updates which clients send.
    """
    trained = federated(scene)
    return {
        **answered(scene),
        "mark_psnr": mark_psnr(scene.find(marks.Marker) or marks.dwt_dct(), scene),
        **({} if trained is None else {"federated_accuracy": share_figure(trained)}),
    }


def answered(scene: Scene) -> dict[str, Figure]:
    """What the owner of a classifier gets: its test accuracy as it is defended now."""
    assert scene.model is not None
    return {"accuracy": share_figure(_right(scene.model, scene.extra["test"]))}


def mark_psnr(marker: marks.Marker, scene: Scene) -> Figure:
    """How close marked photographs are to their originals: mean dB over a few of them."""
    rng = np.random.default_rng(spawn(0, "mark utility"))
    photos = scene.extra["carriers"].x[:MARKED]
    gaps = [
        image.psnr(marker.embed(photo, rng.integers(0, 2, BITS), key), photo)
        for key, photo in enumerate(photos)
    ]
    return mean_figure(gaps)


def accuracy(model: Model, data: Data) -> float:
    """Share of records that the model labels as ``data`` does."""
    return float(_right(model, data).mean())


def _right(model: Model, data: Data) -> NDArray[Any]:
    answers = np.asarray(model.query(data.x))
    said = answers if model.output is Output.LABELS else answers.argmax(1)
    return np.asarray(said == labels(data))


def labels(data: Data) -> NDArray[Any]:
    """The labels of labelled records."""
    assert data.y is not None, f"{data.name} carries no labels"
    return data.y
