"""AES-GCM: an authenticated cipher whose key nobody can search for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hartley.core import Modality, Scene, Term, defense
from hartley.kit import protection

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="cipher",
    protects=("decryption",),
    modalities=(Modality.LANGUAGE, Modality.TABULAR, Modality.VISION, Modality.AUDIO),
    paper="doi:10.6028/NIST.SP.800-38D",
    strongest={"bits": 256},
    keeps_proof=True,
    requires=("planted_items",),
)
def aes_gcm(scene: Scene, rng: Rng, *, bits: Literal[128, 192, 256] = 256) -> Scene:
    """Encrypt every item with AES-GCM under a fresh key and nonce.

    The key stream is the noise: for an attacker without the key all symbols are equally likely. A
    column can then neither be searched nor sorted without decrypting it.

    Args:
        bits: length of the key.
    """
    del rng
    return scene.with_part(protection.aes_gcm(scene.modality, bits))
