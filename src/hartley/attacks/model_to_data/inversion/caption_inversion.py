"""Caption inversion: put into words what a stored picture's embedding shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Modality, Move, Outcome, View, attack
from hartley.games.inversion import inversion
from hartley.kit.bank import Bank, Words, bank, cosines, loot
from hartley.kit.decoder import Decoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=inversion,
    needs=Access.EMBEDDINGS,
    moves=Move.SIGNAL,
    fits=(Modality.PAIRED,),
    paper="arXiv:2305.03010",
    requires=("release:embeddings",),
    asks={"release": "embeddings"},
)
def caption_inversion(
    view: View, rng: Rng, *, epochs: int = 12, beams: int = 8, neighbours: int = 8
) -> Outcome:
    """Carry the picture's embedding over to where its caption would lie, and read the caption.

    What generative embedding inversion does with sentences (arXiv:2305.03010), through a space that
    pictures and words share. Which words the caption holds is told by a regression and by the
    captions of the attacker's own that lie nearest; of these captions, of what a decoder writes and
    of the surest words, the text is taken that fits best what was told.

    Args:
        epochs: passes of the decoder over the attacker's captions.
        beams: hypotheses of the beam search.
        neighbours: captions of the attacker's that are looked at.
    """
    del rng
    own = bank(view)
    longest = own.tokens.shape[1]
    words = Words.fit(own, least=1)
    alike = cosines(own.targets, own.embeddings)
    near = np.argsort(-alike, 1, kind="stable")[:, :neighbours]
    told = (np.clip(words.scores(own.targets), 0, 1) + _voted(own, words, alike, near)) / 2
    decoder = Decoder(width=192, epochs=epochs).train(own.embeddings, own.tokens, 0)
    written, _ = decoder.beam(own.targets, longest, beams)
    surest = words.texts(own.targets, longest)[:, None]
    texts = np.concatenate([surest, written, own.tokens[near]], axis=1)
    fits = np.array([[_expected(words, told[i], t) for t in texts[i]] for i in range(len(texts))])
    return Outcome(asset=loot(texts[np.arange(len(texts)), fits.argmax(1)]))


def _voted(own: Bank, words: Words, alike: NDArray[Any], near: NDArray[Any]) -> NDArray[np.float64]:
    """Share of the nearest captions that hold each word, nearer ones counting more: (m, v)."""
    close = np.take_along_axis(alike, near, 1)
    weight = np.exp((close - close.max(1, keepdims=True)) / 0.05)
    weight /= weight.sum(1, keepdims=True)
    out = np.zeros((len(near), len(words.names)))
    for i, rows in enumerate(near):
        for share, row in zip(weight[i], rows, strict=True):
            out[i, np.isin(words.names, own.tokens[row])] += share
    return out


def _expected(words: Words, told: NDArray[Any], text: NDArray[Any]) -> float:
    """The F1 that a text would have, were each word in the caption with the probability told."""
    held = np.isin(words.names, text[text >= 0])
    size = max(int((text >= 0).sum()), 1)
    return float(2 * told[held].sum() / (size + told.sum()))
