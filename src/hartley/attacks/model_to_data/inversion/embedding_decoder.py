"""Embedding decoder: write the text of an embedding, embed it again, and correct what is off."""

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

MISSING = 16
"""Words that a correction may bring in: those the hypothesis lacks most, by its own embedding."""


@attack(
    game=inversion,
    needs=Access.EMBEDDINGS,
    moves=Move.SIGNAL,
    fits=(Modality.LANGUAGE,),
    paper="arXiv:2310.06816",
    requires=("release:embeddings",),
    asks={"release": "embeddings"},
)
def embedding_decoder(
    view: View, rng: Rng, *, epochs: int = 4, beams: int = 8, rounds: int = 2, tries: int = 24
) -> Outcome:
    """Train a decoder on the attacker's own texts, then search round what it writes.

    Beam search gives hypotheses (GEIA, arXiv:2305.03010); beside them stand the surest words and
    the nearest text of the attacker's. Each is embedded; the nearest to the target is corrected
    (Vec2Text's rounds, arXiv:2310.06816, by search instead of a second network): words that the
    hypothesis' own embedding lacks come in, others go, and what comes nearer stays.

    Args:
        epochs: passes of the decoder over the attacker's texts.
        beams: hypotheses of the beam search.
        rounds: correction rounds.
        tries: corrections that are embedded, a text and a round.
    """
    own = bank(view)
    longest = own.tokens.shape[1]
    decoder = Decoder(epochs=epochs).train(own.embeddings, own.tokens, 0)
    written, _ = decoder.beam(own.targets, longest, beams)
    words = Words.fit(own)
    nearest = own.tokens[cosines(own.targets, own.embeddings).argmax(1)]
    first = np.concatenate(
        [written, words.texts(own.targets, longest)[:, None], nearest[:, None]], axis=1
    )
    best, where = _nearest(own, first)
    wanted = words.scores(own.targets)
    for _ in range(rounds):
        lacking = wanted - words.scores(where)
        names = words.names[np.argsort(-lacking, 1)[:, :MISSING]]
        changed = np.stack(
            [
                np.stack([_changed(row, bring, longest, rng) for _ in range(tries)])
                for row, bring in zip(best, names, strict=True)
            ]
        )
        best, where = _nearest(own, np.concatenate([best[:, None], changed], 1))
    return Outcome(asset=loot(best))


def _nearest(own: Bank, texts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Of each target's texts (m, k, t) the one whose embedding is nearest, and that embedding."""
    assert own.embed is not None
    m, k, t = texts.shape
    # An empty text would be embedded as nothing: it becomes the first token there is.
    flat = texts.reshape(m * k, t).copy()
    flat[flat[:, 0] < 0, 0] = own.tokens[0, 0]
    made = own.embed(flat).reshape(m, k, -1)
    alike = np.stack([cosines(own.targets[i : i + 1], made[i])[0] for i in range(m)])
    here = np.arange(m), alike.argmax(1)
    return flat.reshape(m, k, t)[here], made[here]


def _changed(row: NDArray[Any], bring: NDArray[Any], longest: int, rng: Rng) -> NDArray[np.int64]:
    """The text with one or two words replaced, added, taken out or moved."""
    text = [int(token) for token in row if token >= 0]
    for _ in range(1 + int(rng.integers(2))):
        at = int(rng.integers(len(text)))
        word = int(bring[min(int(rng.exponential(4.0)), len(bring) - 1)])
        step = rng.random()
        if step < 0.5:
            text[at] = word
        elif step < 0.75 and len(text) < longest:
            text.insert(int(rng.integers(len(text) + 1)), word)
        elif step < 0.9 and len(text) > 1:
            text.pop(at)
        else:
            other = int(rng.integers(len(text)))
            text[at], text[other] = text[other], text[at]
    out = np.full(longest, -1, dtype=np.int64)
    out[: len(text)] = text
    return out
