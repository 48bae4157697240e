"""The transformer of :mod:`gpt`, read from where rows begin to differ.

What is common to many rows is read once; its keys and values are used for all of them. Imports
torch inside functions: importing this module is free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hartley.kit.onednn_linear import Linear, packed

if TYPE_CHECKING:
    from torch import Tensor

    from hartley.kit.language.gpt import Shape

Past = list[tuple["Tensor", "Tensor"]]
"""For each layer, keys and values (1, heads, p, width of a head)."""


class GptTails:
    """A ``TailNetwork`` (see :mod:`hartley.models.tails`)."""

    def __init__(
        self,
        state: Mapping[str, Tensor],
        shape: Shape,
        head: Tensor,
        before: Tensor | None = None,
    ) -> None:
        """Take a network.

        Args:
            state: parameters by name, float32.
            shape: the network.
            head: (vocabulary, width) last hidden state → logits.
            before: (m, width) vectors in place of an embedding before each row (a soft prompt),
                places included; a row then has m tokens less of the context.
        """
        self.state, self.shape = {**state, "head": head}, shape
        self.before = before
        self._prompts: dict[bool | None, Past] = {}
        self._linear: dict[tuple[str, bool], Linear] = {}
        self._mode: bool | None = None

    def vectors(self, ids: Tensor) -> Tensor:
        """Embeddings (…, width) of tokens, without their places."""
        return self.state["tokens"][ids]

    def table(self) -> Tensor:
        """Embeddings (vocabulary, width) of all tokens, without their places."""
        return self.state["tokens"]

    @contextmanager
    def fast(self, rough: bool, gradient: bool = False) -> Iterator[None]:
        """Within it, passes use packed weights, in bfloat16 where rough; none with a gradient."""
        import torch

        before, self._mode = self._mode, None if gradient else rough
        try:
            with torch.set_grad_enabled(gradient):
                yield
        finally:
            self._mode = before

    def beginning(self, vectors: Tensor) -> Past:
        """Keys and values of one beginning (1, p, width)."""
        past: Past = []
        self._read(self._prompt(), vectors, 1, past)
        return past

    def states(self, past: Past | None, length: int, vectors: Tensor, last: int) -> Tensor:
        """Last hidden states (b, last, width) of the last places of rows.

        Args:
            past: keys and values of a beginning that all rows share, or None.
            length: how much of it to use.
            vectors: (b, t, width) embeddings of what follows in each row.
            last: how many places are needed.
        """
        if past is None:
            return self._read(self._prompt(), vectors, last, None)
        end = length + (0 if self.before is None else len(self.before))
        past = [(keys[:, :, :end], values[:, :, :end]) for keys, values in past]
        return self._read(past, vectors, last, None)

    def logits(self, states: Tensor) -> Tensor:
        """(…, width) → (…, vocabulary)."""
        return self._times("head", states)

    def _prompt(self) -> Past | None:
        """Keys and values of the soft prompt, if there is one."""
        import torch

        if self.before is None:
            return None
        if self._mode not in self._prompts:
            past: Past = []
            with torch.no_grad():
                # Its vectors have their places in them, which reading adds.
                vectors = self.before - self.state["positions"][: len(self.before)]
                self._read(None, vectors[None], 1, past)
            self._prompts[self._mode] = past
        return self._prompts[self._mode]

    def _times(self, name: str, x: Tensor) -> Tensor:
        if self._mode is None:
            return x @ self.state[name].T
        key = (name, self._mode)
        if key not in self._linear:
            self._linear[key] = packed(self.state[name], half=self._mode)
        return self._linear[key](x)

    def _read(self, past: Past | None, vectors: Tensor, last: int, into: Past | None) -> Tensor:
        import torch
        from torch.nn import functional

        shape = self.shape
        b, t, _ = vectors.shape
        start = past[0][0].shape[2] if past else 0
        # Place i of what follows sees the whole beginning, and what follows up to itself.
        sees = torch.ones(t, start + t, dtype=torch.bool).tril(start)
        x = vectors + self.state["positions"][start : start + t]

        def norm(name: str, x: Tensor) -> Tensor:
            return functional.rms_norm(x, (shape.width,), self.state[name])

        for layer in range(shape.layers):
            flat = self._times(f"{layer}.qkv", norm(f"{layer}.norm1", x))
            q, k, v = flat.view(b, t, 3, shape.heads, -1).permute(2, 0, 3, 1, 4)
            if past:
                k, v = (
                    torch.cat([old.expand(b, -1, -1, -1), new], 2)
                    for old, new in zip(past[layer], (k, v), strict=True)
                )
            if into is not None:
                into.append((k, v))
            if layer == shape.layers - 1:
                # Nothing above the last layer asks for the other places.
                q, x, sees = q[:, :, -last:], x[:, -last:], sees[-last:]
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=sees)
            x = x + self._times(f"{layer}.out", mixed.transpose(1, 2).reshape(b, x.shape[1], -1))
            inner: Any = self._times(f"{layer}.up", norm(f"{layer}.norm2", x))
            x = x + self._times(f"{layer}.down", functional.gelu(inner))
        return norm("norm", x)
