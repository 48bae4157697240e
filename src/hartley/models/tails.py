"""How likely many tails of nearly the same text are, and the slope of that in its tokens.

What searches over tokens (arXiv:2307.15043) asks about hundreds of rows that differ in one token.
What a row shares with the most common row is read once; only what follows is read in each row, and
only the places that are asked about go through the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hartley.core.errors import RunError, UsageError
from hartley.kit.language import text
from hartley.models.token_states import CLOSE, CLOSE_HALF, Whole

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

TOKENS = 2048
"""Tokens of a batch at most."""
ENOUGH = 256
"""Tokens of a batch from which on more of them are no faster each."""
LOGITS = 2**24
"""Logits that are in memory at once, 64 MB."""


class TailNetwork(Protocol):
    """A causal network that can go on from a beginning that it has read."""

    def vectors(self, ids: Tensor) -> Tensor:
        """Embeddings (…, width) of tokens."""

    def table(self) -> Tensor:
        """Embeddings (vocabulary, width) of all tokens."""

    def fast(self, rough: bool, gradient: bool = False) -> AbstractContextManager[None]:
        """Within it, passes are faster; rough ones in half precision."""

    def beginning(self, vectors: Tensor) -> Any:
        """(1, p, width) → what is remembered of a beginning."""

    def states(self, past: Any, length: int, vectors: Tensor, last: int) -> Tensor:
        """Last hidden states (b, last, width); rows go on from ``length`` places of ``past``."""

    def logits(self, states: Tensor) -> Tensor:
        """(…, width) → float32 logits (…, vocabulary)."""


@dataclass(slots=True)
class Tails:
    """Reads rows of tokens from where they begin to differ.

    Attributes:
        name: of the model, for messages.
        context, vocabulary: tokens that it can read at once, and how many there are.
        network: what reads.
        whole: the network's own forward pass, where ``network`` was taken out of it: it is
            compared, and asked from then on wherever the two do not give the same.
        compared: tokens of the longest row that was compared, by whether it was read roughly;
            None: for slopes.
        exact: whether what was compared was the same.
    """

    name: str
    context: int
    vocabulary: int
    network: TailNetwork
    whole: Whole | None = None
    compared: dict[bool | None, int] = field(default_factory=dict)
    exact: bool = True

    def tail_score(
        self, tokens: NDArray[Any], first: Any, rough: bool = False
    ) -> NDArray[np.float64]:
        """Return the natural log-probability (n,) of the tokens of each row from ``first`` on.

        Args:
            tokens: (n, t) token ids, padded on the right with −1.
            first: place of the first token that counts, one for all rows or one for each (n,).
            rough: in half precision, where the processor has instructions for it.

        Raises:
            RunError: a row has no token at ``first``, nothing before it, or does not fit.
        """
        import torch

        rows, sizes, starts = self._rows(tokens, first)
        out = np.zeros(len(rows))
        if self.exact:
            try:
                with self.network.fast(rough):
                    for some, values in self._batches(rows, sizes, starts):
                        out[some] = values
                    self._compare(rows, sizes, starts, out, rough)
            except Exception:  # what a decoder raises that does not go on from keys and values
                if self.whole is None:
                    raise
                self.exact = False
        if not self.exact:
            with torch.no_grad():
                for i in range(len(rows)):
                    out[i] = self._alone(rows[i, : sizes[i]], int(starts[i]))
        return out

    def token_slope(
        self, tokens: NDArray[Any], first: Any, places: Any, rough: bool = False
    ) -> NDArray[np.float32]:
        """Return the gradient of −log p of the tokens from ``first`` on in the one-hot tokens.

        Args:
            tokens: (n, t) token ids, padded on the right with −1.
            first: place of the first token that counts, one for all rows or one for each (n,).
            places: (p,) or (n, p) which tokens the gradient is taken in; all before the last one.
            rough: in half precision, where the processor has instructions for it.

        Returns:
            (n, p, vocabulary), nats.

        Raises:
            RunError: a row has no token at ``first``, nothing before it, or does not fit.
        """
        import torch

        rows, sizes, starts = self._rows(tokens, first)
        where = np.broadcast_to(np.asarray(places, np.int64), (len(rows), np.shape(places)[-1]))
        if (where < 0).any() or (where >= sizes[:, None] - 1).any():
            raise RunError(f"places in rows for {self.name} must be before their last tokens")
        slopes = []
        for row, size, start, here in zip(rows, sizes, starts, where, strict=True):
            shared = min(int(here.min()), int(start) - 1)
            loss, vectors = self._differentiable(row[:size], int(start), shared, rough)
            with self.network.fast(rough, gradient=True):
                (slope,) = torch.autograd.grad(loss, vectors)
            slopes.append(slope[0, torch.from_numpy(here - shared)])
        with torch.no_grad():
            table = self.network.table()[: self.vocabulary]
            answer: NDArray[np.float32] = (torch.stack(slopes) @ table.T).float().numpy()
        return answer

    def _differentiable(
        self, row: NDArray[np.int64], start: int, shared: int, rough: bool
    ) -> tuple[Tensor, Tensor]:
        """−log p of the tokens of a row from ``start`` on, and the embeddings from ``shared``.

        Raises:
            RunError: the network does not go on from keys and values.
        """
        import torch

        ids = torch.from_numpy(row)[None]
        with self.network.fast(rough):
            vectors = self.network.vectors(ids[:, :-1])
            past = self.network.beginning(vectors[:, :shared]) if shared else None
        with self.network.fast(rough, gradient=True):
            vectors = vectors[:, shared:].detach().requires_grad_()
            states = self.network.states(past, shared, vectors, len(row) - start)
            logits = self.network.logits(states[0])
            loss = torch.nn.functional.cross_entropy(logits, ids[0, start:], reduction="sum")
        if self.whole is not None and len(row) > self.compared.get(None, 0):
            self.compared[None] = len(row)
            if not self._close(-float(loss.detach()), row, start, CLOSE_HALF if rough else CLOSE):
                raise RunError(
                    f"{self.name} must go on from keys and values to have slopes in tokens, and "
                    "answers otherwise then"
                )
        return loss, vectors

    def _rows(
        self, tokens: NDArray[Any], first: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Rows (n, t), how many tokens each has (n,), and where each begins to count (n,)."""
        rows = np.asarray(tokens, dtype=np.int64)
        sizes = text.lengths(rows)
        starts = np.broadcast_to(np.asarray(first, dtype=np.int64), (len(rows),))
        if ((rows[:, :-1] < 0) & (rows[:, 1:] >= 0)).any():
            raise RunError(
                f"texts for {self.name} must be padded on the right with -1, got -1 before a token"
            )
        if len(rows) and int(sizes.max()) > self.context:
            raise RunError(
                f"texts for {self.name} must have at most {self.context} tokens, got {sizes.max()}"
            )
        if ((starts < 1) | (starts >= sizes)).any():
            raise RunError(
                f"first must be the place of a token after another in each row for {self.name}"
            )
        return rows, sizes, starts

    def _batches(
        self, rows: NDArray[np.int64], sizes: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Row numbers, and the log-probabilities of their tails, a batch at a time."""
        import torch

        common = _common(rows)
        same = ((rows == common) & (rows >= 0)).cumprod(1).sum(1)
        shared = np.minimum(same, starts - 1)
        past, longest = None, int(shared.max()) if len(rows) > 1 else 0
        if longest:
            past = self.network.beginning(
                self.network.vectors(torch.from_numpy(common[None, :longest]))
            )
        else:
            shared = np.zeros_like(shared)
        for some in _buckets(shared, sizes):
            begin, end = int(shared[some].min()), int(sizes[some].max())
            last = end - int(starts[some].min())
            ids = torch.from_numpy(rows[some, begin : end - 1].clip(0))
            states = self.network.states(past, begin, self.network.vectors(ids), last)
            places = np.arange(end - last, end)
            counts = (places >= starts[some][:, None]) & (places < sizes[some][:, None])
            following = rows[some, end - last : end][counts]
            picked = states[torch.from_numpy(counts)]
            values = np.zeros(counts.shape)
            values[counts] = self._log_probs(picked, torch.from_numpy(following))
            yield some, values.sum(1)

    def _log_probs(self, states: Tensor, following: Tensor) -> NDArray[np.float32]:
        """Log-probabilities (m,) of the tokens that came after states (m, width)."""
        import torch

        size = max(1, LOGITS // self.vocabulary)
        parts = []
        for first in range(0, len(states), size):
            logits = self.network.logits(states[first : first + size])
            came = following[first : first + size]
            parts.append(-torch.nn.functional.cross_entropy(logits, came, reduction="none"))
        answer: NDArray[np.float32] = torch.cat(parts).numpy()
        return answer

    def _compare(
        self,
        rows: NDArray[np.int64],
        sizes: NDArray[np.int64],
        starts: NDArray[np.int64],
        out: NDArray[np.float64],
        rough: bool,
    ) -> None:
        """Compare the longest row with the network's own forward pass, once for each length."""
        if self.whole is None or not len(rows):
            return
        i = int(sizes.argmax())
        if sizes[i] > self.compared.get(rough, 0):
            self.compared[rough] = int(sizes[i])
            close = CLOSE_HALF if rough else CLOSE
            self.exact = self._close(float(out[i]), rows[i, : sizes[i]], int(starts[i]), close)

    def _close(self, value: float, row: NDArray[np.int64], start: int, close: float) -> bool:
        """Whether a log-probability is the network's own, to within ``close`` a token."""
        import torch

        with torch.no_grad():
            gap = abs(value - self._alone(row, start))
        return gap <= close * (len(row) - start) + 1e-5 * abs(value)

    def _alone(self, row: NDArray[np.int64], start: int) -> float:
        """Log-probability of the tokens of a row from ``start`` on, by the network as it is."""
        import torch

        if self.whole is None:
            raise UsageError(f"{self.name} must have a forward pass to be compared with")
        ids = torch.from_numpy(row)
        law = self.whole(ids[None])[0, start - 1 : -1].float().log_softmax(1)
        return float(law.gather(1, ids[start:, None]).double().sum())


def _common(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The most common token at each place, (t,)."""
    ordered = np.sort(rows, 0)
    # The token with the longest run of equals: where runs end, how long they were.
    out = np.empty(rows.shape[1], np.int64)
    for place in range(rows.shape[1]):
        column = ordered[:, place]
        ends = np.flatnonzero(np.append(column[1:] != column[:-1], True))
        out[place] = column[ends[np.diff(ends, prepend=-1).argmax()]]
    return out


def _buckets(shared: NDArray[np.int64], sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Cut rows into batches that share about as much, as row numbers."""
    order = np.lexsort((sizes, shared))
    tails = sizes - 1 - shared
    start = 0
    for stop in range(1, len(order) + 1):
        if stop < len(order):
            length = max(int(tails[order[start]]), 1)
            waste = length - int(tails[order[stop]])
            tokens = length * (stop - start)
            if tokens + length <= TOKENS and (waste <= length // 16 or tokens < ENOUGH):
                continue
        yield np.asarray(order[start:stop], dtype=np.int64)
        start = stop
