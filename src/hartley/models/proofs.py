"""The defenses on record in a scene, and what was proved of its training."""

from __future__ import annotations

from dataclasses import replace

from hartley.core import Applied, Scene
from hartley.kit.cache import digest

PRIVATE = ("dp", "gdp", "zcdp")
"""Kinds of bounds that differential privacy proves."""


def recorded(scene: Scene, applied: Applied) -> Scene:
    """The scene with one more defence on record, and a digest of its own."""
    return replace(
        scene,
        digest=digest([scene.digest, applied.name, dict(applied.params)]),
        defenses=(*scene.defenses, applied),
    )


def unproved(scene: Scene) -> Scene:
    """The scene without what was proved of its training, which is not all that is there any more.

    Differential privacy is proved of one mechanism. Another training takes its place; records that
    others push out, and answers made with the training records at hand, stand beside it. What is
    proved of a release stays.
    """
    kept = (b for b in scene.bounds if b.kind not in PRIVATE or b.games == ("inversion",))
    return replace(scene, bounds=tuple(kept))
