"""A small causal transformer, trained here from scratch: 1.1 million parameters by default.

Pre-norm blocks with RMS norms and no biases (so that the last hidden states span the whole width,
which layer norm would not), learned positions, tied head (arXiv:1706.03762, arXiv:2002.04745).
Imports torch inside functions: importing this module is free.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

Hidden = Callable[[Any, Any, Any], Any]
"""(ids (b, t), positions (b, t), sees (b, t, t) booleans or None) → hidden states (b, t, width)."""

Tap = Callable[[str, Any, Any], Any]
"""(parameter name, its input, its output) → the output to use instead."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The network: 1.08 M parameters with a vocabulary of 2,048."""

    vocabulary: int = 2048
    width: int = 128
    layers: int = 4
    heads: int = 4
    context: int = 64


@dataclass(frozen=True, slots=True)
class Lesson:
    """How it is trained: AdamW, linear warm-up and cosine decay, batches of equal-length rows."""

    epochs: int = 4
    batch: int = 16
    rate: float = 2e-3
    decay: float = 0.1


def train(
    rows: NDArray[Any],
    shape: Shape,
    lesson: Lesson,
    seed: int,
    dropped: NDArray[np.bool_] | None = None,
    *,
    start: Mapping[str, NDArray[Any]] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Train a network on token rows, from scratch or from where another ended.

    Args:
        rows: (n, t) token ids, padded with −1 on the right, t ≤ ``shape.context``.
        shape: the network.
        lesson: the recipe.
        seed: of the initial weights and of the order of the rows.
        dropped: (n, t) tokens that are read but not learnt: they are left out of the loss.
        start: parameters to start from; None draws them.

    Returns:
        Parameters by name, float32.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    fresh = initial(shape, generator)
    if start is not None:
        fresh = {name: torch.from_numpy(np.array(start[name])) for name in fresh}
    state = {k: v.requires_grad_() for k, v in fresh.items()}
    matrices = [v for k, v in state.items() if v.ndim > 1 and k != "positions"]
    vectors = [v for k, v in state.items() if v.ndim == 1 or k == "positions"]
    decaying: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": lesson.decay},
        {"params": vectors},
    ]
    optimiser = torch.optim.AdamW(
        decaying,
        lr=lesson.rate,
        betas=(0.9, 0.95),
        weight_decay=0.0,
    )
    order = np.random.default_rng(seed)
    plan = [some for _ in range(lesson.epochs) for some in _batches(rows, lesson.batch, order)]
    for step, some in enumerate(plan):
        for group in optimiser.param_groups:
            group["lr"] = lesson.rate * _pace(step, len(plan))
        # One token is nothing to learn from, but there has to be a next one to look at.
        width = max(2, int((rows[some] >= 0).sum(1).max()))
        losses = nll(
            state,
            shape,
            torch.from_numpy(rows[some][:, :width]),
            None if dropped is None else torch.from_numpy(dropped[some][:, :width]),
        )
        # Everything in a batch may have been dropped: there is nothing to learn from it then.
        loss = losses.mean() if len(losses) else losses.sum()
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(state.values(), 1.0)
        optimiser.step()
    return {k: v.detach().numpy().copy() for k, v in state.items()}


def nll(
    state: Mapping[str, Tensor], shape: Shape, rows: Tensor, dropped: Tensor | None = None
) -> Tensor:
    """Return −log p of every token that follows another in rows (n, t), flat, in nats.

    Tokens that are ``dropped`` (n, t) are read by those after them and have no loss of their own.
    """
    import torch

    ids = rows.clamp(min=0)
    n, t = ids.shape
    positions = torch.arange(t - 1).expand(n, t - 1)
    states = hidden(state, shape, ids[:, :-1], positions, None)
    real = rows[:, 1:] >= 0
    if dropped is not None:
        real &= ~dropped[:, 1:]
    logits = states[real] @ state["tokens"].T
    return torch.nn.functional.cross_entropy(logits, ids[:, 1:][real], reduction="none")


def hidden(
    state: Mapping[str, Tensor],
    shape: Shape,
    ids: Tensor,
    positions: Tensor,
    sees: Tensor | None,
    *,
    tap: Tap | None = None,
) -> Tensor:
    """Return the last hidden states (b, t, width), after the final norm.

    Args:
        state: parameters by name.
        shape: the network.
        ids: (b, t) token ids, none of them padding.
        positions: (b, t) place of each token in its row.
        sees: (b, t, t) which token attends to which; None means all before it and itself.
        tap: reads along where a parameter is used; the first, ``tokens``, is the embedding.
    """
    from torch.nn import functional

    def met(name: str, input_: Tensor, output: Tensor) -> Tensor:
        return output if tap is None else tap(name, input_, output)

    def times(name: str, x: Tensor) -> Tensor:
        return met(name, x, x @ state[name].T)

    def norm(name: str, x: Tensor) -> Tensor:
        return met(name, x, functional.rms_norm(x, (shape.width,), state[name]))

    b, t = ids.shape
    x = met("tokens", ids, state["tokens"][ids] + state["positions"][positions])
    mask = None if sees is None else sees[:, None]
    for layer in range(shape.layers):
        flat = times(f"{layer}.qkv", norm(f"{layer}.norm1", x))
        q, k, v = flat.view(b, t, 3, shape.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None
        )
        x = x + times(f"{layer}.out", mixed.transpose(1, 2).reshape(b, t, -1))
        inner = times(f"{layer}.up", norm(f"{layer}.norm2", x))
        x = x + times(f"{layer}.down", functional.gelu(inner))
    return norm("norm", x)


def recipe(shape: Shape, lesson: Lesson) -> dict[str, Any]:
    """Return the part of a cache key that describes the network and its training."""
    return {"gpt": 2, **asdict(shape), **asdict(lesson)}


def initial(shape: Shape, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw the first parameters of a network, by name."""
    import torch

    d = shape.width

    def normal(*size: int, scale: float = d**-0.5) -> Tensor:
        return torch.randn(*size, generator=generator) * scale

    state = {
        "tokens": normal(shape.vocabulary, d, scale=0.02),
        "positions": normal(shape.context, d, scale=0.02),
    }
    calm = 1 / math.sqrt(2 * shape.layers * d)
    for layer in range(shape.layers):
        state[f"{layer}.norm1"] = torch.ones(d)
        state[f"{layer}.qkv"] = normal(3 * d, d)
        state[f"{layer}.out"] = normal(d, d, scale=calm)
        state[f"{layer}.norm2"] = torch.ones(d)
        state[f"{layer}.up"] = normal(4 * d, d)
        state[f"{layer}.down"] = normal(d, 4 * d, scale=calm)
    state["norm"] = torch.ones(d)
    return state


def _batches(rows: NDArray[Any], size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Shuffled batches of rows of like length (little of a batch is padding), as row numbers."""
    lengths = (rows >= 0).sum(1)
    order = rng.permutation(len(rows))
    order = order[np.argsort(lengths[order], kind="stable")]
    cuts = [order[i : i + size] for i in range(0, len(order), size)]
    return [cuts[i] for i in rng.permutation(len(cuts))]


def _pace(step: int, steps: int) -> float:
    warm = max(1, min(20, steps // 10))
    if step < warm:
        return (step + 1) / warm
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
