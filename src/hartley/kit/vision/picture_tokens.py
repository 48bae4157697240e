"""From feature maps of a picture to vectors that a language model reads as if they were tokens.

The projector of a model that reads pictures (arXiv:2304.08485), here with two transformer blocks in
which the places of the map see one another: a frozen language model puts no letters together that
are in different places. Each output is a point at the usual distance of the language model's
embeddings from their mean, in any direction. Imports torch inside functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PLACES, FEATURES = 16, 1728
"""Of a feature map (``models.efficientnet.feature_maps``)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The projector.

    Attributes:
        width: of its blocks.
        layers: how many.
        heads: of their attention.
        out: width of the language model.
    """

    width: int
    layers: int
    heads: int
    out: int

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return {"picture tokens": 1, **asdict(self)}


def initial(shape: Shape, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw the first parameters, by name."""
    import torch

    def matrix(rows: int, columns: int, share: float = 1.0) -> Tensor:
        return torch.randn(rows, columns, generator=generator) * share / columns**0.5

    w = shape.width
    state = {
        "mean": torch.zeros(FEATURES),
        "spread": torch.ones(FEATURES),
        "in": matrix(w, FEATURES),
        "places": torch.randn(PLACES, w, generator=generator) * 0.5,
    }
    for layer in range(shape.layers):
        state[f"{layer}.norm1"] = torch.ones(w)
        state[f"{layer}.qkv"] = matrix(3 * w, w)
        state[f"{layer}.out"] = matrix(w, w, 0.5)
        state[f"{layer}.norm2"] = torch.ones(w)
        state[f"{layer}.up"] = matrix(4 * w, w)
        state[f"{layer}.down"] = matrix(w, 4 * w, 0.5)
    state["norm"] = torch.ones(w)
    state["last"] = matrix(shape.out, w)
    state["centre"] = torch.zeros(shape.out)
    state["radius"] = torch.ones(1)
    return state


FIXED = ("mean", "spread", "centre", "radius")
"""Parameters that are measured and not trained."""


def tokens(state: Mapping[str, Tensor], shape: Shape, maps: Tensor, drop: float = 0.0) -> Tensor:
    """Return vectors (n, 16, out) of feature maps (n, 16, 1728).

    Args:
        state: parameters by name.
        shape: the projector.
        maps: of pictures.
        drop: share of a block's outputs that is dropped, in training.
    """
    from torch.nn import functional

    def norm(name: str, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (shape.width,), state[name])

    n = len(maps)
    x = ((maps - state["mean"]) / state["spread"]) @ state["in"].T + state["places"]
    for layer in range(shape.layers):
        flat = norm(f"{layer}.norm1", x) @ state[f"{layer}.qkv"].T
        q, k, v = flat.view(n, PLACES, 3, shape.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        mixed = mixed.reshape(n, PLACES, -1) @ state[f"{layer}.out"].T
        x = x + functional.dropout(mixed, drop, drop > 0)
        inner = functional.gelu(norm(f"{layer}.norm2", x) @ state[f"{layer}.up"].T)
        x = x + functional.dropout(inner @ state[f"{layer}.down"].T, drop, drop > 0)
    directions = functional.normalize(norm("norm", x) @ state["last"].T, dim=-1)
    return state["centre"] + state["radius"] * directions
