"""What enters a scene: the loot of an attack, by a slot.

Poison enters the training records of every model that the scene trains; records join those that the
attacker owns; a model takes the place of the deployed one. What the engine knows nothing of, a part
of the scene may take: a part whose type has a method ``entered(slot, asset)`` returns itself with
the asset in it, or None where it is not for that part. Parts are asked first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import (
    Asset,
    Data,
    Ensemble,
    Fit,
    Loot,
    Model,
    Scene,
    Slot,
    TrainingPipeline,
)
from hartley.core.errors import UsageError
from hartley.kit.cache import digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAKES: Mapping[Slot, tuple[Loot, ...]] = {
    Slot.TRAIN: (Loot.POISON, Loot.RECORDS, Loot.TEXTS),
    Slot.PUBLIC: (Loot.RECORDS, Loot.POISON, Loot.TEXTS),
    Slot.SOURCE: (Loot.MODEL,),
    Slot.PROMPT: (Loot.TEXTS,),
    Slot.MEMORY: (Loot.TEXTS,),
}
"""The kinds of loot that each slot takes."""


def closed(scene: Scene, slot: Slot) -> str:
    """Return why nothing can enter a slot of a scene, as far as the scene alone shows it.

    An empty string: something can, though an asset may still be of another shape than the scene's
    records.
    """
    if any(hasattr(part, "entered") for part in scene.parts):
        return ""
    if slot in (Slot.PROMPT, Slot.MEMORY):
        return f"{scene.name} has no part that takes a {slot}"
    if slot is Slot.TRAIN and scene.fit is None:
        return f"{scene.name} comes without its training"
    return ""


def enter(scene: Scene, asset: Asset, slot: Slot) -> Scene:
    """Return the scene with an asset in one of its slots.

    Args:
        scene: of the next attack.
        asset: what the last attack brought home.
        slot: ``train`` adds labelled records to all training in the scene, the owner's and the
            attacker's; ``public`` adds records to those that the attacker owns; ``source`` puts a
            model in the place of the deployed one; ``prompt`` and ``memory`` are for a part of the
            scene, which may also take what is for another slot.

    Raises:
        UsageError: neither a part nor the engine takes the asset in that slot, or it is of another
            kind or shape.
    """
    if (changed := into_part(scene, asset, slot)) is not None:
        return changed
    if slot is Slot.SOURCE:
        if not isinstance(asset, Model):
            raise UsageError(f"source must be a model, got {asset.name!r}")
        return _lineage(replace(scene, model=asset), asset)
    if not isinstance(asset, Data):
        raise UsageError(f"{slot} must be records, got the model {asset.name!r}")
    if slot is Slot.PUBLIC:
        owned = scene.extra.get("public")
        public = asset if owned is None else together(owned, asset)
        return _lineage(replace(scene, extra={**scene.extra, "public": public}), asset)
    if slot is Slot.TRAIN:
        return _lineage(_poisoned(scene, asset), asset)
    raise UsageError(
        f"{asset.name!r} cannot enter the {slot} of {scene.name}: no part of it takes it"
    )


def into_part(scene: Scene, asset: Asset, slot: Slot) -> Scene | None:
    """Return the scene with an asset in the first of its parts that takes it, or None.

    The owner's training is asked last: it can take texts, which no record of the scene looks like.
    """
    for index, part in enumerate(scene.parts):
        method = getattr(part, "entered", None)
        if method is not None and (changed := method(slot, asset)) is not None:
            parts = (*scene.parts[:index], changed, *scene.parts[index + 1 :])
            return _lineage(replace(scene, parts=parts), asset)
    method = getattr(scene.training, "entered", None)
    if method is None or (training := method(slot, asset)) is None:
        return None
    return _lineage(_trained_by(scene, training), asset)


def _trained_by(scene: Scene, training: TrainingPipeline) -> Scene:
    """Return the scene with another training of its owner, and the model that it makes.

    Raises:
        UsageError: the scene's models are not what its training makes, but behind a defense of it.
    """
    if scene.training is None or scene.fit != scene.training.fit:
        raise UsageError(
            f"texts cannot enter the training of {scene.name} behind a defense that changes what "
            "it makes"
        )
    model = scene.model
    if model is not None and scene.train is not None:
        everyone = np.ones((1, len(scene.train)), dtype=bool)
        victim = training.fit(scene.train, everyone, scene.settings.seed).member(0)
        model = victim.with_(offers=model.offers)
    return replace(scene, training=training, fit=training.fit, model=model)


def _poisoned(scene: Scene, poison: Data) -> Scene:
    if scene.fit is None or poison.y is None:
        lack = "labels" if scene.fit is not None else "a pipeline to train"
        raise UsageError(f"poison needs {lack}; the scene is {scene.name}")

    def around(fit: Fit) -> Fit:
        def poisoned(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            everyone = np.ones((len(include), len(poison)), dtype=bool)
            return fit(together(data, poison), np.concatenate([include, everyone], 1), seed)

        return poisoned

    fit = around(scene.fit)
    model = scene.model
    if model is not None:
        model = model.with_(fit=None if model.fit is None else around(model.fit))
        if scene.train is not None and scene.train.y is not None:
            everyone = np.ones((1, len(scene.train)), dtype=bool)
            victim = fit(scene.train, everyone, scene.settings.seed)
            model = victim.member(0).with_(fit=model.fit, offers=model.offers)
    return replace(scene, fit=fit, model=model)


def _lineage(scene: Scene, asset: Asset) -> Scene:
    """The scene under a digest of its own, made from its old one and what entered it."""
    if isinstance(asset, Data):
        # What was asked for a loot is no part of it.
        facts = {name: value for name, value in asset.facts.items() if name != "queries"}
        content: Any = [asset.x, asset.y, facts]
    else:
        content = dict(asset.weights()) if asset.weights is not None else asset.name
    key = digest([scene.digest, list(asset.lineage), content])
    model = scene.model
    if model is not None:
        model = replace(model, lineage=(*model.lineage, *asset.lineage))
    return replace(scene, digest=key, model=model)


def together(data: Data, more: Data) -> Data:
    """Return records (n, …) and further ones (m, …) as one: (n + m, …).

    Labels are left out where either has none.

    Raises:
        UsageError: records of another shape.
    """
    if np.asarray(more.x).shape[1:] != np.asarray(data.x).shape[1:]:
        raise UsageError(
            f"records must have the shape {np.asarray(data.x).shape[1:]} of {data.name!r}, got "
            f"{np.asarray(more.x).shape[1:]}"
        )
    y = None if data.y is None or more.y is None else np.concatenate([data.y, more.y])
    kind = np.asarray(data.x).dtype
    # A text keeps its length: numpy would cut it to that of the longest one before.
    x = np.concatenate([data.x, more.x if kind.kind == "U" else np.asarray(more.x, dtype=kind)])
    return replace(data, x=x, y=y, lineage=(*data.lineage, *more.lineage))
