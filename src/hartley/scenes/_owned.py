"""A scene whose owner marks a classifier, to say later whether a suspect is a copy of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import hartley
from hartley.core import Data, Scene, Settings
from hartley.games.extraction.ownership import Innocent, marked, trained
from hartley.kit.cache import digest
from hartley.kit.ownership.dawn import dawn
from hartley.kit.ownership.entangled import entangled
from hartley.kit.ownership.radioactive import radioactive
from hartley.scenes._assemble_vision import accuracy, accuracy_utility, labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hartley.kit.ownership.ownership_mark import OwnershipMark
    from hartley.models.pipeline import Pipeline

Mark = Literal["dawn", "entangled", "radioactive"]
"""How the owner marks."""

COMPONENTS = 16
"""Of the feature space of radioactive data, at most."""

DEPLOYED = 7
"""Key of the deployed model, which utility is measured on."""


def mark_of(name: Mark, train: Data, classes: int, strength: float) -> OwnershipMark:
    """Return the mark of an owner at a strength: 0 for the scheme's usual one."""
    if name == "dawn":
        return dawn(strength or 0.03)
    if name == "entangled":
        return entangled(train.x, classes, share=0.1, size=6, strength=strength or 1.0)
    return radioactive(train.x, classes, share=0.5, strength=strength or 1.0, components=COMPONENTS)


def scene_of(
    name: str,
    parts: Mapping[str, Data],
    pipeline: Pipeline,
    mark: OwnershipMark,
    *,
    seed: int,
) -> Scene:
    """Return the scene, whose deployed model is marked under a key of its own.

    Args:
        name: of the scene.
        parts: ``train``, ``holdout`` (of people who copy nothing), ``public`` (the thief's) and
            ``test``.
        pipeline: how everybody trains; the owner for the mark's objective, where it has one.
        mark: of the owner.
        seed: of the deployed model.
    """
    train, holdout = parts["train"], parts["holdout"]
    owner = pipeline.with_(objective=mark.objective) if mark.objective else pipeline
    everyone = np.ones((1, len(train)), dtype=bool)
    plain = pipeline.fit(train, everyone, seed).member(0)
    recipe: dict[str, Any] = {
        "version": hartley.__version__,
        "pipeline": owner.recipe,
        "mark": [mark.name, *mark.numbers],
        "parts": {part: [data.x, labels(data)] for part, data in parts.items()},
        "seed": seed,
    }
    scene = Scene(
        name=name,
        modality=pipeline.modality,
        digest=digest(recipe),
        model=replace(plain, name=name),
        train=train,
        holdout=holdout,
        fit=owner.fit,
        extra={"test": parts["test"], "public": parts["public"]},
        parts=(mark, Innocent(pipeline.fit, holdout)),
        utility=accuracy_utility,
        settings=Settings(seed=seed),
    )
    (honest,) = trained(scene, mark, [DEPLOYED], seed)
    deployed = replace(marked(honest, mark, DEPLOYED), name=name)
    return replace(
        scene,
        model=deployed,
        facts={
            "mark": mark.name,
            "test accuracy": accuracy(deployed, parts["test"]),
            "test accuracy without the mark": accuracy(plain, parts["test"]),
            "parameters": pipeline.net.size,
            **{f"{part} records": len(data) for part, data in parts.items()},
        },
    )
