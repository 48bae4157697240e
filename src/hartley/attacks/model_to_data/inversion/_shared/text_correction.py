"""Correct a text by beam search until its embedding is near a target.

Vec2Text (arXiv:2310.06816) trains a network for each step. Here many changed texts are embedded at
once, and a beam of those nearest to the target remains (arXiv:2504.00147 searches without training
too). A word reader (``word_reader``) proposes the words to add and to remove: it compares the words
in the target embedding with those in the embedding of the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared.stolen_embeddings import Bank
from hartley.kit.ridge import unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.attacks.model_to_data.inversion._shared.word_reader import Reader
    from hartley.core.parts import Rng

MISSING = 30
"""Number of words that may be added: those that the text lacks most."""

SURE = 0.5
"""Weight of a word's score in the target, relative to how much the text lacks the word."""

SOFT = 1.5
"""Difference in score (in nats) at which a word is chosen e times as often as another."""

REPLACE, INSERT, DROP = 0.55, 0.17, 0.1
"""Probabilities of the changes; otherwise a word is moved."""


@dataclass(slots=True)
class Beam:
    """Hypotheses of m targets.

    Attributes:
        rows: (m, k, t) texts, as indices of words.
        embeddings: (m, k, d) embeddings of the texts.
        similarity: (m, k) cosines with the targets.
    """

    rows: NDArray[np.int64]
    embeddings: NDArray[np.float64]
    similarity: NDArray[np.float64]

    def best(self, beam: int) -> Beam:
        """Return the ``beam`` distinct texts nearest to each target, the nearest first."""
        similarity = self.similarity.copy()
        for i, rows in enumerate(self.rows):
            first = np.unique(rows, axis=0, return_index=True)[1]
            similarity[i, np.setdiff1d(np.arange(len(rows)), first)] = -np.inf
        order = np.argsort(-similarity, 1, kind="stable")[:, :beam]
        return Beam(
            np.take_along_axis(self.rows, order[..., None], 1),
            np.take_along_axis(self.embeddings, order[..., None], 1),
            np.take_along_axis(self.similarity, order, 1),
        )


def corrected(
    known_texts: Bank,
    reader: Reader,
    first: NDArray[Any],
    rng: Rng,
    *,
    rounds: int,
    tries: int,
    beam: int,
) -> NDArray[np.int64]:
    """Return the texts near first guesses whose embeddings are nearest to the targets.

    Args:
        known_texts: gives the encoder and the m targets.
        reader: reads words from embeddings.
        first: (m, k, t) first guesses, as token ids padded with −1.
        rng: draws the changes.
        rounds: of correction; with 0 the nearest of the first guesses is returned.
        tries: changed texts that are embedded per target and round.
        beam: texts of a target that are changed further.

    Returns:
        (m, t) token ids.
    """
    goal = unit(known_texts.targets)
    target_scores = reader.scores(known_texts.targets)
    beams = _embedded(known_texts, reader, goal, reader.rows(first)).best(beam)
    for _ in range(rounds):
        changed = []
        for rows, embeddings, wanted in zip(
            beams.rows, beams.embeddings, target_scores, strict=True
        ):
            lacking = wanted - reader.scores(embeddings)
            changed.append(_changes(rows, wanted, lacking, tries, rng))
        new = _embedded(known_texts, reader, goal, np.stack(changed))
        beams = Beam(
            np.concatenate([beams.rows, new.rows], 1),
            np.concatenate([beams.embeddings, new.embeddings], 1),
            np.concatenate([beams.similarity, new.similarity], 1),
        ).best(beam)
    return reader.tokens(beams.rows[:, 0])


def _embedded(known_texts: Bank, reader: Reader, goal: NDArray[Any], rows: NDArray[Any]) -> Beam:
    """Embed texts (m, k, t) in one query."""
    assert known_texts.embed is not None
    m, k, t = rows.shape
    rows = rows.copy()
    # The encoder cannot embed an empty text, which becomes the first word of the vocabulary.
    rows[rows[..., 0] < 0, 0] = 0
    embeddings = known_texts.embed(reader.tokens(rows).reshape(m * k, t)).reshape(m, k, -1)
    similarity = np.stack([unit(embeddings[i]) @ goal[i] for i in range(m)])
    return Beam(rows, np.asarray(embeddings, np.float64), similarity)


def _changes(
    rows: NDArray[Any], scores: NDArray[Any], lacking: NDArray[Any], tries: int, rng: Rng
) -> NDArray[np.int64]:
    """Return ``tries`` changed texts (tries, t) of k texts (k, t), evenly many of each.

    Args:
        rows: (k, t) texts, as indices of words.
        scores: (v,) how likely the target contains each word.
        lacking: (k, v) how much each text lacks each word.
        tries: number of changed texts.
        rng: draws the changes.
    """
    texts = []
    for j, number in enumerate(np.bincount(np.arange(tries) % len(rows))):
        wanted = lacking[j] + SURE * scores
        additions = np.argsort(-wanted, kind="stable")[:MISSING]
        probabilities = _soft(wanted[additions])
        for _ in range(number):
            texts.append(
                _changed(rows[j], rng.choice(additions, 2, p=probabilities), lacking[j], rng)
            )
    return np.stack(texts)


def _changed(
    row: NDArray[Any], additions: NDArray[Any], lacking: NDArray[Any], rng: Rng
) -> NDArray[np.int64]:
    """Return the text (t,) with one or two words replaced, added, removed or moved."""
    text = [int(word) for word in row if word >= 0]
    for word in additions[: 1 if rng.random() < 0.7 else 2]:
        kind = rng.random()
        weakest = int(rng.choice(len(text), p=_soft(-lacking[text])))
        if kind < REPLACE:
            text[weakest] = int(word)
        elif kind < REPLACE + INSERT:
            if len(text) < len(row):
                text.insert(int(rng.integers(len(text) + 1)), int(word))
        elif kind < REPLACE + INSERT + DROP:
            if len(text) > 1:
                text.pop(weakest)
        else:
            moved = text.pop(int(rng.integers(len(text))))
            text.insert(int(rng.integers(len(text) + 1)), moved)
    out = np.full(len(row), -1, np.int64)
    out[: len(text)] = text
    return out


def _soft(x: NDArray[Any]) -> NDArray[np.float64]:
    weights = np.exp((x - x.max()) / SOFT)
    return np.asarray(weights / weights.sum())
