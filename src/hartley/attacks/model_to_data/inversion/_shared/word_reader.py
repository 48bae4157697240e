"""Read words from the embedding of a text by the embeddings of single words.

A regression for each word (``stolen_embeddings.Words``) cannot learn a word that is in two texts
only. An attacker who may query the encoder embeds every word alone. One matrix between the
embeddings of words and of texts then serves all words: what it learns from frequent words applies
to rare ones too, which identify a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared.stolen_embeddings import Bank
from hartley.core.errors import UsageError
from hartley.kit.cache import cached, digest
from hartley.kit.ridge import Ridge
from hartley.kit.shared_work import Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

EPOCHS, LEAST, BATCH, RATE = 8, 200, 256, 1e-2
"""Passes over the texts, least number of steps, texts per step, initial learning rate."""

NEAR = 1.0
"""The matrix starts as this times the identity, since a word is near the texts that contain it."""

KEEP = 4
"""Number of readers that stay in memory."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A linear model of the words of an embedded text.

    The score of a word is ``(x − level)/scale · matrix · wordᵀ + prior``.

    Attributes:
        names: (v,) token ids of the attacker's texts.
        places: (v,) mean position of each word in a text, in 0..1.
        level: (d,) mean embedding of the attacker's texts.
        scale: standard deviation of its entries.
        slope: (d, v) the matrix times the embeddings of the words.
        prior: (v,) the score that a word has because of its frequency.
        size: embedding → number of tokens of its text.
    """

    names: NDArray[np.int64]
    places: NDArray[np.float64]
    level: NDArray[np.float64]
    scale: float
    slope: NDArray[np.float64]
    prior: NDArray[np.float64]
    size: Ridge

    @classmethod
    def fit(cls, known: Bank) -> Reader:
        """Train on the attacker's texts, or return the reader of an earlier round or attack.

        The words are queried every time, so that every attack counts the queries that it needs.

        Raises:
            UsageError: the encoder does not embed texts.
        """
        if known.embed is None:
            raise UsageError("the encoder must embed single words, got an encoder of pairs")
        names = np.unique(known.tokens[known.tokens >= 0])
        alone = np.asarray(known.embed(names[:, None]), np.float32)
        key = digest([known.tokens, known.embeddings, alone])
        if key not in _readers:
            while len(_readers) >= KEEP:
                _readers.pop(next(iter(_readers)))
            work = Work("reader of embeddings")
            with work.use():
                _readers[key] = cls._fit(known, names, alone), work
        reader, work = _readers[key]
        work.used()
        return reader

    @classmethod
    def _fit(cls, known: Bank, names: NDArray[Any], alone: NDArray[Any]) -> Reader:
        rows, columns = np.nonzero(known.tokens >= 0)
        at = np.searchsorted(names, known.tokens[rows, columns])
        contains = np.zeros((len(known.tokens), len(names)), np.float32)
        contains[rows, at] = 1
        sizes = (known.tokens >= 0).sum(1)
        places = np.bincount(at, columns / np.maximum(sizes[rows] - 1, 1)) / np.bincount(at)
        level, scale = known.embeddings.mean(0), float(known.embeddings.std()) + 1e-12
        words = (alone - alone.mean(0)) / (float(alone.std()) + 1e-12)
        words /= np.sqrt(alone.shape[1])
        x = ((known.embeddings - level) / scale).astype(np.float32)
        recipe = ["reader", 2, x, words, known.tokens, [EPOCHS, LEAST, BATCH, RATE, NEAR]]
        weights = cached("reader", recipe, lambda: _train(x, words, contains))
        slope = np.asarray(weights["turn"], np.float64) @ words.T
        size = Ridge.fit(known.embeddings, sizes[:, None])
        return cls(
            names, places, level, scale, slope, np.asarray(weights["metrics"], np.float64), size
        )

    def scores(self, embeddings: NDArray[Any]) -> NDArray[np.float64]:
        """Return log-scores (m, v), up to a constant, that each text contains each word."""
        x = (np.asarray(embeddings, np.float64) - self.level) / self.scale
        return np.asarray(x @ self.slope + self.prior)

    def rows(self, tokens: NDArray[Any]) -> NDArray[np.int64]:
        """Return token ids as indices into ``names``; padding stays −1."""
        return np.where(tokens >= 0, np.searchsorted(self.names, np.maximum(tokens, 0)), -1)

    def tokens(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Return indices into ``names`` as token ids; padding stays −1."""
        return np.where(rows >= 0, self.names[np.maximum(rows, 0)], -1)

    def texts(self, embeddings: NDArray[Any], longest: int, more: int = 0) -> NDArray[np.int64]:
        """Return the likeliest words of each text, by mean position: token ids (m, longest).

        Args:
            embeddings: (m, d) embeddings.
            longest: largest number of tokens; shorter texts are padded with −1.
            more: number of words beyond the predicted length; may be negative.
        """
        scores, sizes = self.scores(embeddings), self.size(embeddings)[:, 0]
        out = np.full((len(scores), longest), -1, dtype=np.int64)
        for i, row in enumerate(scores):
            n = int(np.clip(round(sizes[i]) + more, 1, min(longest, len(self.names))))
            likeliest = np.argsort(-row, kind="stable")[:n]
            out[i, :n] = likeliest[np.argsort(self.places[likeliest], kind="stable")]
        return self.tokens(out)


_readers: dict[str, tuple[Reader, Work]] = {}


def _train(x: NDArray[Any], words: NDArray[Any], contains: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Minimise the cross-entropy of a text's words, by Adam with a rate that falls to 0."""
    import torch

    matrix = (torch.eye(x.shape[1]) * NEAR).requires_grad_()
    prior = torch.from_numpy(np.log(contains.mean(0))).requires_grad_()
    word_embeddings, targets, inputs = (torch.from_numpy(array) for array in (words, contains, x))
    optimiser = torch.optim.Adam([matrix, prior], lr=RATE)
    steps = max(LEAST, EPOCHS * len(x) // BATCH)
    rng = np.random.default_rng(0)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * (1 - step / steps)
        batch = torch.from_numpy(rng.integers(0, len(x), BATCH))
        log_probs = torch.log_softmax(inputs[batch] @ matrix @ word_embeddings.T + prior, 1)
        loss = -(log_probs * targets[batch]).sum() / BATCH
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
    return {"turn": matrix.detach().numpy(), "metrics": prior.detach().numpy()}
