"""Put a repair of trained models into the training of a scene's owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hartley.core import Scene
from hartley.kit.fleet.repair import Repair
from hartley.models.training_defense import owner_pipeline, retrained

if TYPE_CHECKING:
    from hartley.core.parts import Rng


def repaired(scene: Scene, rng: Rng, name: str, repair: Repair) -> Scene:
    """Return the scene whose owner repairs every model that they train.

    Args:
        scene: has ``model``, ``train``, ``fit`` and the owner's ``Pipeline`` as ``training``.
        rng: settles the seed of the new deployed model.
        name: of the defense.
        repair: what is done to the trained models.

    Raises:
        RunError: the owner does not train by a ``Pipeline``, or trains by DP-SGD.
    """
    pipeline = owner_pipeline(scene, name)
    return retrained(scene, rng, name, pipeline.with_(repairs=(*pipeline.repairs, repair)))
