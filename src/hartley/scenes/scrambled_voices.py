"""Scrambled voices: spoken letters in twenty languages whose bands changed places; needs a pack."""

from __future__ import annotations

from typing import Annotated

import hartley
from hartley.core import Modality, Range, Scene, recipe
from hartley.games.decryption import voices
from hartley.kit.cache import digest


@recipe(modality=Modality.AUDIO, packs=("klettres",), extras=("torch",))
def scrambled_voices(*, candidates: Annotated[int, Range(2, 64)] = 16) -> Scene:
    """Albums of a second of speech each, scrambled by a permutation of 16 bands, half inverted.

    Args:
        candidates: of which a secret sound is one.
    """
    items = voices.of_recordings(candidates)
    return Scene(
        name="scrambled_voices",
        modality=Modality.AUDIO,
        digest=digest(
            {"version": hartley.__version__, "public": items.public.x, "candidates": candidates}
        ),
        parts=(items, items.usual),
        facts={"public sounds": len(items.public)},
    )
