"""One model after another: the plain loop that is the oracle, and the tight loop that is fast.

The tight loop saves what a plain one wastes on a small network: it gathers many batches at once;
keeps one bfloat16 copy of the weights for the arithmetic, if asked, beside the float32 weights that
the optimiser moves; and updates all weights by one fused kernel. Convolutions have a tight loop of
their own (``convs.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hartley.kit.fleet.dense_training import Mover
from hartley.kit.fleet.training import Lesson, Training
from hartley.kit.fused_adam import FusedAdamW

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Stack = dict[str, NDArray[np.float32]]

GATHER = 64
"""Batches that are gathered at once: contiguous, yet small against the memory."""


def native_bfloat16(device: str) -> bool:
    """Whether bfloat16 is worth its rounding here: the processor multiplies it in hardware."""
    import torch

    if device != "cpu":
        return False
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe and probe())


def train_plain(
    lesson: Lesson,
    start: Stack,
    order: NDArray[np.int32],
) -> Stack:
    """Train one model as a textbook would; the oracle that every other strategy must agree with."""
    import torch

    net, x, targets, training = lesson.net, lesson.x, lesson.targets, lesson.training
    module = net.module(start).to(x.device)
    optimiser = torch.optim.AdamW(module.parameters(), lr=training.lr, weight_decay=training.decay)
    loss = torch.nn.CrossEntropyLoss()
    for t, row in enumerate(order):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(training, t, len(order))
        index = torch.from_numpy(row).to(x.device).long()
        optimiser.zero_grad()
        loss(module(x[index]), targets[index]).backward()
        optimiser.step()
    return _weights(module.state_dict())


def train_tight(
    lesson: Lesson,
    start: Stack,
    order: NDArray[np.int32],
    *,
    bfloat16: bool,
) -> Stack:
    """Train one model with less of a plain loop's overhead."""
    import torch
    import torch.nn.functional as F

    net, x, targets, training = lesson.net, lesson.x, lesson.targets, lesson.training
    module = net.module(start).to(x.device)
    masters = list(module.parameters())
    worker = module
    if bfloat16:
        worker = net.module(start).to(x.device, torch.bfloat16)
    used = list(worker.parameters())
    sources: list[torch.Tensor] = [*masters]
    copies: list[torch.Tensor] = [*used]
    optimiser = FusedAdamW(masters, training.lr, training.decay)
    kind = torch.bfloat16 if bfloat16 else torch.float32
    for first in range(0, len(order), GATHER):
        index = torch.from_numpy(order[first : first + GATHER].reshape(-1)).long().to(x.device)
        inputs = x[index].to(kind)
        wanted = targets[index]
        for at in range(0, len(index), training.batch):
            rows = slice(at, at + training.batch)
            loss = F.cross_entropy(worker(inputs[rows]).float(), wanted[rows])
            for master, grad in zip(masters, torch.autograd.grad(loss, used), strict=True):
                master.grad = grad.float()
            optimiser.lr = rate_at(training, first + at // training.batch, len(order))
            optimiser.step()
            if bfloat16:
                with torch.no_grad():
                    torch._foreach_copy_(copies, sources)
    return _weights(module.state_dict())


def train_stacked(
    lesson: Lesson,
    starts: list[Stack],
    orders: list[NDArray[np.int32]],
) -> list[Stack]:
    """Train a group of any nets as one computation by ``torch.func``: the GPU's way.

    Returns:
        The trained weights of each model, in the order given.
    """
    import numpy
    import torch
    import torch.nn.functional as F

    net, x, targets, training = lesson.net, lesson.x, lesson.targets, lesson.training
    weights = {
        name: torch.from_numpy(numpy.stack([s[name] for s in starts])).to(x.device)
        for name in net.shapes
    }
    done = [dict(start) for start in starts]

    def loss(w: dict[str, torch.Tensor], a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(net.forward(w, a), b)

    slopes = torch.func.vmap(torch.func.grad(loss))
    lengths = [len(order) for order in orders]
    tensors = list(weights.values())
    grads = [torch.zeros_like(value) for value in tensors]
    mover = Mover(tensors, grads, tensors, lengths, training)
    each = torch.arange(len(orders), device=x.device)[:, None]
    for t in range(max(lengths)):
        rows = numpy.stack([o[min(t, len(o) - 1)] if len(o) else _idle(o) for o in orders])
        index = torch.from_numpy(rows).long().to(x.device)
        wanted = targets[index] if targets.dim() == 2 else targets[each, index]
        gradients = slopes(weights, x[index], wanted)
        with torch.no_grad():
            for grad, value in zip(grads, gradients.values(), strict=True):
                grad.copy_(value)
            mover.step(t)
        for k in (k for k, length in enumerate(lengths) if length == t + 1):
            done[k] = _weights({name: p[k] for name, p in weights.items()})
    return done


def rate_at(training: Training, t: int, steps: int) -> float:
    """Return the learning rate of step ``t`` of ``steps``."""
    return training.lr * (1 - t / steps) if training.anneal else training.lr


def _idle(order: NDArray[np.int32]) -> NDArray[np.int32]:
    """A batch for a model without records; its result is not used."""
    import numpy

    return numpy.zeros(order.shape[1], numpy.int32)


def _weights(state: dict[str, Any]) -> Stack:
    return {
        n: value.detach().float().cpu().contiguous().numpy().copy() for n, value in state.items()
    }
