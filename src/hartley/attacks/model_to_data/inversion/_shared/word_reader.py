"""Reads words out of an embedding by the embeddings that the words have alone.

A regression for each word (``kit.inversion.bank.Words``) learns nothing of a word that stands in
two texts. An attacker who may ask the encoder asks it about every word by itself: how an embedding
holds a word is then one map for all words, a matrix between the two embeddings, and what frequent
words teach it tells the rare ones too, which are those that identify a text.
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
"""Passes over the bank, steps at least, texts a step, first learning rate."""

NEAR = 1.0
"""What the matrix begins as, times the identity: a word lies near the texts that hold it."""

KEEP = 4
"""Readers that stay in memory."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How likely an embedding's text holds each word: ``(x − level)/scale · turn · wordᵀ + usual``.

    Attributes:
        names: (v,) token ids of the bank.
        places: (v,) where in a text each stands, on average, 0..1.
        level: (d,) mean embedding of the bank's texts.
        scale: spread of their entries.
        slope: (d, v) the matrix times the words' own embeddings.
        metrics: (v,) what a word has beforehand, by how many texts hold it.
        size: embedding → how many tokens its text has.
    """

    names: NDArray[np.int64]
    places: NDArray[np.float64]
    level: NDArray[np.float64]
    scale: float
    slope: NDArray[np.float64]
    metrics: NDArray[np.float64]
    size: Ridge

    @classmethod
    def fit(cls, own: Bank) -> Reader:
        """Learn from the bank, once: rounds of a deal, and attacks, share one.

        The words are asked for each time, so that who uses a reader pays for its questions.

        Raises:
            UsageError: the encoder cannot be asked about texts.
        """
        if own.embed is None:
            raise UsageError("the encoder cannot be asked about single words")
        names = np.unique(own.tokens[own.tokens >= 0])
        alone = np.asarray(own.embed(names[:, None]), np.float32)
        key = digest([own.tokens, own.embeddings, alone])
        if key not in _learnt:
            while len(_learnt) >= KEEP:
                _learnt.pop(next(iter(_learnt)))
            work = Work("reader of embeddings")
            with work.use():
                _learnt[key] = cls._fit(own, names, alone), work
        learnt, work = _learnt[key]
        work.used()
        return learnt

    @classmethod
    def _fit(cls, own: Bank, names: NDArray[Any], alone: NDArray[Any]) -> Reader:
        rows, columns = np.nonzero(own.tokens >= 0)
        at = np.searchsorted(names, own.tokens[rows, columns])
        held = np.zeros((len(own.tokens), len(names)), np.float32)
        held[rows, at] = 1
        sizes = (own.tokens >= 0).sum(1)
        where = np.bincount(at, columns / np.maximum(sizes[rows] - 1, 1)) / np.bincount(at)
        level, scale = own.embeddings.mean(0), float(own.embeddings.std()) + 1e-12
        words = (alone - alone.mean(0)) / (float(alone.std()) + 1e-12)
        words /= np.sqrt(alone.shape[1])
        x = ((own.embeddings - level) / scale).astype(np.float32)
        recipe = ["reader", 2, x, words, own.tokens, [EPOCHS, LEAST, BATCH, RATE, NEAR]]
        made = cached("reader", recipe, lambda: _train(x, words, held))
        slope = np.asarray(made["turn"], np.float64) @ words.T
        size = Ridge.fit(own.embeddings, sizes[:, None])
        return cls(names, where, level, scale, slope, np.asarray(made["metrics"], np.float64), size)

    def scores(self, embeddings: NDArray[Any]) -> NDArray[np.float64]:
        """How likely each text holds each word, as a logarithm up to a constant: (m, v)."""
        x = (np.asarray(embeddings, np.float64) - self.level) / self.scale
        return np.asarray(x @ self.slope + self.metrics)

    def rows(self, tokens: NDArray[Any]) -> NDArray[np.int64]:
        """Tokens of the bank as numbers into ``names``, −1 where there is none."""
        return np.where(tokens >= 0, np.searchsorted(self.names, np.maximum(tokens, 0)), -1)

    def tokens(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """The way back."""
        return np.where(rows >= 0, self.names[np.maximum(rows, 0)], -1)

    def texts(self, embeddings: NDArray[Any], longest: int, more: int = 0) -> NDArray[np.int64]:
        """The surest words of each text, each at its usual place: tokens (m, longest), −1 padded.

        Args:
            embeddings: (m, d).
            longest: tokens at most.
            more: words beyond the number that is told; may be negative.
        """
        told, sizes = self.scores(embeddings), self.size(embeddings)[:, 0]
        out = np.full((len(told), longest), -1, dtype=np.int64)
        for i, row in enumerate(told):
            n = int(np.clip(round(sizes[i]) + more, 1, min(longest, len(self.names))))
            sure = np.argsort(-row, kind="stable")[:n]
            out[i, :n] = sure[np.argsort(self.places[sure], kind="stable")]
        return self.tokens(out)


_learnt: dict[str, tuple[Reader, Work]] = {}


def _train(x: NDArray[Any], words: NDArray[Any], held: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Cross-entropy of a text's words among all, by Adam with a rate that falls to 0."""
    import torch

    turn = (torch.eye(x.shape[1]) * NEAR).requires_grad_()
    usual = torch.from_numpy(np.log(held.mean(0))).requires_grad_()
    theirs, goal, inputs = (torch.from_numpy(one) for one in (words, held, x))
    optimiser = torch.optim.Adam([turn, usual], lr=RATE)
    steps = max(LEAST, EPOCHS * len(x) // BATCH)
    rng = np.random.default_rng(0)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * (1 - step / steps)
        batch = torch.from_numpy(rng.integers(0, len(x), BATCH))
        told = torch.log_softmax(inputs[batch] @ turn @ theirs.T + usual, 1)
        loss = -(told * goal[batch]).sum() / BATCH
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
    return {"turn": turn.detach().numpy(), "metrics": usual.detach().numpy()}
