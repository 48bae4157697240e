"""Encrypted pictures: albums of photographs that a net could still learn from."""

from __future__ import annotations

from typing import Annotated, Literal

import hartley
from hartley.core import Modality, Range, Scene, recipe
from hartley.games.decryption import albums, picture_ciphers
from hartley.kit.cache import digest

CIPHERS = {
    "block_scramble": picture_ciphers.block_scramble,
    "inverted_blocks": picture_ciphers.inverted_blocks,
    "learnable": picture_ciphers.learnable,
    "extended_learnable": picture_ciphers.extended_learnable,
}


@recipe(modality=Modality.VISION, extras=("vision",))
def encrypted_pictures(
    *,
    cipher: Literal[
        "block_scramble", "inverted_blocks", "learnable", "extended_learnable"
    ] = "inverted_blocks",
    side: Literal[32, 64, 128] = 64,
    candidates: Annotated[int, Range(2, 64)] = 16,
) -> Scene:
    """Albums of photographs under one key each, by one of four ciphers that keep them learnable.

    Each picture is one of several candidates. The attacker had other pictures encrypted under the
    same key.

    Args:
        cipher: of the owner: blocks change places, also with half of them as negatives (the block
            steps of encryption-then-compression), or bits change places within blocks (learnable
            encryption), or both.
        side: height and width of a picture.
        candidates: of which a secret picture is one.
    """
    items = albums.of_photographs(side, candidates)
    return Scene(
        name="encrypted_pictures",
        modality=Modality.VISION,
        digest=digest(
            {
                "version": hartley.__version__,
                "public": items.public.x,
                "cipher": [cipher, side, candidates],
            }
        ),
        parts=(items, CIPHERS[cipher]()),
        facts={"cipher": cipher, "public pictures": len(items.public)},
    )
