"""Re-keying: encrypt fewer letters, records or pictures under each key than determine the key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.games.decryption.decryption import items_of, usual_stretch
from hartley.kit.protection import Protection, rekeyed

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="cipher",
    protects=("decryption",),
    modalities=(Modality.LANGUAGE, Modality.TABULAR, Modality.VISION, Modality.AUDIO),
    paper="doi:10.1002/j.1538-7305.1949.tb00928.x",
    strongest={"every": 1},
    keeps_proof=True,
    requires=("planted_items",),
)
def rekeying(scene: Scene, rng: Rng, *, every: Annotated[int, Range(0)] = 0) -> Scene:
    """Change the key after a number of letters, records or pictures, below the unicity distance.

    Args:
        every: letters, records, pictures or sounds under one key; 28 letters determine the key of a
            simple substitution, and 1 gives every record of a column a key of its own. 0 takes 25
            letters or records, or 1 picture or sound.
    """
    del rng
    inner = scene.find(Protection) or items_of(scene).usual
    return scene.with_part(rekeyed(inner, every or usual_stretch(scene.modality)))
