"""Many dense nets as one computation: stacked weights, batched matrix products, one optimiser.

The gradients are written out by hand: for nets this small, autograd's bookkeeping costs as much as
the arithmetic. All K·P numbers are in one flat buffer, so the optimiser is a single fused call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.kit.fleet.training import Lesson, Training
from hartley.kit.fused_adam import FusedAdamW

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.kit.nets import Net

    Stack = dict[str, NDArray[np.float32]]


def train_dense(
    lesson: Lesson, starts: list[Stack], orders: list[NDArray[np.int32]]
) -> list[Stack]:
    """Train one group of dense nets side by side.

    Args:
        lesson: the dense net, the records as (n, features), the targets (n, classes) or each
            model's own (K, n, classes), and the recipe.
        starts: first weights of each model.
        orders: (steps, batch) record indices of each model; the numbers of steps may differ.

    Returns:
        The trained weights of each model.
    """
    import torch

    net, x, targets, training = lesson.net, lesson.x, lesson.targets, lesson.training
    lengths = [len(order) for order in orders]
    flat, weights = flatten(net, starts, x.device)
    slope, grads = flatten(net, starts, x.device)
    mover = Mover([flat], [slope], weights, lengths, training)
    done: list[Stack] = [dict(start) for start in starts]
    longest = max(lengths)
    padded = np.zeros((longest, len(orders), training.batch), np.int64)
    for k, order in enumerate(orders):
        padded[: len(order), k] = order
    steps = torch.from_numpy(padded).to(x.device)
    taught = steps
    if targets.dim() == 3:
        shift = len(x) * np.arange(len(orders))[:, None]
        targets, taught = targets.flatten(0, 1), torch.from_numpy(padded + shift).to(x.device)
    ends = set(lengths)
    with torch.no_grad():
        for t in range(longest):
            shape = (len(orders), training.batch, -1)
            inputs = x.index_select(0, steps[t].flatten()).view(shape)
            wanted = targets.index_select(0, taught[t].flatten()).view(shape)
            _gradients(weights, grads, inputs, wanted)
            mover.step(t)
            # A model whose own records are used up is read off here; what its slot of the stack
            # computes afterwards is thrown away.
            if t + 1 in ends:
                for k in (k for k, length in enumerate(lengths) if length == t + 1):
                    done[k] = {n: w[k].cpu().numpy().copy() for n, w in zip_names(net, weights)}
    return done


def flatten(
    net: Net, starts: list[Stack], device: torch.device
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """One flat buffer, and (K, out, in) or (K, 1, out) views into it in the order of the layers."""
    import torch

    stacks = [np.stack([start[name] for start in starts]) for name in net.shapes]
    flat = torch.from_numpy(np.concatenate([s.reshape(-1) for s in stacks])).to(device)
    views, at = [], 0
    for stack in stacks:
        view = flat[at : at + stack.size].view(stack.shape)
        views.append(view if view.ndim == 3 else view.unsqueeze(1))
        at += stack.size
    return flat, views


def zip_names(net: Net, weights: list[torch.Tensor]) -> list[tuple[str, torch.Tensor]]:
    """Pair the views of :func:`flatten` with the names, biases back in their own shape."""
    return [
        (name, view if name.endswith("weight") else view.squeeze(1))
        for name, view in zip(net.shapes, weights, strict=True)
    ]


class Mover:
    """One optimiser step for all models of a stack.

    With a fixed learning rate the optimiser moves the weights themselves. Models that anneal have
    a rate each, since their numbers of steps differ: then the optimiser moves a buffer of zeros,
    and each model adds its share of that.
    """

    def __init__(
        self,
        buffers: list[torch.Tensor],
        slopes: list[torch.Tensor],
        weights: list[torch.Tensor],
        lengths: list[int],
        training: Training,
    ) -> None:
        """Set up the optimiser.

        Args:
            buffers: tensors that hold the weights, as few as possible.
            slopes: the gradient of each buffer; written by the caller before each step.
            weights: views into the buffers whose first axis is the model, covering all of them.
            lengths: steps of each model.
            training: the recipe.
        """
        import torch

        self.training, self.weights = training, weights
        self.term = [torch.zeros_like(b) for b in buffers] if training.anneal else buffers
        parameters = [torch.nn.Parameter(m) for m in self.term]
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = slope
        self.optimiser = FusedAdamW(parameters, training.lr, training.decay)
        self.lengths = torch.tensor([max(1, n) for n in lengths], device=buffers[0].device)
        # The same places in the moves as the weights have in their buffers.
        is_single = len(buffers) == 1
        self.shares = [self.term[0].as_strided(w.shape, w.stride(), w.storage_offset())
                       for w in weights] if is_single else self.term  # fmt: skip

    def step(self, t: int) -> None:
        """Take step ``t`` (from 0) along the slopes."""
        if not self.training.anneal:
            self.optimiser.step()
            return
        for move in self.term:
            move.zero_()
        self.optimiser.step()
        rate = (1 - t / self.lengths).clamp_(min=0).float()
        for weight, share in zip(self.weights, self.shares, strict=True):
            each = rate.view(-1, *[1] * (weight.ndim - 1))
            if self.training.decay:
                weight.mul_(1 - self.training.lr * self.training.decay * each)
            weight.addcmul_(share, each)


def _gradients(
    weights: list[torch.Tensor],
    grads: list[torch.Tensor],
    inputs: torch.Tensor,
    wanted: torch.Tensor,
) -> None:
    """Write the gradient of the mean cross-entropy into ``grads``, all models at once."""
    import torch

    acts = [inputs]
    last = len(weights) // 2 - 1
    for i in range(last + 1):
        out = torch.baddbmm(weights[2 * i + 1], acts[-1], weights[2 * i].transpose(1, 2))
        acts.append(out.relu_() if i < last else out)
    back = torch.softmax(acts.pop(), 2).sub_(wanted).div_(inputs.shape[1])
    for i in range(last, -1, -1):
        torch.bmm(back.transpose(1, 2), acts[i], out=grads[2 * i])
        torch.sum(back, 1, keepdim=True, out=grads[2 * i + 1])
        if i:
            back = torch.bmm(back, weights[2 * i]).mul_(acts[i] > 0)
