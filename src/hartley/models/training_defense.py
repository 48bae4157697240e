"""Replace the training of a scene's owner: the step that training-time defenses share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from hartley.core import Access, Bound, Form, Modality, Model, Scene, TrainingPipeline
from hartley.core.errors import RunError
from hartley.kit.fleet import Objective, Privacy, Training
from hartley.kit.language import gpt
from hartley.kit.language.bags import Bags
from hartley.kit.nets import dense
from hartley.models.pipeline import Pipeline
from hartley.models.text_pipeline import TextPipeline

if TYPE_CHECKING:
    from hartley.core.parts import Rng

LABELLED = (Modality.VISION, Modality.AUDIO, Modality.TABULAR)
"""What a ``Pipeline`` trains on: labelled records of numbers."""


@runtime_checkable
class PrivatePipeline(TrainingPipeline, Protocol):
    """A pipeline that can train by DP-SGD, with the gradient of each record clipped."""

    @property
    def epochs(self) -> int:
        """Passes over the records in the current training; with 0 the weights stay as drawn."""

    def privately(self, privacy: Privacy) -> TrainingPipeline:
        """Return the same pipeline, training by DP-SGD."""


def trained_for(scene: Scene, rng: Rng, name: str, objective: Objective) -> Scene:
    """Return the scene whose owner trains for another objective, with the same net and recipe.

    Args:
        scene: holds ``model``, ``train``, ``fit`` and the owner's ``Pipeline`` as ``training``.
        rng: settles the seed of the new deployed model.
        name: of the defense.
        objective: what is minimised.

    Raises:
        RunError: the owner's training takes no objective, or has another one already.
    """
    pipeline = owner_pipeline(scene, name)
    current = pipeline.objective
    if current is not None and type(current) is not type(objective):
        raise RunError(
            f"{name}: the scene is trained for {type(current).__name__} already, "
            "and training has only one objective"
        )
    return retrained(scene, rng, name, pipeline.with_(objective=objective))


def owner_pipeline(scene: Scene, name: str) -> Pipeline:
    """Return the owner's pipeline, which a defense can change.

    Raises:
        RunError: the owner does not train by a ``Pipeline``, or trains by DP-SGD.
    """
    pipeline = scene.training
    if not isinstance(pipeline, Pipeline):
        raise RunError(
            f"the training of scene {scene.name!r} must be a Pipeline for {name}, got "
            f"{type(pipeline).__name__}"
        )
    if pipeline.private is not None:
        raise RunError(f"{name}: DP-SGD clips the plain cross-entropy only")
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

    It trains the victims, and the reference models of an attacker who knows the defense.

    Args:
        scene: holds ``model`` and ``train``. One without ``fit`` has one deployed model and trains
            no victims; so has the one that is returned.
        rng: settles the seed of the new deployed model.
        name: of the defense.
        pipeline: how the owner trains from now on.
        bounds: bounds that the new training proves.
        facts: values for the report.

    Raises:
        RunError: another defense changed the training and would be lost.
    """
    assert scene.model is not None and scene.train is not None
    others = [other.name for other in scene.defenses if other.name != name]
    training = scene.training
    if others and scene.fit != (None if training is None else training.fit):
        raise RunError(f"{name} retrains, which would drop {', '.join(others)}: put {name} first")
    everyone = np.ones((1, len(scene.train)), dtype=bool)
    trained = pipeline.fit(scene.train, everyone, int(rng.integers(2**31))).member(0)
    return replace(
        scene,
        model=_in_its_place(trained, scene.model, pipeline),
        fit=None if scene.fit is None else pipeline.fit,
        training=pipeline,
        bounds=(*scene.bounds, *bounds),
        facts={**scene.facts, **(facts or {})},
    )


def trainable(scene: Scene, *, epochs: int) -> Scene:
    """Return a game's test scene with a trainer that a training-time defense can change.

    Labelled records get a small net that memorises them, tokens a small transformer; with 0
    epochs neither is trained, so that in a dead scene answers depend on the record alone. Other
    scenes are returned unchanged.

    Args:
        scene: has a ``pool``, or ``train``.
        epochs: passes over the training records.
    """
    pool = scene.extra.get("pool", scene.train)
    if scene.model is None or pool is None:
        return scene
    owner: TrainingPipeline
    if pool.form is Form.TEXT and pool.y is not None:
        bags = Bags(512, 512)
        owner = Pipeline(
            dense((bags.width,), int(pool.y.max()) + 1, (32,)),
            Training(epochs=epochs // 4, batch=16, lr=5e-3),
            modality=scene.modality,
            cached=False,
            bags=bags,
        )
    elif scene.modality is Modality.LANGUAGE:
        room = 4 * pool.x.shape[1]
        owner = TextPipeline(
            gpt.Shape(scene.model.classes, width=16, layers=1, heads=2, context=room),
            gpt.Lesson(epochs=epochs, batch=64, rate=3e-2),
            cached=False,
        )
    elif pool.y is not None and scene.modality in LABELLED:
        owner = Pipeline(
            dense(pool.x.shape[1:], int(pool.y.max()) + 1, (64,)),
            Training(epochs=epochs, batch=16, lr=5e-3),
            modality=scene.modality,
            cached=False,
        )
    else:
        return scene
    return replace(scene, training=owner)


def _in_its_place(trained: Model, deployed: Model, pipeline: TrainingPipeline) -> Model:
    """The new model under the old one's name, with the training that an informed attacker knows."""
    training_offer = deployed.offers & Access.TRAIN
    return trained.with_(
        name=deployed.name,
        fit=pipeline.fit if training_offer else None,
        offers=(trained.offers & ~Access.TRAIN) | training_offer,
    )
