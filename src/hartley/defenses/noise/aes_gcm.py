"""AES-GCM: an authenticated cipher whose key nobody can search for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hartley.core import Modality, Scene, Term, defense
from hartley.games.decryption import ciphers

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="cipher",
    protects=("decryption",),
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.6028/NIST.SP.800-38D",
    strongest={"bits": 256},
    keeps_proof=True,
    requires=("corpus",),
)
def aes_gcm(scene: Scene, rng: Rng, *, bits: Literal[128, 192, 256] = 256) -> Scene:
    """Encrypt every message with AES-GCM under a fresh key and nonce.

    The key stream is the noise: for an attacker without the key all symbols are equally likely.

    Args:
        bits: length of the key.
    """
    del rng
    return scene.with_part(ciphers.aes_gcm(bits))
