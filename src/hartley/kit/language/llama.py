"""Some layers of a Llama network, as a function of its parameters: what adapters pass through.

A deployed network is one of ``transformers``. Here it can be entered between two layers, so that
what is below adapters is read once and what is above them alone is trained (arXiv:2302.13971). On
one core it trains adapters half again as fast as ``peft`` does, whose products are in single
precision. Imports torch inside functions: importing this module is free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

NAMES = {
    "norm1": "input_layernorm",
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "out": "self_attn.o_proj",
    "norm2": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
"""Parameters of a layer: here ``3.q``, in ``transformers`` ``model.layers.3.self_attn.q_proj``."""

MATRICES = tuple(name for name in NAMES if not name.startswith("norm"))

DOWN, UP, SCALE = ".lora_a", ".lora_b", 2.0
"""An adapter of a matrix: halves (rank, inputs) and (outputs, rank), whose product counts twice."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The network; the numbers are those of SmolLM2-135M.

    Attributes:
        width: of the residual stream.
        layers: how many there are.
        heads: of queries.
        key_heads: of keys and values, which several heads of queries share.
        base: of the rotary positions.
        epsilon: of the norms.
    """

    width: int = 576
    layers: int = 30
    heads: int = 9
    key_heads: int = 3
    base: float = 100_000.0
    epsilon: float = 1e-5


def last_norm(state: Mapping[str, Tensor], shape: Shape, x: Tensor) -> Tensor:
    """Return the stream (b, t, width) behind the last layer, after the final norm."""
    from torch.nn import functional

    return functional.rms_norm(x, (shape.width,), state["norm"], shape.epsilon)


def between(state: Mapping[str, Tensor], shape: Shape, x: Tensor, layers: Sequence[int]) -> Tensor:
    """Return the stream behind some layers, given the one before them, each (b, t, width).

    Each row begins at its first place; what is behind its end is not seen from before.

    Args:
        state: parameters by name, adapters beside their matrices or not. Matrices in bfloat16 are
            multiplied so, and added in float32; norms are in float32.
        shape: the network.
        x: the stream before the first of the layers, float32.
        layers: their numbers, in order.
    """
    import torch
    from torch.nn import functional

    b, t, _ = x.shape
    d, groups = shape.width // shape.heads, shape.heads // shape.key_heads
    steps = shape.base ** (-torch.arange(0, d, 2) / d)
    angles = (torch.arange(t)[:, None] * steps).repeat(1, 2)
    cos, sin = angles.cos(), angles.sin()
    hides = torch.full((t, t), -torch.inf).triu(1)

    def times(name: str, x: Tensor) -> Tensor:
        matrix = state[name]
        y = x.to(matrix.dtype)
        out = functional.linear(y, matrix)
        if name + DOWN in state:
            less = functional.linear(y, state[name + DOWN].to(y.dtype))
            out = out + functional.linear(less, (SCALE * state[name + UP]).to(y.dtype))
        return out.float()

    def norm(name: str, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (shape.width,), state[name], shape.epsilon)

    def turned(x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return x * cos + torch.cat([-second, first], -1) * sin

    for layer in layers:
        flat = norm(f"{layer}.norm1", x)
        q, k, v = (
            times(f"{layer}.{name}", flat).view(b, t, -1, d).transpose(1, 2) for name in "qkv"
        )
        # Rows are short: plain products are faster than a fused kernel, above all backwards.
        q, k = turned(q).view(b, shape.key_heads, groups, t, d), turned(k)[:, :, None]
        weights = (q @ k.transpose(-1, -2) / d**0.5 + hides).softmax(-1)
        mixed = (weights @ v[:, :, None]).view(b, shape.heads, t, d)
        x = x + times(f"{layer}.out", mixed.transpose(1, 2).reshape(b, t, -1))
        flat = norm(f"{layer}.norm2", x)
        inner = functional.silu(times(f"{layer}.gate", flat)) * times(f"{layer}.up", flat)
        x = x + times(f"{layer}.down", inner)
    return x


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the parameters of a ``LlamaForCausalLM`` with a tied head, by their names here."""
    out = {"tokens": state["model.embed_tokens.weight"]}
    layers = sum(name.endswith(f"{NAMES['q']}.weight") for name in state)
    for layer in range(layers):
        for name in NAMES:
            out[f"{layer}.{name}"] = state[f"{theirs(f'{layer}.{name}')}.weight"]
    out["norm"] = state["model.norm.weight"]
    return out


def theirs(name: str) -> str:
    """Return the name in ``transformers`` of the layer that holds a matrix, such as ``3.q``."""
    layer, _, matrix = name.partition(".")
    return f"model.layers.{layer}.{NAMES[matrix]}"
