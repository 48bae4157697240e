"""Directions of the residual stream of a small transformer: to see, and to take out of its weights.

A direction is the difference of the mean activations of two kinds of texts at the last token,
behind a layer (arXiv:2406.11717).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.language import gpt, text
from hartley.kit.language.chat_training import TABLES

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """Where two kinds of texts differ, behind each layer.

    Attributes:
        units: (layers, width) unit vectors from the second kind to the first.
        apart: (layers,) how far the means are apart, in standard deviations along the vector.
    """

    units: NDArray[np.float64]
    apart: NDArray[np.float64]


def directions(
    weights: Mapping[str, NDArray[Any]],
    shape: gpt.Shape,
    ones: NDArray[Any],
    others: NDArray[Any],
) -> Directions:
    """Return the directions along which two kinds of texts differ at their last token.

    Args:
        weights: parameters by name.
        shape: the network.
        ones: (n, t) token ids, padded with −1 on the right.
        others: (m, t) token ids of the other kind.
    """
    first, second = (streams(weights, shape, np.asarray(rows)) for rows in (ones, others))
    apart = first.mean(1) - second.mean(1)
    sizes = np.linalg.norm(apart, axis=1)
    units = apart / np.maximum(sizes, 1e-12)[:, None]
    along = [np.einsum("lnw,lw->ln", states, units) for states in (first, second)]
    spread = np.sqrt(sum(values.var(1) for values in along))
    return Directions(units, sizes / np.maximum(spread, 1e-9))


def streams(
    weights: Mapping[str, NDArray[Any]], shape: gpt.Shape, rows: NDArray[Any]
) -> NDArray[np.float64]:
    """Return (layers, n, width) of the residual stream at each row's last token, behind layers."""
    import torch

    state = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
    passed: list[Any] = []
    ids = torch.from_numpy(np.maximum(rows, 0))
    last = torch.from_numpy(text.lengths(rows) - 1)
    here = torch.arange(len(rows))

    def tap(name: str, input_: Any, output: Any) -> Any:
        # What enters a layer's first norm, and the last one, is the stream behind a layer.
        if name == "norm" or (name.endswith(".norm1") and name != "0.norm1"):
            passed.append(input_[here, last])
        return output

    with torch.inference_mode():
        places = torch.arange(ids.shape[1]).expand(*ids.shape)
        gpt.hidden(state, shape, ids, places, None, tap=tap)
    stacked: NDArray[np.float64] = torch.stack(passed).double().numpy()
    return stacked


def without(state: Mapping[str, Any], unit: Any, share: float = 1.0) -> dict[str, Any]:
    """Return parameters that write less along a direction of the residual stream.

    Args:
        state: by name, all arrays or all tensors, of ``kit.language.gpt``.
        unit: (width,) unit vector of the same kind; tensors keep its gradient.
        share: how much of what is written along it goes.
    """
    out = dict(state)
    for name, array in state.items():
        # Tables write rows, the others columns.
        if name in TABLES:
            out[name] = array - share * (array @ unit)[:, None] * unit
        elif name.endswith((".out", ".down")):
            out[name] = array - share * unit[:, None] * (unit @ array)
    return out
