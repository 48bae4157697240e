"""Many dense nets as one computation: stacked weights, batched matrix products, one optimiser.

The gradients are written out by hand: for nets this small, autograd's bookkeeping costs as much as
the arithmetic. All K·P numbers are in one flat buffer, so the optimiser is a single fused call.

Records that are nearly all zeros, such as texts as bags of words, are read by the numbers that they
have: with 31 of 6,144 a step of ten nets takes 4.0 ms instead of 6.9, most of it the optimiser's.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    done: list[Stack] = [dict(start) for start in starts]
    first, sparse = next(iter(net.shapes)), _Sparse.of(x)
    if sparse is not None:  # one row of weights for each number of a record
        starts = [{**start, first: start[first].T} for start in starts]
    flat, weights = flatten(net, starts, x.device)
    slope, grads = flatten(net, starts, x.device)
    mover = Mover([flat], [slope], weights, lengths, training)
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
            wanted = targets.index_select(0, taught[t].flatten()).view(shape)
            if sparse is None:
                inputs = x.index_select(0, steps[t].flatten()).view(shape)
                _gradients(weights, grads, inputs, wanted)
            else:
                _sparse_gradients(weights, grads, sparse.batch(steps[t]), wanted)
            mover.step(t)
            # A model whose own records are used up is read off here; what its slot of the stack
            # computes afterwards is thrown away.
            if t + 1 in ends:
                for k in (k for k, length in enumerate(lengths) if length == t + 1):
                    done[k] = {n: w[k].cpu().numpy().copy() for n, w in zip_names(net, weights)}
                    if sparse is not None:
                        done[k][first] = np.ascontiguousarray(done[k][first].T)
    return done


SPARSE = 16
"""Records are read by their numbers where at most one in this many is not 0."""


@dataclass(frozen=True, slots=True)
class _Sparse:
    """The numbers of records that are not 0, as many for each as the fullest record has.

    Attributes:
        places: (n, most) where they are; 0 for those that fill up.
        values: (n, most) what they are; 0 for those that fill up.
        width: of a record.
    """

    places: torch.Tensor
    values: torch.Tensor
    width: int

    @classmethod
    def of(cls, x: torch.Tensor) -> _Sparse | None:
        """Return the numbers of records (n, width); None where too many are not 0.

        A device other than a CPU adds gradients in an order that is not fixed.
        """
        import torch

        if x.device.type != "cpu" or x.shape[1] < SPARSE or not len(x):
            return None
        most = max(1, int((x != 0).sum(1).max()))
        if most * SPARSE > x.shape[1]:
            return None
        rows, columns = torch.nonzero(x, as_tuple=True)
        begin = torch.searchsorted(rows, torch.arange(len(x)))
        at = torch.arange(len(rows)) - begin[rows]
        places = torch.zeros((len(x), most), dtype=torch.int64)
        values = torch.zeros((len(x), most))
        places[rows, at], values[rows, at] = columns, x[rows, columns]
        return cls(places, values, x.shape[1])

    def batch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return places and values (K · b, most) of rows (K, b); model k's begin at k · width."""
        import torch

        shift = self.width * torch.arange(len(rows)).repeat_interleave(rows.shape[1])
        flat = rows.flatten()
        return self.places[flat] + shift.unsqueeze(1), self.values[flat]


def _sparse_gradients(
    weights: list[torch.Tensor],
    grads: list[torch.Tensor],
    batch: tuple[torch.Tensor, torch.Tensor],
    wanted: torch.Tensor,
) -> None:
    """Write what ``_gradients`` writes; the first weights and their gradient are (K, in, out)."""
    import torch

    (places, values), hidden = batch, weights[0].shape[2]
    sums = torch.nn.functional.embedding_bag(
        places, weights[0].flatten(0, 1), mode="sum", per_sample_weights=values
    )
    reads = sums.view(*wanted.shape[:2], hidden) + weights[1]
    if len(weights) > 2:
        reads.relu_()
        back = _gradients(weights[2:], grads[2:], reads, wanted)
        back = torch.bmm(back, weights[2]).mul_(reads > 0)
    else:
        back = torch.softmax(reads, 2).sub_(wanted).div_(wanted.shape[1])
    torch.sum(back, 1, keepdim=True, out=grads[1])
    slopes = back.view(-1, 1, hidden) * values.unsqueeze(2)
    grads[0].zero_().flatten(0, 1).index_add_(0, places.flatten(), slopes.flatten(0, 1))


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
) -> torch.Tensor:
    """Write the gradient of the mean cross-entropy into ``grads``, all models at once.

    Returns:
        That of what the first layer gives, before anything is cut to 0.
    """
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
    return back
