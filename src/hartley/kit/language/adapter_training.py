"""Train low-rank adapters of the upper layers of a Llama network on questions and answers.

What is below the adapters never changes: its states of each row are computed once, and the epochs
go through the layers above alone. Of a network of 30 layers with adapters in ten, an epoch takes a
third of the time. Only answers are learnt (arXiv:2106.09685).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.language import llama, text

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

TOKENS = 2048
"""Tokens of a batch whose lower states are computed at once."""


@dataclass(frozen=True, slots=True)
class Course:
    """How adapters are trained: AdamW, the rate constant at first and then falling to nothing.

    Attributes:
        first: the lowest layer that gets adapters.
        rank: of the adapters.
        epochs: passes over the rows.
        batch: rows a step.
        rate: learning rate.
        falls: the share of steps, the last ones, in which the rate falls.
    """

    first: int = 20
    rank: int = 32
    epochs: int = 5
    batch: int = 32
    rate: float = 2e-3
    falls: float = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Questions with their answers as tokens.

    Attributes:
        tokens: (n, t) padded with −1.
        first: (n,) place of the first token of each answer.
    """

    tokens: NDArray[np.int64]
    first: NDArray[np.int64]


def fresh(
    state: Mapping[str, Tensor], shape: llama.Shape, course: Course, seed: int
) -> dict[str, NDArray[np.float32]]:
    """Return adapters that change nothing yet, by name: the lower halves drawn, the upper 0."""
    rng = np.random.default_rng(seed)
    out = {}
    for layer in range(course.first, shape.layers):
        for name in llama.MATRICES:
            outputs, inputs = state[f"{layer}.{name}"].shape
            drawn = rng.standard_normal((course.rank, inputs)) / math.sqrt(inputs)
            out[f"{layer}.{name}{llama.DOWN}"] = drawn.astype(np.float32)
            out[f"{layer}.{name}{llama.UP}"] = np.zeros((outputs, course.rank), np.float32)
    return out


def trained(
    state: Mapping[str, Tensor],
    shape: llama.Shape,
    rows: Rows,
    start: Mapping[str, NDArray[Any]],
    course: Course,
    *,
    seed: int,
) -> dict[str, NDArray[np.float32]]:
    """Train adapters; return them by name, float32.

    Args:
        state: the frozen parameters by name; in bfloat16 they are multiplied so.
        shape: the network.
        rows: what is learnt: the answers.
        start: adapters to begin with (see ``fresh``).
        course: how they are trained.
        seed: of the order of the rows.
    """
    import torch

    weights = {
        name: torch.from_numpy(np.array(array)).requires_grad_() for name, array in start.items()
    }
    optimiser = torch.optim.AdamW(
        list(weights.values()), lr=course.rate, betas=(0.9, 0.98), weight_decay=0.0
    )
    below = lower_states(state, shape, rows.tokens, course.first)
    lengths, rng = text.lengths(rows.tokens), np.random.default_rng(seed)
    both, upper = {**state, **weights}, range(course.first, shape.layers)
    plan = [some for _ in range(course.epochs) for some in _batches(lengths, course.batch, rng)]
    for step, some in enumerate(plan):
        width = int(lengths[some].max())
        tokens = torch.from_numpy(rows.tokens[some][:, :width])
        x = torch.zeros(len(some), width - 1, shape.width)
        for i, row in enumerate(some):
            x[i, : lengths[row] - 1] = below[row]
        first = torch.from_numpy(rows.first[some])
        learnt = (tokens[:, 1:] >= 0) & (torch.arange(1, width) >= first[:, None])
        x = llama.between(both, shape, x, upper)
        states = llama.last_norm(state, shape, x)[learnt]
        logits = torch.nn.functional.linear(states.to(state["tokens"].dtype), state["tokens"])
        loss = torch.nn.functional.cross_entropy(logits.float(), tokens[:, 1:][learnt])
        for group in optimiser.param_groups:
            group["lr"] = course.rate * _pace(step, len(plan), course.falls)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimiser.step()
    return {name: tensor.detach().numpy().copy() for name, tensor in weights.items()}


def lower_states(
    state: Mapping[str, Tensor], shape: llama.Shape, rows: NDArray[np.int64], first: int
) -> list[Tensor]:
    """Return the stream before layer ``first`` of each row but its last token, bfloat16."""
    import torch

    lengths = text.lengths(rows)
    out: list[Any] = [None] * len(rows)
    order = np.argsort(lengths, kind="stable")
    size = max(1, TOKENS // int(lengths.max()))
    with torch.no_grad():
        for some in (order[i : i + size] for i in range(0, len(order), size)):
            ids = torch.from_numpy(rows[some][:, : lengths[some].max() - 1].clip(0))
            x = state["tokens"][ids].float()
            x = llama.between(state, shape, x, range(first)).bfloat16()
            for row, states in zip(some, x, strict=True):
                out[row] = states[: lengths[row] - 1].clone()
    return out


def add_to(network: Any, adapters: Mapping[str, NDArray[Any]]) -> None:
    """Add adapters to the matrices of a ``LlamaForCausalLM``, in place."""
    import torch

    layers = dict(network.named_modules())
    with torch.no_grad():
        for name, down in adapters.items():
            matrix = name.removesuffix(llama.DOWN)
            if matrix != name:
                product = np.float32(llama.SCALE) * (adapters[matrix + llama.UP] @ down)
                weight = layers[llama.theirs(matrix)].weight
                weight.add_(torch.from_numpy(product).to(weight.dtype))


def _batches(
    lengths: NDArray[np.int64], size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yield row numbers in batches of rows of like length, which leaves little padding."""
    order = rng.permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    cuts = [order[i : i + size] for i in range(0, len(order), size)]
    for i in rng.permutation(len(cuts)):
        yield cuts[i]


def _pace(step: int, steps: int, falls: float) -> float:
    return min(1.0, (step + 1) / 20, (steps - step) / max(1.0, falls * steps))
