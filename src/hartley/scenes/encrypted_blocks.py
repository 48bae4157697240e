"""Encrypted blocks: pairs of blocks under Speck32/64 with some of its rounds."""

from __future__ import annotations

from typing import Annotated

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.games.decryption.block_distinguishing import ReducedSpeck


@recipe(modality=Modality.LANGUAGE)
def encrypted_blocks(*, rounds_of_cipher: Annotated[int, Range(5, 22), Stronger.LESS] = 6) -> Scene:
    """Pairs of blocks of 32 bits under Speck32/64, whose plaintexts differ as agreed or do not.

    Args:
        rounds_of_cipher: of the 22 that the cipher has.
    """
    return Scene(
        name="encrypted_blocks",
        modality=Modality.LANGUAGE,
        parts=(ReducedSpeck(rounds_of_cipher),),
        facts={"rounds of the cipher": rounds_of_cipher},
    )
