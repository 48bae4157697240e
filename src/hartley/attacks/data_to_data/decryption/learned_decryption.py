"""Learned decryption: learn the way back from pictures that the attacker had encrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.data_to_data.decryption._shared.block_mixing import trained
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.decryption import DecryptionBrief, decryption, stretches
from hartley.games.decryption.picture_ciphers import SMALL_BLOCK, joined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=decryption,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.VISION,),
    paper="arXiv:2010.06198",
    adapts=True,
    light={"passes": 1},
)
def learned_decryption(
    view: View[DecryptionBrief], rng: Rng, *, passes: Annotated[int, Range(1), Stronger.MORE] = 4
) -> Outcome:
    """Train a net from encrypted to plain pictures, on pictures of the attacker's under that key.

    It knows the algorithm and not the key. An adaptive attacker who knows that keys change trains
    on known pictures under the same key alone, and answers with the mean of public pictures where
    there are none.

    Args:
        passes: over both layers of the net, from each of three starts.
    """
    del rng
    album, known = view.data.x[0].reshape(view.data.x.shape[1:5]), view.brief.known
    assert known is not None
    offset = len(album) - len(known)
    rebuilt = np.broadcast_to(view.brief.public.x.mean(0), album.shape).copy()
    rebuilt[offset:] = known.x
    for stretch in stretches(view):
        pairs = stretch[stretch >= offset]
        secret = stretch[stretch < offset]
        if len(pairs) and len(secret):
            plain = known.x[pairs - offset]
            rebuilt[secret] = _inverted(album[pairs], plain, album[secret], passes)
    return Outcome(
        guess=np.full(len(view.brief.question), -1),
        asset=Data("album", Modality.VISION, rebuilt[None], role="plaintext"),
    )


def _inverted(
    encrypted: NDArray[Any], plain: NDArray[Any], secret: NDArray[Any], passes: int
) -> NDArray[np.float64]:
    """Return the pictures that are asked about, as the net gives them."""
    # Whatever is done to larger blocks is also done to the small blocks that they consist of.
    pieces = (trained(encrypted, plain, SMALL_BLOCK, passes)(secret) + 1) * 127.5
    return np.asarray(np.clip(np.rint(joined(pieces, secret.shape, SMALL_BLOCK)), 0, 255))
