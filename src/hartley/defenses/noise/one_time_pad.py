"""One-time pad: as much uniform key as there is to hide, used once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hartley.core import Modality, Scene, Term, defense
from hartley.kit import protection

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="cipher",
    protects=("decryption",),
    modalities=(Modality.LANGUAGE, Modality.TABULAR, Modality.VISION, Modality.AUDIO),
    paper="doi:10.1002/j.1538-7305.1949.tb00928.x",
    strongest={},
    keeps_proof=True,
    requires=("planted_items",),
)
def one_time_pad(scene: Scene, rng: Rng) -> Scene:
    """Add a fresh uniform key as long as the item: perfect secrecy, whatever is computed."""
    del rng
    return scene.with_part(protection.one_time_pad(scene.modality))
