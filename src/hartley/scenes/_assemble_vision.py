"""Build a vision scene: deal records into parts, train the model, plant canaries and marks."""

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
from hartley.kit.marker import DetectionService, Marker
from hartley.kit.vision import image, marks
from hartley.models.pipeline import OPEN, Pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARKED, BITS = 8, 32
"""Photographs and watermark bits that the utility of the watermark is measured on."""

SPARE, FEWEST, MOST, SHARE = 16, 4, 12, 100
"""Records kept out of the attacker's share; how many of them a victim gets as canaries, and of how
many training records one may be a canary. Where ranks have a long tail (clothes), four each left
two thirds of audits unsure whether the leak is twice a limit, and twelve leave a tenth
(``bench/verdicts.py``); but twelve among 450 digits crowd each other out, and two thirds of their
exposure are left."""


def deal(data: Data, sizes: Mapping[str, int], seed: int) -> dict[str, Data]:
    """Cut a data set at random into disjoint parts of given sizes; other records are not used.

    Raises:
        UsageError: the data set is too small.
    """
    order = np.random.default_rng(spawn(seed, "parts", data.name)).permutation(len(data))
    assert data.y is not None
    if sum(sizes.values()) > len(order):
        demand = " + ".join(f"{size} {name}" for name, size in sizes.items())
        raise UsageError(f"{data.name!r} must have {demand} records, got {len(order)}")
    parts, at = {}, 0
    for name, size in sizes.items():
        rows = order[at : at + size]
        parts[name] = replace(data, name=name, x=data.x[rows], y=data.y[rows])
        at += size
    return parts


def together(train: Data, holdout: Data) -> Data:
    """Return the population of the membership game: members and non-members as one data set."""
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
    """Train the deployed model on ``train`` and return the scene.

    Args:
        name: the scene's name.
        parts: ``train``, ``holdout``, ``public`` and ``test``.
        pipeline: how the owner trains.
        seed: of the deployed model.
        facts: values for the report besides accuracies and sizes.
    """
    train, holdout = parts["train"], parts["holdout"]
    # The attacker does not have the records that canaries are made of.
    public, spare = split_off(parts["public"], min(SPARE, len(parts["public"]) // 2))
    parts = {**parts, "public": public}
    model = pipeline.fit(train, np.ones((1, len(train)), dtype=bool), seed).member(0)
    canaries = min(MOST, max(FEWEST, len(train) // SHARE))
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
            "canaries": planted(spare, min(canaries, len(spare)), seed=seed),
        },
        training=pipeline,
        parts=(Identities(), FederatedStep(), DetectionService()),
        utility=utility,
        # Training a convolutional victim takes as long as training ten dense ones.
        settings=Settings(
            {"class_inversion": 48 if pipeline.net.kind == "dense" else 24, "memorization": 16},
            opens=OPEN & ~pipeline.offers,
            pictures=True,  # public data
            seed=seed,
        ),
        facts={
            "train accuracy": accuracy(model, train),
            "test accuracy": accuracy(model, parts["test"]),
            "parameters": pipeline.net.size,
            **sizes,
            **(facts or {}),
        },
    )


def split_off(data: Data, count: int) -> tuple[Data, Data]:
    """Return all records but the last ``count``, and the last ``count``."""
    cut = len(data) - count
    first, last = (
        replace(data, x=data.x[rows], y=None if data.y is None else data.y[rows])
        for rows in (slice(cut), slice(cut, None))
    )
    return first, last


def utility(scene: Scene) -> dict[str, Figure]:
    """Return the defended model's test accuracy, the watermark's PSNR and federated accuracy.

    The last is the accuracy of a net that is trained on the defended updates of clients.
    """
    correct = federated(scene)
    return {
        **accuracy_utility(scene),
        "mark_psnr": mark_psnr(scene.find(Marker) or marks.dwt_dct(), scene),
        **({} if correct is None else {"federated_accuracy": share_figure(correct)}),
    }


def accuracy_utility(scene: Scene) -> dict[str, Figure]:
    """Return the test accuracy of the defended classifier."""
    assert scene.model is not None
    return {"accuracy": share_figure(_correct(scene.model, scene.extra["test"]))}


def mark_psnr(marker: Marker, scene: Scene) -> Figure:
    """Return the mean PSNR, in dB, of watermarked photographs against their originals."""
    rng = np.random.default_rng(spawn(0, "mark utility"))
    photos = scene.extra["carriers"].x[:MARKED]
    decibels = [
        image.psnr(marker.embed(photo, rng.integers(0, 2, BITS), key, rng), photo)
        for key, photo in enumerate(photos)
    ]
    return mean_figure(decibels)


def accuracy(model: Model, data: Data) -> float:
    """Return the share of records whose label the model predicts."""
    return float(_correct(model, data).mean())


def _correct(model: Model, data: Data) -> NDArray[Any]:
    answers = np.asarray(model.query(data.x))
    predicted = answers if model.output is Output.LABELS else answers.argmax(1)
    return np.asarray(predicted == labels(data))


def labels(data: Data) -> NDArray[Any]:
    """Return the labels of labelled records."""
    assert data.y is not None, f"{data.name} has no labels"
    return data.y
