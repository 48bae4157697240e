"""Hidden states of texts under a causal network, compared with the network's own forward pass.

There are three ways to read a text. Rows that share their beginnings are read as a tree; others in
batches, by the decoder and then the head; and where a network does more than that (a cap or a scale
behind its head, a window of attention, soft prompts), it is asked whole. The fastest way that gives
the network's own answers is taken: two rows at least as long as any read so far are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from hartley.core.errors import UsageError
from hartley.kit.language import text

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Hidden = Callable[["Tensor", "Tensor", "Tensor | None"], "Tensor"]
"""(ids (b, t), positions (b, t), sees (b, t, t) or None = all before) → states (b, t, width)."""

Head = Callable[["Tensor"], "Tensor"]
"""states (m, width) → float32 logits (m, vocabulary)."""

Whole = Callable[["Tensor"], "Tensor"]
"""ids (b, t) → logits (b, t, vocabulary) of the network's own forward pass."""

Way = Literal["tree", "batch", "whole"]

BATCH = 32
"""Rows in a batch of unlike beginnings."""

MOST_LOGITS = 2**25
"""Logits of a batch that is asked whole: all of them are in memory at once, 128 MB."""

CLOSE, CLOSE_HALF = 1e-4, 0.1
"""How far log-probabilities may be from the network's own, in nats: in single precision, and in
half, where the order of a sum already moves them."""


@dataclass(frozen=True, slots=True)
class Part:
    """Hidden states of some tokens.

    Attributes:
        rows, places: (m,) which rows, and which places in them.
        states: (m, width).
        head: states → logits.
    """

    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    states: Tensor
    head: Head


