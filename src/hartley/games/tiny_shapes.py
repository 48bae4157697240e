"""The shape of one record in live and dead scenes, where a modality's records are not flat rows."""

from __future__ import annotations

from collections.abc import Mapping

from hartley.core import Modality

SHAPES: Mapping[Modality, Mapping[str, tuple[int, ...]]] = {
    Modality.VISION: {
        "extraction": (1, 4, 4),
        "inversion": (1, 4, 4),
        "jailbreak": (1, 8, 8),
        "membership": (1, 4, 4),
        "memorization": (1, 5, 5),
        "poisoning": (1, 8, 8),
    },
    Modality.AUDIO: {
        "inversion": (1, 4, 4),
        "jailbreak": (1, 16, 4),
        "membership": (1, 4, 4),
        "memorization": (1, 12, 4),
        "poisoning": (1, 8, 8),
    },
    Modality.PAIRED: {"poisoning": (1, 8, 8)},
}
"""Shapes by modality and class of games; a modality without a row here has flat records."""


def tiny_shape(modality: Modality, cls: str, flat: int) -> tuple[int, ...]:
    """Return the shape of a record of a modality in the tiny scenes of a class.

    Args:
        modality: of the scene.
        cls: the class of games.
        flat: length of a record for which the table has no shape.
    """
    return SHAPES.get(modality, {}).get(cls, (flat,))
