"""Multiple keys: mark items under one of several keys, so that they do not average."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.games.watermark.marked_items import marker_of
from hartley.kit.marker import multi_keyed

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="marker",
    protects=("watermark",),
    modalities=(
        Modality.VISION,
        Modality.LANGUAGE,
        Modality.AUDIO,
        Modality.GRAPH,
        Modality.TABULAR,
        Modality.PAIRED,
    ),
    paper="arXiv:2402.19361",
    strongest={"keys": 16},
    keeps_proof=True,
    requires=("carriers",),
    covers_only={"watermark": ("vision",)},
)
def multi_key(scene: Scene, rng: Rng, *, keys: Annotated[int, Range(2, 64)] = 4) -> Scene:
    """Mark each item under one of several keys of its owner, and read it under all of them.

    What an attacker learns from further items of the owner (an average, a green list) is then
    spread over the keys. False alarms stay at their rate: p-values are multiplied by the number of
    keys. Marks whose key only turns bits hold 16 bits less, which say the key. It does not hinder
    forgery: an item that reads under any of the keys is attributed.

    Args:
        keys: of each owner.

    Raises:
        UsageError: the mark has no room for what says its key.
    """
    del rng
    return scene.with_part(multi_keyed(marker_of(scene), keys))
