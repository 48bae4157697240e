"""DP-SGD for the transformer of ``kit.language.gpt``; a record is one text (ghost clipping).

A layer's gradient on one text is a sum of outer products over its tokens, GᵀA, so that its norm
follows from the two Gram matrices of the tokens, ⟨AAᵀ, GGᵀ⟩ (arXiv:2110.05679), and the clipped sum
over texts is one matrix product of what backpropagation has made anyway (arXiv:2210.00038). One
pass forward and one back serve both; no text's own gradient is ever written out. The head is tied
to the embedding: the norm of their sum has a cross term.

Sampling, the noise's streams and the divisor are those of ``kit.fleet.dp_training``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import spawn
from hartley.kit.fleet.dp_training import TINY, Privacy, add_noise, drawn
from hartley.kit.fused_adam import FusedAdamW
from hartley.kit.language import gpt

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

VERSION = 1
"""Of what it computes: a part of every key that its networks are kept under."""

CHUNK = 2**20
"""Logits of the texts in one pass: they should stay in the processor's cache."""


def train_private(
    rows: NDArray[Any],
    shape: gpt.Shape,
    privacy: Privacy,
    seed: int,
    dropped: NDArray[np.bool_] | None = None,
    *,
    start: Mapping[str, NDArray[Any]] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Train a network on token rows by DP-SGD; a row is a record.

    Args:
        rows: (n, t) token ids, padded with −1 on the right, t ≤ ``shape.context``.
        shape: the network.
        privacy: the numbers of the run; none of them may depend on ``rows``.
        seed: of the initial weights, the batches and the noise.
        dropped: (n, t) tokens that are read but not learnt.
        start: parameters to start from, made without any of the rows; None draws them.

    Returns:
        Parameters by name, float32.
    """
    import torch

    state = gpt.initial(shape, torch.Generator().manual_seed(seed))
    if start is not None:
        state = {name: torch.from_numpy(np.array(start[name])) for name in state}
    flat, state = _flat(state)
    slope, sums = _flat({name: torch.zeros_like(v) for name, v in state.items()})
    parameter = torch.nn.Parameter(flat)
    parameter.grad = slope
    optimiser = FusedAdamW([parameter], privacy.lr, privacy.decay)
    rng = np.random.default_rng(spawn(seed, "private"))
    everyone, scale = np.arange(len(rows)), privacy.noise * privacy.clip
    for _ in range(privacy.steps):
        some = drawn(everyone, rng, privacy.rate)
        slope.zero_()
        for part in _parts(rows, some, max(1, CHUNK // (shape.vocabulary * rows.shape[1]))):
            width = max(2, int((rows[part] >= 0).sum(1).max()))  # as in gpt.train
            add_clipped(
                state,
                sums,
                shape,
                torch.from_numpy(np.array(rows[part][:, :width])),
                None if dropped is None else torch.from_numpy(np.array(dropped[part][:, :width])),
                clip=privacy.clip,
            )
        if scale:
            add_noise([slope[None]], [rng], scale)
        slope.div_(privacy.expected)
        optimiser.step()
    return {name: v.numpy().copy() for name, v in state.items()}


def add_clipped(
    state: Mapping[str, Tensor],
    sums: Mapping[str, Tensor],
    shape: gpt.Shape,
    rows: Tensor,
    dropped: Tensor | None = None,
    *,
    clip: float,
) -> Tensor:
    """Add Σᵢ gᵢ·min(1, clip/‖gᵢ‖) to ``sums`` and return the norms ‖gᵢ‖ (n,).

    gᵢ is the gradient of text i's own loss: the mean of −log p over its learnt tokens, or 0
    without any.

    Args:
        state: parameters by name.
        sums: the same names and shapes, added to.
        shape: the network.
        rows: (n, t) token ids, padded with −1 on the right.
        dropped: (n, t) tokens that are read but not learnt.
        clip: the bound; infinity leaves every gradient as it is.
    """
    import torch
    from torch.nn import functional

    ids = rows.clamp(min=0)
    n, t = ids.shape
    real = rows[:, 1:] >= 0
    if dropped is not None:
        real = real & ~dropped[:, 1:]
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def tap(name: str, given: Tensor, out: Tensor) -> Tensor:
        # Parameters do not require gradients: the graph begins at the embedded tokens.
        inputs[name], outputs[name] = given, out.requires_grad_() if name == "tokens" else out
        return outputs[name]

    places = torch.arange(t - 1).expand(n, t - 1)
    with torch.enable_grad():
        states = gpt.hidden(state, shape, ids[:, :-1], places, None, tap=tap)
    with torch.no_grad():
        last = states.detach()
        blame = (last @ state["tokens"].T).softmax(-1)
        blame.scatter_add_(2, ids[:, 1:, None], blame.new_full((n, t - 1, 1), -1.0))
        blame *= (real / real.sum(1, keepdim=True).clamp(min=1))[..., None]
        slopes = torch.autograd.grad(states, list(outputs.values()), blame @ state["tokens"])
        back = dict(zip(outputs, slopes, strict=True))
        begin, embedded = ids[:, :-1], back.pop("tokens")
        norm_gradients: dict[str, Tensor] = {}
        for name, slope in back.items():
            if name.rpartition(".")[2].startswith("norm"):
                norm_gradients[name] = (
                    slope * functional.rms_norm(inputs[name], (shape.width,))
                ).sum(1)
        # The embedding and the head are one matrix: ‖E + H‖² = ‖E‖² + ‖H‖² + 2⟨E, H⟩, where E has
        # rows by the tokens that were read and H by those that might have come.
        alike = begin[:, :, None] == begin[:, None, :]
        begin_blame = blame.gather(2, begin[:, None, :].expand(n, t - 1, t - 1))
        square = (_gram(embedded) * alike).sum((1, 2))
        square += (_gram(blame) * _gram(last)).sum((1, 2))
        square += 2 * (begin_blame * (last @ embedded.transpose(1, 2))).sum((1, 2))
        square += embedded.square().sum((1, 2))  # the positions
        for name, slope in back.items():
            if name in norm_gradients:
                square += norm_gradients[name].square().sum(1)
            else:
                square += (_gram(inputs[name]) * _gram(slope)).sum((1, 2))
        norms = square.clamp_(min=0).sqrt()
        factor = (clip / (norms + TINY)).clamp_(max=1.0)
        each = factor[:, None, None]
        for name, slope in back.items():
            if name in norm_gradients:
                sums[name].addmv_(norm_gradients[name].T, factor)
            else:
                _product(sums[name], slope * each, inputs[name])
        embedded = embedded * each
        _product(sums["tokens"], blame * each, last)
        sums["tokens"].index_add_(0, begin.flatten(), embedded.flatten(0, 1))
        sums["positions"][: t - 1] += embedded.sum(0)
    return norms


def _gram(x: Tensor) -> Tensor:
    """Return the inner products (n, t, t) of each text's tokens (n, t, d)."""
    return x @ x.transpose(1, 2)


def _product(into: Tensor, slope: Tensor, given: Tensor) -> None:
    into.addmm_(slope.flatten(0, 1).T, given.flatten(0, 1))


def _flat(state: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """One buffer for all parameters, and views into it by their names."""
    import torch

    flat = torch.cat([v.flatten() for v in state.values()])
    cut = torch.split(flat, [v.numel() for v in state.values()])
    return flat, {k: part.view(v.shape) for (k, v), part in zip(state.items(), cut, strict=True)}


def _parts(rows: NDArray[Any], some: NDArray[Any], size: int) -> list[NDArray[Any]]:
    """Rows of like length together, so that little of a pass is padding."""
    order = some[np.argsort((rows[some] >= 0).sum(1), kind="stable")]
    return [order[i : i + size] for i in range(0, len(order), size)]
