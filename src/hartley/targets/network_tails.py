"""A causal network of ``transformers``, read from where rows begin to differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hartley.kit.onednn_linear import PackedNetwork

if TYPE_CHECKING:
    from torch import Tensor

Past = list[tuple["Tensor", "Tensor"]]
"""For each layer, keys and values (1, heads, p, width of a head)."""


class NetworkTails:
    """A ``TailNetwork`` (see :mod:`hartley.models.tails`)."""

    def __init__(self, network: Any, ready: Callable[[], None] = lambda: None) -> None:
        """Take a network in evaluation mode; ``ready`` is called before every use."""
        self.network, self.ready = network, ready
        self._packed = PackedNetwork(network)

    def vectors(self, ids: Tensor) -> Tensor:
        """Embeddings (…, width) of tokens, as the network reads them."""
        answer: Tensor = self.network.get_input_embeddings()(ids)
        return answer

    def table(self) -> Tensor:
        """Embeddings (vocabulary, width) of all tokens, as the network reads them."""
        import torch

        layer = self.network.get_input_embeddings()
        # Others scale what they look up.
        plain = type(layer) is torch.nn.Embedding
        return layer.weight if plain else self.vectors(torch.arange(layer.num_embeddings))

    @contextmanager
    def fast(self, rough: bool, gradient: bool = False) -> Iterator[None]:
        """Within it, passes use packed weights, in bfloat16 where rough.

        With a gradient only rough ones do: weights that are packed both ways take twice the room.
        """
        import torch

        self.ready()
        if gradient and not rough:
            with torch.enable_grad():
                yield
        else:
            with self._packed.fast(half=rough, gradient=gradient):
                yield

    def beginning(self, vectors: Tensor) -> Past:
        """Keys and values of one beginning (1, p, width)."""
        self.ready()
        cache = self._read(None, 0, vectors).past_key_values
        return [(layer.keys, layer.values) for layer in cache.layers]

    def states(self, past: Past | None, length: int, vectors: Tensor, last: int) -> Tensor:
        """Last hidden states (b, last, width) of the last places of rows.

        Args:
            past: keys and values of a beginning that all rows share, or None.
            length: how much of it to use.
            vectors: (b, t, width) embeddings of what follows in each row.
            last: how many places are needed.
        """
        self.ready()
        states: Tensor = self._read(past, length, vectors).last_hidden_state
        return states[:, -last:]

    def logits(self, states: Tensor) -> Tensor:
        """(…, width) → (…, vocabulary)."""
        answer: Tensor = self.network.get_output_embeddings()(states)
        return answer.float()

    def _read(self, past: Past | None, length: int, vectors: Tensor) -> Any:
        import torch
        from transformers import DynamicCache

        b, t, _ = vectors.shape
        cache = DynamicCache()
        for layer, pair in enumerate(past or ()):
            keys, values = (some[:, :, :length].expand(b, -1, -1, -1) for some in pair)
            cache.update(keys, values, layer)
        places = torch.arange(length, length + t).expand(b, t)
        return self.network.get_decoder()(
            inputs_embeds=vectors, position_ids=places, past_key_values=cache, use_cache=True
        )
