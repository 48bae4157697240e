"""Correction: embed what was read, look at what the target has and it has not, change it, again.

Vec2Text (arXiv:2310.06816) trains a network for the step; here it is a search that asks the encoder
about many changes at once and keeps a beam of the texts that lie nearest to the target
(arXiv:2504.00147 searches without training too). Which words come in and which go is told by a
reader of words (``word_reader``): what it reads from the target less what it reads from
the text's own embedding.
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
"""Words that may come in: those that the text lacks most, by its own embedding."""

SURE = 0.5
"""Weight of what the target tells by itself beside what the text lacks of it."""

SOFT = 1.5
"""How much less lacking (in nats) a word must be to come in e times more rarely, or to go so."""

REPLACE, INSERT, DROP = 0.55, 0.17, 0.1
"""Chances of the changes; the rest moves a word."""


@dataclass(slots=True)
class Beam:
    """Texts of every target, nearest first: numbers of words, embeddings, cosines."""

    rows: NDArray[np.int64]
    made: NDArray[np.float64]
    alike: NDArray[np.float64]

    def kept(self, beam: int) -> Beam:
        """The nearest ``beam`` texts of each target, none twice."""
        alike = self.alike.copy()
        for i, rows in enumerate(self.rows):
            first = np.unique(rows, axis=0, return_index=True)[1]
            alike[i, np.setdiff1d(np.arange(len(rows)), first)] = -np.inf
        best = np.argsort(-alike, 1, kind="stable")[:, :beam]
        return Beam(
            np.take_along_axis(self.rows, best[..., None], 1),
            np.take_along_axis(self.made, best[..., None], 1),
            np.take_along_axis(self.alike, best, 1),
        )


def corrected(
    own: Bank,
    reader: Reader,
    first: NDArray[Any],
    rng: Rng,
    *,
    rounds: int,
    tries: int,
    beam: int,
) -> NDArray[np.int64]:
    """Search round first guesses for the texts whose embeddings lie nearest to the targets.

    Args:
        own: the encoder, and the m targets.
        reader: of words.
        first: (m, k, t) tokens of the bank, −1 at the right.
        rng: for the changes.
        rounds: of correction; with 0 the nearest of the first guesses is returned.
        tries: changed texts that are embedded, a target and a round.
        beam: texts of a target that are changed further.

    Returns:
        (m, t) tokens.
    """
    goal = unit(own.targets)
    sure = reader.scores(own.targets)
    held = _asked(own, reader, goal, reader.rows(first)).kept(beam)
    for _ in range(rounds):
        changed = []
        for rows, made, told in zip(held.rows, held.made, sure, strict=True):
            changed.append(_changes(rows, told, told - reader.scores(made), tries, rng))
        new = _asked(own, reader, goal, np.stack(changed))
        held = Beam(
            np.concatenate([held.rows, new.rows], 1),
            np.concatenate([held.made, new.made], 1),
            np.concatenate([held.alike, new.alike], 1),
        ).kept(beam)
    return reader.tokens(held.rows[:, 0])


def _asked(own: Bank, reader: Reader, goal: NDArray[Any], rows: NDArray[Any]) -> Beam:
    """Embed texts (m, k, t) in one question."""
    assert own.embed is not None
    m, k, t = rows.shape
    rows = rows.copy()
    # An empty text would be embedded as nothing: it becomes the first word there is.
    rows[rows[..., 0] < 0, 0] = 0
    made = own.embed(reader.tokens(rows).reshape(m * k, t)).reshape(m, k, -1)
    alike = np.stack([unit(made[i]) @ goal[i] for i in range(m)])
    return Beam(rows, np.asarray(made, np.float64), alike)


def _changes(
    rows: NDArray[Any], sure: NDArray[Any], lacking: NDArray[Any], tries: int, rng: Rng
) -> NDArray[np.int64]:
    """``tries`` changes of texts (k, t) that lack words (k, v), shared out among them."""
    made = []
    for j, number in enumerate(np.bincount(np.arange(tries) % len(rows))):
        wanted = lacking[j] + SURE * sure
        bring = np.argsort(-wanted, kind="stable")[:MISSING]
        chance = _soft(wanted[bring])
        for _ in range(number):
            made.append(_changed(rows[j], rng.choice(bring, 2, p=chance), lacking[j], rng))
    return np.stack(made)


def _changed(
    row: NDArray[Any], bring: NDArray[Any], lacking: NDArray[Any], rng: Rng
) -> NDArray[np.int64]:
    """The text with one or two words replaced, added, taken out or moved."""
    text = [int(word) for word in row if word >= 0]
    for word in bring[: 1 if rng.random() < 0.7 else 2]:
        kind = rng.random()
        goes = int(rng.choice(len(text), p=_soft(-lacking[text])))
        if kind < REPLACE:
            text[goes] = int(word)
        elif kind < REPLACE + INSERT:
            if len(text) < len(row):
                text.insert(int(rng.integers(len(text) + 1)), int(word))
        elif kind < REPLACE + INSERT + DROP:
            if len(text) > 1:
                text.pop(goes)
        else:
            moved = text.pop(int(rng.integers(len(text))))
            text.insert(int(rng.integers(len(text) + 1)), moved)
    out = np.full(len(row), -1, np.int64)
    out[: len(text)] = text
    return out


def _soft(x: NDArray[Any]) -> NDArray[np.float64]:
    chance = np.exp((x - x.max()) / SOFT)
    return np.asarray(chance / chance.sum())
