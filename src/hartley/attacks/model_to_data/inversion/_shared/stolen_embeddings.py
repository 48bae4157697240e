"""Prepare stolen embeddings for inversion: compare them with embeddings of the attacker's texts.

The attacker embeds their own records; the pairs are training data for models from embeddings to
words. If the database contains the embeddings of pictures, the attacker's captioned pictures show
where in the shared space the caption of a picture should be.
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
"""The defense that an adaptive attacker can undo with known pairs."""


@dataclass(frozen=True, slots=True)
class Bank:
    """The attacker's texts with their embeddings, and the stolen embeddings in the same space.

    Attributes:
        tokens: (n, t) the attacker's texts, padded with −1.
        embeddings: (n, d) embeddings of the texts.
        targets: (m, d) the stolen embeddings, mapped to embeddings of texts if necessary.
        embed: tokens → embeddings by the encoder; None if it does not embed texts alone.
        pictures: (n, d) embeddings of the pictures of the attacker's texts, or None.
        stolen: (m, d) the stolen embeddings of pictures, before the mapping to texts, or None.
    """

    tokens: NDArray[np.int64]
    embeddings: NDArray[np.float64]
    targets: NDArray[np.float64]
    embed: Callable[[NDArray[Any]], NDArray[np.float64]] | None
    pictures: NDArray[np.float64] | None = None
    stolen: NDArray[np.float64] | None = None


def bank(view: View[EmbeddingInversionBrief]) -> Bank:
    """Embed the attacker's records, and return them with the stolen embeddings.

    Raises:
        UsageError: the attacker's pictures have no captions.
    """
    public = view.brief.public
    answers = np.asarray(view.model.query(public.x), dtype=np.float64)
    if public.modality is not Modality.PAIRED:

        def embed(tokens: NDArray[Any]) -> NDArray[np.float64]:
            return np.asarray(view.model.query(tokens), dtype=np.float64)

        return Bank(public.x, answers, unrotated(view, answers), embed)
    if "captions" not in public.facts:
        raise UsageError(f"{public.name!r} must have captions, got none")
    half = answers.shape[1] // 2
    pictures, texts = answers[:, :half], answers[:, half:]
    stolen = unrotated(view, pictures)
    # Pictures and captions are in different cones of the shared space; a regression on the
    # attacker's pairs maps one to the other.
    mapped = Ridge.fit(pictures, texts)(stolen)
    return Bank(public.facts["captions"], texts, mapped, None, pictures, stolen)


def unrotated(view: View[EmbeddingInversionBrief], embeddings: NDArray[Any]) -> NDArray[np.float64]:
    """Return the stolen embeddings (m, d), without the secret rotation if the attacker knows of it.

    Some of the attacker's records are in the database. The orthogonal matrix that best maps their
    embeddings to the stored ones (Procrustes) is the key: exactly with d independent pairs, and on
    the span of the pairs with fewer.

    Args:
        view: of the round.
        embeddings: (n, d) embeddings of the attacker's records, by the attacker's queries.
    """
    stolen = np.asarray(view.brief.question.x, dtype=np.float64)
    pairs = view.brief.known
    knows = any(defense.name == ROTATION for defense in view.defenses)
    if not knows or pairs is None or not len(pairs):
        return stolen
    left, strength, right = np.linalg.svd(
        embeddings[: len(pairs)].T @ np.asarray(pairs, np.float64)
    )
    determined = strength > 1e-6 * strength[0]
    # Components outside the span of the pairs stay unknown and are dropped.
    return np.asarray(stolen @ (left[:, determined] @ right[determined]).T)


KEEP = 4
"""Number of regressions that stay in memory."""


@dataclass(frozen=True, slots=True)
class Words:
    """A regression of the words of a text on its embedding (arXiv:2004.00053).

    Attributes:
        names: (v,) token ids of the attacker's texts, without rare ones.
        places: (v,) mean position of each word in a text, in 0..1.
        map: embedding → one number per word, about 1 if the text contains it, and the number of
            tokens of the text (last column).
    """

    names: NDArray[np.int64]
    places: NDArray[np.float64]
    map: Ridge

    @classmethod
    def fit(cls, known: Bank, least: int = 2) -> Words:
        """Fit the regression, or return that of an earlier round or attack.

        Args:
            known: texts and embeddings.
            least: number of texts that must contain a word.
        """
        key = digest([known.tokens, known.embeddings, least])
        if key not in _regressions:
            while len(_regressions) >= KEEP:
                _regressions.pop(next(iter(_regressions)))
            work = Work("words of embeddings")
            with work.use():
                _regressions[key] = cls._fit(known, least), work
        words, work = _regressions[key]
        work.used()
        return words

    @classmethod
    def _fit(cls, known: Bank, least: int) -> Words:
        real = known.tokens >= 0
        rows, columns = np.nonzero(real)
        names, at = np.unique(known.tokens[rows, columns], return_inverse=True)
        contains = np.zeros((len(known.tokens), len(names)))
        contains[rows, at] = 1
        sizes = real.sum(1)
        places = np.bincount(at, columns / np.maximum(sizes[rows] - 1, 1)) / np.bincount(at)
        frequent = contains.sum(0) >= min(least, len(known.tokens))
        targets = np.concatenate([contains[:, frequent], sizes[:, None]], 1)
        return cls(names[frequent], places[frequent], Ridge.fit(known.embeddings, targets))

    def scores(self, embeddings: NDArray[Any]) -> NDArray[np.float64]:
        """Return scores (m, v) of how likely each text contains each word."""
        return self.map(embeddings)[:, :-1]

    def texts(self, embeddings: NDArray[Any], longest: int) -> NDArray[np.int64]:
        """Return the likeliest words of each text, by mean position: (m, longest), −1 padded."""
        scores = self.map(embeddings)
        out = np.full((len(scores), longest), -1, dtype=np.int64)
        for i, row in enumerate(scores):
            size = int(np.clip(round(row[-1]), 1, min(longest, len(self.names))))
            likeliest = np.argsort(-row[:-1], kind="stable")[:size]
            likeliest = likeliest[np.argsort(self.places[likeliest], kind="stable")]
            out[i, :size] = self.names[likeliest]
        return out


_regressions: dict[str, tuple[Words, Work]] = {}


def loot(tokens: NDArray[Any]) -> Data:
    """Return rebuilt texts as loot."""
    return Data("texts read from embeddings", Modality.LANGUAGE, tokens, role="rebuilt records")