@dataclass(slots=True)
class TokenStates:
    """Reads rows of tokens, the fastest way that is right.

    Attributes:
        name: of the model, for messages.
        vocabulary, context: size of the vocabulary, and tokens that it can read at once.
        hidden, head: the network up to its last norm, and from there to logits.
        worth: tokens that rows must share to be read as a tree.
        whole: the network's own forward pass, where the two above were taken out of it; None:
            they are the network.
        half: the network computes in half precision.
        way: the fastest way that was right so far.
        compared: the length of the rows that were compared, by way.
    """

    name: str
    vocabulary: int
    context: int
    hidden: Hidden
    head: Head
    worth: int = 1
    whole: Whole | None = None
    half: bool = False
    way: Way = "tree"
    compared: dict[Way, int] = field(default_factory=dict)

    def read(self, rows: NDArray[np.int64]) -> Iterator[Part]:
        """Yield the hidden states of every token of every row, a tree or a batch at a time.

        Args:
            rows: (n, t) token ids, padded on the right with −1.

        Raises:
            UsageError: a row is padded on the left, or the network cannot read the rows.
        """
        if ((rows[:, :-1] < 0) & (rows[:, 1:] >= 0)).any():
            raise UsageError(
                f"texts for {self.name} must be padded on the right with -1, got -1 before a token"
            )
        sizes = text.lengths(rows)
        groups = [group[sizes[group] > 0] for group in text.groups(rows)]
        alone: list[int] = []
        for group in groups:
            part = self._tree(rows, group) if self._is_tree(rows, group) else None
            if part is None:
                alone.extend(group.tolist())
            else:
                yield part
        order = np.array(sorted(alone, key=lambda i: int(sizes[i])), np.int64)
        first = 0
        while first < len(order):
            some = order[first : first + BATCH]
            part = self._batch(rows, some)
            if part is None:
                width = int(sizes[some].max())
                some = some[: max(1, MOST_LOGITS // (width * self.vocabulary))]
                part = self._asked_whole(rows, some)
            first += len(some)
            yield part

    def _is_tree(self, rows: NDArray[np.int64], group: NDArray[np.int64]) -> bool:
        return self.way == "tree" and len(group) > 1 and _shared(rows[group]) >= self.worth

    def _tree(self, rows: NDArray[np.int64], group: NDArray[np.int64]) -> Part | None:
        """Read rows as a tree; None where that is not what the network says."""
        return self._held(_as_tree, rows, group, "tree", then="batch")

    def _batch(self, rows: NDArray[np.int64], some: NDArray[np.int64]) -> Part | None:
        """Read rows by the decoder and the head; None where that is not what the network says."""
        if self.way == "whole":
            return None

        return self._held(_as_batch, rows, some, "batch", then="whole")

    def _held(
        self, read: Reader, rows: NDArray[np.int64], some: NDArray[np.int64], way: Way, *, then: Way
    ) -> Part | None:
        """Read rows one way; where it fails or is not exact, go on with the next way for good."""
        if self.whole is None:
            return read(self.hidden, self.head, rows, some)
        try:
            if self._is_exact(read, rows[some], way):
                return read(self.hidden, self.head, rows, some)
        except Exception:  # what a decoder raises that does not know masks or positions
            pass
        self.way = then
        return None

    def _is_exact(self, read: Reader, rows: NDArray[np.int64], way: Way) -> bool:
        """Whether the longest row, read with the one least like it, is as it is alone.

        Both are made longer, so that rows that grow token by token are not all compared anew.
        """
        sizes = text.lengths(rows)
        longest = int(sizes.argmax())
        if sizes[longest] <= self.compared.get(way, 0):
            return True
        length = min(max(16, 1 << int(sizes[longest] - 1).bit_length()), self.context)
        length = max(length, int(sizes[longest]))
        alike = (rows == rows[longest]).cumprod(1).sum(1)
        pair = [rows[i][: sizes[i]] for i in sorted({longest, int(alike.argmin())})]
        probes = np.stack([np.resize(row, length) for row in pair])
        part = read(self.hidden, self.head, probes, np.arange(len(probes)))
        for row in range(len(probes)):
            here = np.flatnonzero(part.rows == row)
            if not self._close(part, here, self._asked_whole(probes, np.array([row]))):
                return False
        self.compared[way] = length
        return True

    def _close(self, part: Part, here: NDArray[np.int64], alone: Part) -> bool:
        import torch

        with torch.inference_mode():
            order = here[np.argsort(part.places[here])]
            logits = part.head(part.states[torch.from_numpy(order)]).float()
            gap = (logits.log_softmax(1) - alone.states.float().log_softmax(1)).abs().max()
        return bool(gap <= (CLOSE_HALF if self.half else CLOSE))

    def _asked_whole(self, rows: NDArray[np.int64], some: NDArray[np.int64]) -> Part:
        import torch

        assert self.whole is not None
        ids = rows[some][:, : int((rows[some] >= 0).sum(1).max())]
        local, places = np.nonzero(ids >= 0)
        try:
            with torch.inference_mode():
                logits = self.whole(torch.from_numpy(ids.clip(0)))
                logits = logits[torch.from_numpy(local), torch.from_numpy(places)]
        except Exception as error:  # any network, any error
            why = " ".join(str(error).split())[:160]
            raise UsageError(
                f"{self.name} must read token ids alone, got {type(error).__name__}: {why}"
            ) from error
        return Part(some[local], places, logits, _unchanged)


Reader = Callable[[Hidden, Head, "NDArray[np.int64]", "NDArray[np.int64]"], Part]
"""(hidden, head, rows (n, t), which of them) → their states."""


def _unchanged(logits: Tensor) -> Tensor:
    return logits


def _shared(rows: NDArray[np.int64]) -> int:
    """Tokens that rows after the first share with the beginning of the first."""
    same = (rows[1:] == rows[0]) & (rows[0] >= 0)
    return int(same.cumprod(1).sum())


def _as_tree(hidden: Hidden, head: Head, rows: NDArray[np.int64], group: NDArray[np.int64]) -> Part:
    import torch

    merged = text.tree(rows[group])
    with torch.inference_mode():
        states = hidden(
            torch.from_numpy(merged.tokens)[None],
            torch.from_numpy(merged.depth)[None],
            torch.from_numpy(merged.sees)[None],
        )[0]
        local, places = np.nonzero(merged.node >= 0)
        spread = states[torch.from_numpy(merged.node[local, places])]
    return Part(group[local], places, spread, head)


def _as_batch(hidden: Hidden, head: Head, rows: NDArray[np.int64], some: NDArray[np.int64]) -> Part:
    import torch

    width = int((rows[some] >= 0).sum(1).max())
    ids = rows[some][:, :width]
    local, places = np.nonzero(ids >= 0)
    with torch.inference_mode():
        positions = torch.arange(width).expand(len(some), width)
        states = hidden(torch.from_numpy(ids.clip(0)), positions, None)
        spread = states[torch.from_numpy(local), torch.from_numpy(places)]
    return Part(some[local], places, spread, head)
