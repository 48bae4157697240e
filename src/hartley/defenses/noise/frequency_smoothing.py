"""Frequency smoothing: frequent values of an encrypted column get several ciphertexts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.games.decryption.columns import smoothed
from hartley.games.decryption.decryption import items_of
from hartley.kit.protection import Protection

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="cipher",
    protects=("decryption",),
    modalities=(Modality.TABULAR,),
    paper="doi:10.13154/tosc.v2018.i1.277-313",
    strongest={"copies": 2000},
    keeps_proof=True,
    requires=("planted_items",),
)
def frequency_smoothing(
    scene: Scene, rng: Rng, *, copies: Annotated[int, Range(1, 100_000)] = 64
) -> Scene:
    """Write each value of a column as one of several ciphertexts, more where it is frequent.

    A search for a value then asks for all of its ciphertexts.

    Args:
        copies: about how many ciphertexts there are in all; values share them by their frequency.
    """
    del rng
    items = items_of(scene)
    inner = scene.find(Protection) or items.usual
    return scene.with_part(smoothed(inner, items.public.x[:, 0], items.symbols, copies))
