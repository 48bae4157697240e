"""Jigsaw: put the blocks of a picture back by their borders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.data_to_data.decryption._shared.jigsaw_solver import solved
from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
from hartley.games.decryption.decryption import DecryptionBrief, decryption, stretches
from hartley.games.decryption.picture_ciphers import BLOCK, cut, joined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=decryption,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.VISION,),
    paper="doi:10.3390/info14060311",
    adapts=True,
)
def jigsaw(view: View[DecryptionBrief], rng: Rng) -> Outcome:
    """Join blocks whose borders continue each other, also where one of them is a negative.

    It needs nothing but encrypted pictures, and takes the borders of all pictures under one key
    together. An adaptive attacker who knows that keys change solves each stretch alone.
    """
    del rng
    album = view.data.x[0].reshape(view.data.x.shape[1:5])
    rebuilt = np.array(album)
    for stretch in stretches(view):
        if np.isin(stretch, view.brief.question.x).any():
            rebuilt[stretch] = _assembled(album[stretch])
    return Outcome(
        guess=np.full(len(view.brief.question), -1),
        asset=Data("album", Modality.VISION, rebuilt[None], role="plaintext"),
    )


def _assembled(album: NDArray[Any]) -> NDArray[np.int64]:
    """Return pictures (n, c, h, w) with their blocks where they fit, and as they fit."""
    count, channels, height, width = album.shape
    pieces = cut(album, BLOCK).astype(np.int64)
    shaped = pieces.reshape(count, -1, channels, BLOCK, BLOCK).transpose(1, 0, 2, 3, 4)
    order, negative = solved(shaped - 127.5, height // BLOCK, width // BLOCK)
    turned = np.where(negative[:, None], 255 - pieces, pieces)[:, order]
    return joined(turned, album.shape, BLOCK)
