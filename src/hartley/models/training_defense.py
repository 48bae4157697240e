"""Another way of training in the owner's hands: the step that training-time defences share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from hartley.core import Access, Bound, Modality, Model, Scene, TrainingPipeline
from hartley.core.errors import RunError
from hartley.kit.fleet import Objective, Privacy, Training
from hartley.kit.language import gpt
from hartley.kit.nets import dense
from hartley.models.pipeline import Pipeline
from hartley.models.text_pipeline import TextPipeline

if TYPE_CHECKING:
    from hartley.core.parts import Rng

LABELLED = (Modality.VISION, Modality.AUDIO, Modality.TABULAR)
"""What a ``Pipeline`` trains on: labelled records of numbers."""


@runtime_checkable
class PrivatePipeline(TrainingPipeline, Protocol):
    """One that can train by DP-SGD instead, the gradient of each record clipped by itself."""

    @property
    def epochs(self) -> int:
        """Passes over the records as it trains now; at none it takes no step."""

    def privately(self, privacy: Privacy) -> TrainingPipeline:
        """The same pipeline, which trains by DP-SGD from now on."""


def trained_for(scene: Scene, rng: Rng, name: str, objective: Objective) -> Scene:
    """Return the scene whose owner trains for another objective, by his own net and recipe.

    Args:
        scene: holds ``model``, ``train``, ``fit`` and the owner's ``Pipeline`` as ``training``.
        rng: settles the seed of the new deployed model.
        name: of the defense.
        objective: what is minimised.

    Raises:
        RunError: the owner's training takes no objective, or has another one already.
    """
    pipeline = own(scene, name)
    standing = pipeline.objective
    if standing is not None and type(standing) is not type(objective):
        raise RunError(
            f"{name}: the scene is trained for {type(standing).__name__} already, "
            "and a training has one objective"
        )
    return retrained(scene, rng, name, pipeline.with_(objective=objective))


def own(scene: Scene, name: str) -> Pipeline:
    """The owner's pipeline, where a defence can change it.

    Raises:
        RunError: he trains by something else than a ``Pipeline``, or by DP-SGD.
    """
    pipeline = scene.training
    if not isinstance(pipeline, Pipeline):
        raise RunError(
            f"{name} changes how a fleet of small nets is trained; "
            f"the scene {scene.name} is trained by {type(pipeline).__name__}"
        )
    if pipeline.private is not None:
        raise RunError(f"{name}: DP-SGD clips the plain cross-entropy, and no other loss")
    return pipeline


def retrained(
    scene: Scene,
    rng: Rng,
    name: str,
    pipeline: TrainingPipeline,
    *,
    bounds: tuple[Bound, ...] = (),
    facts: dict[str, float] | None = None,
) -> Scene:
    """Return the scene with ``pipeline`` in its owner's hands and a model trained by it.

    Victims are trained by it, and so are the references of an attacker who knows the defence.

    Args:
        scene: holds ``model``, ``train`` and ``fit``.
        rng: settles the seed of the new deployed model.
        name: of the defense.
        pipeline: how the owner trains from now on.
        bounds: what that proves.
        facts: what is worth reporting.

    Raises:
        RunError: another defence stands round the training and would be lost.
    """
    assert scene.model is not None and scene.train is not None
    others = [one.name for one in scene.defenses if one.name != name]
    standing = scene.training
    if others and scene.fit != (None if standing is None else standing.fit):
        raise RunError(
            f"{name} trains anew, and {', '.join(others)} would not stand round that: "
            f"put {name} first"
        )
    everyone = np.ones((1, len(scene.train)), dtype=bool)
    trained = pipeline.fit(scene.train, everyone, int(rng.integers(2**31))).member(0)
    return replace(
        scene,
        model=_in_its_place(trained, scene.model, pipeline),
        fit=pipeline.fit,
        training=pipeline,
        bounds=(*scene.bounds, *bounds),
        facts={**scene.facts, **(facts or {})},
    )


def trainable(wire: Scene, *, epochs: int) -> Scene:
    """A game's wire with what a training-time defence changes: a trainer of the owner's.

    Labelled records get a small net that learns them by heart, texts a small transformer; with no
    epochs either takes no step, so that on a dead wire it too answers from the record alone. Other
    wires stay as they are.

    Args:
        wire: holds a ``pool``, or ``train``.
        epochs: passes over the training records.
    """
    pool = wire.extra.get("pool", wire.train)
    if wire.model is None or pool is None:
        return wire
    owner: TrainingPipeline
    if wire.modality is Modality.LANGUAGE:
        room = 4 * pool.x.shape[1]
        owner = TextPipeline(
            gpt.Shape(wire.model.classes, width=16, layers=1, heads=2, context=room),
            gpt.Lesson(epochs=epochs, batch=64, rate=3e-2),
            cached=False,
        )
    elif pool.y is not None and wire.modality in LABELLED:
        owner = Pipeline(
            dense(pool.x.shape[1:], int(pool.y.max()) + 1, (64,)),
            Training(epochs=epochs, batch=16, lr=5e-3),
            modality=wire.modality,
            cached=False,
        )
    else:
        return wire
    return replace(wire, training=owner)


def _in_its_place(trained: Model, deployed: Model, pipeline: TrainingPipeline) -> Model:
    """The new model under the old one's name, with the training that an informed attacker knows."""
    offered = deployed.offers & Access.TRAIN
    return trained.with_(
        name=deployed.name,
        fit=pipeline.fit if offered else None,
        offers=(trained.offers & ~Access.TRAIN) | offered,
    )
