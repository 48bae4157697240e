"""Re-keying: encrypt fewer letters under each key than determine the key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.games.decryption import ciphers

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="cipher",
    protects=("decryption",),
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.1002/j.1538-7305.1949.tb00928.x",
    strongest={"every": 10},
    keeps_proof=True,
    requires=("corpus",),
)
def rekeying(scene: Scene, rng: Rng, *, every: Annotated[int, Range(1)] = 25) -> Scene:
    """Change the cipher's key after a number of letters below the unicity distance.

    Args:
        every: letters under one key; 28 letters determine the key of a simple substitution.
    """
    del rng
    inner = scene.find(ciphers.Cipher) or ciphers.substitution()
    return scene.with_part(ciphers.rekeyed(inner, every))
