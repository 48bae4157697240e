"""What an attacker who stole embeddings lays out before him: his own texts beside their embeddings.

He asks the encoder about records that he owns; the pairs teach him to read vectors back into words.
Where the database keeps the embeddings of pictures, he learns from his own captioned pictures where
in the shared space a picture's caption would lie.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality, View
from hartley.core.errors import UsageError
from hartley.games.inversion.embedding_inversion import EmbeddingInversionBrief
from hartley.kit.cache import digest
from hartley.kit.ridge import Ridge
from hartley.kit.shared_work import Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROTATION = "embedding_rotation"
"""The defence that an attacker undoes when he knows that it stands and holds stored pairs."""


@dataclass(frozen=True, slots=True)
class Bank:
    """Texts with embeddings, and the stolen embeddings in the same space.

    Attributes:
        tokens: (n, t) the attacker's texts, −1 at the right.
        embeddings: (n, d) their embeddings.
        targets: (m, d) the stolen embeddings, as if they were of texts.
        embed: tokens → embeddings through the encoder; None where it cannot be asked about texts.
        pictures: (n, d) embeddings of the pictures of the attacker's texts, where there are any.
        stolen: (m, d) the stolen embeddings of pictures, before they were carried over to texts.
    """

    tokens: NDArray[np.int64]
    embeddings: NDArray[np.float64]
    targets: NDArray[np.float64]
    embed: Callable[[NDArray[Any]], NDArray[np.float64]] | None
    pictures: NDArray[np.float64] | None = None
    stolen: NDArray[np.float64] | None = None


def bank(view: View[EmbeddingInversionBrief]) -> Bank:
    """Ask the encoder about the attacker's own records, and lay the stolen embeddings beside them.

    Raises:
        UsageError: the attacker's pictures carry no captions.
    """
    own = view.brief.public
    answers = np.asarray(view.model.query(own.x), dtype=np.float64)
    if own.modality is not Modality.PAIRED:

        def embed(tokens: NDArray[Any]) -> NDArray[np.float64]:
            return np.asarray(view.model.query(tokens), dtype=np.float64)

        return Bank(own.x, answers, opened(view, answers), embed)
    if "captions" not in own.facts:
        raise UsageError(f"{own.name} carries no captions")
    half = answers.shape[1] // 2
    pictures, texts = answers[:, :half], answers[:, half:]
    stolen = opened(view, pictures)
    # Pictures and captions lie in two cones of the shared space; his own pairs tell the way over.
    carried = Ridge.fit(pictures, texts)(stolen)
    return Bank(own.facts["captions"], texts, carried, None, pictures, stolen)


def opened(view: View[EmbeddingInversionBrief], own: NDArray[Any]) -> NDArray[np.float64]:
    """The stolen embeddings (m, d), a secret rotation undone if the attacker knows of one.

    He finds records of his own in the database: the orthogonal map that best takes their
    embeddings to what is stored (Procrustes) is the key, exactly so with d independent pairs, and
    on the span of the pairs with fewer.

    Args:
        view: of the round.
        own: (n, d) embeddings of the attacker's records, by his own asking.
    """
    stolen = np.asarray(view.brief.question.x, dtype=np.float64)
    pairs = view.brief.known
    knows = any(one.name == ROTATION for one in view.defenses)
    if not knows or pairs is None or not len(pairs):
        return stolen
    left, strength, right = np.linalg.svd(own[: len(pairs)].T @ np.asarray(pairs, np.float64))
    found = strength > 1e-6 * strength[0]
    # What lies outside of the span of the pairs stays unknown, and is left out.
    return np.asarray(stolen @ (left[:, found] @ right[found]).T)


KEEP = 4
"""Regressions that stay in memory."""


@dataclass(frozen=True, slots=True)
class Words:
    """Reads from an embedding which words its text holds (arXiv:2004.00053).

    Attributes:
        names: (v,) token ids of the bank, rarest left out.
        places: (v,) where in a text each stands, on average, 0..1.
        map: embedding → one number a word, about 1 where the text holds it, and how many tokens
            it has (last column).
    """

    names: NDArray[np.int64]
    places: NDArray[np.float64]
    map: Ridge

    @classmethod
    def fit(cls, own: Bank, least: int = 2) -> Words:
        """Learn from the bank, once: all rounds of a deal, and all attacks, share one.

        Args:
            own: texts and embeddings.
            least: texts that must hold a word.
        """
        key = digest([own.tokens, own.embeddings, least])
        if key not in _learnt:
            while len(_learnt) >= KEEP:
                _learnt.pop(next(iter(_learnt)))
            work = Work("words of embeddings")
            with work.use():
                _learnt[key] = cls._fit(own, least), work
        learnt, work = _learnt[key]
        work.used()
        return learnt

    @classmethod
    def _fit(cls, own: Bank, least: int) -> Words:
        real = own.tokens >= 0
        rows, columns = np.nonzero(real)
        names, at = np.unique(own.tokens[rows, columns], return_inverse=True)
        held = np.zeros((len(own.tokens), len(names)))
        held[rows, at] = 1
        sizes = real.sum(1)
        where = np.bincount(at, columns / np.maximum(sizes[rows] - 1, 1)) / np.bincount(at)
        kept = held.sum(0) >= min(least, len(own.tokens))
        goal = np.concatenate([held[:, kept], sizes[:, None]], 1)
        return cls(names[kept], where[kept], Ridge.fit(own.embeddings, goal))

    def scores(self, embeddings: NDArray[Any]) -> NDArray[np.float64]:
        """How surely each text holds each word: (m, v)."""
        return self.map(embeddings)[:, :-1]

    def texts(self, embeddings: NDArray[Any], longest: int) -> NDArray[np.int64]:
        """The surest words of each text, each at its usual place: (m, longest), −1 padded."""
        told = self.map(embeddings)
        out = np.full((len(told), longest), -1, dtype=np.int64)
        for i, row in enumerate(told):
            size = int(np.clip(round(row[-1]), 1, min(longest, len(self.names))))
            sure = np.argsort(-row[:-1], kind="stable")[:size]
            sure = sure[np.argsort(self.places[sure], kind="stable")]
            out[i, :size] = self.names[sure]
        return out


_learnt: dict[str, tuple[Words, Work]] = {}


def loot(tokens: NDArray[Any]) -> Data:
    """Rebuilt texts as an asset."""
    return Data("texts read from embeddings", Modality.LANGUAGE, tokens, role="rebuilt records")
