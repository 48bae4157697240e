"""Many dense nets as one computation: stacked weights, batched matrix products, one optimiser.

The gradients are written out by hand: for nets this small, autograd's bookkeeping costs as much as
the arithmetic. All K·P numbers lie in one flat buffer, so the optimiser is a single fused call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.fleet.plan import Lesson, Training

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
        lesson: the dense net, the records as (n, features), the targets and the recipe.
        starts: first weights of each model.
        orders: (steps, batch) record indices of each model; the numbers of steps may differ.

    Returns:
        The trained weights of each model.
    """
    import torch

    net, x, targets, training = lesson.net, lesson.x, lesson.targets, lesson.training
    flat, weights = flatten(net, starts, x.device)
    slope, grads = flatten(net, starts, x.device)
    parameter = torch.nn.Parameter(flat)
    parameter.grad = slope
    optimiser = adam([parameter], training)
    lengths = [len(order) for order in orders]
    done: list[Stack] = [dict(start) for start in starts]
    longest = max(lengths)
    padded = np.zeros((longest, len(orders), training.batch), np.int64)
    for k, order in enumerate(orders):
        padded[: len(order), k] = order
    steps = torch.from_numpy(padded).to(x.device)
    ends = set(lengths)
    with torch.no_grad():
        for t in range(longest):
            index = steps[t].flatten()
            shape = (len(orders), training.batch, -1)
            inputs = x.index_select(0, index).view(shape)
            wanted = targets.index_select(0, index).view(shape)
            _gradients(weights, grads, inputs, wanted)
            optimiser.step()
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


def adam(parameters: list[Any], training: Training) -> torch.optim.Optimizer:
    """AdamW in one fused kernel: equal to Adam at decay 0."""
    import torch

    return torch.optim.AdamW(parameters, lr=training.lr, weight_decay=training.decay, fused=True)


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
