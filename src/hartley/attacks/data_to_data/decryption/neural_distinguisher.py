"""Neural distinguisher: a net learns which pairs of ciphertexts differ as agreed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_data.decryption._shared.pair_net import log_odds
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.block_distinguishing import (
    BlockDistinguishingBrief,
    block_distinguishing,
    judged,
)

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=block_distinguishing,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.1007/978-3-030-26951-7_6",
    light={"samples": 60_000},
)
def neural_distinguisher(
    view: View[BlockDistinguishingBrief],
    rng: Rng,
    *,
    samples: Annotated[int, Range(1000, 10**9), Stronger.MORE] = 1_000_000,
) -> Outcome:
    """Score pairs by a small residual net, trained on pairs that the attacker encrypts.

    The keys of these are the attacker's, a fresh one for each pair. The net depends on the cipher
    alone and is trained once.

    Args:
        samples: pairs that the net is trained on, each once; fewer where nothing is left to learn.
    """
    del rng
    return judged(view, log_odds(view.data.x, view.brief.cipher, samples))
