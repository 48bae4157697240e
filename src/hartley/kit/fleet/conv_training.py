"""One convolutional net with as little overhead as PyTorch allows: matrix products, by hand.

The batch is the innermost axis of every array, (channels, height, width, batch). So the patches of
a strided 3×3 convolution are copied in runs as long as the batch, the product of weights and
patches already has the layout that the next layer reads, and no reordering is left between layers.
Gradients are written out, the input's own gradient is never formed, all parameters are in one flat
buffer (one fused optimiser call), and where the processor multiplies bfloat16 in hardware one
bfloat16 copy of that buffer does the arithmetic beside the float32 weights that are moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from hartley.kit.fleet.training import Lesson
from hartley.kit.fused_adam import FusedAdamW

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.kit.nets import Net

    Stack = dict[str, NDArray[np.float32]]

TAPS = 3
"""Side of the kernel, as in ``kit.nets``; stride 2 and padding 1 likewise."""


def train_conv(lesson: Lesson, start: Stack, order: NDArray[np.int32], *, bfloat16: bool) -> Stack:
    """Train one convolutional net.

    Args:
        lesson: the net, the records (n, channels, height, width), the targets and the recipe.
        start: first weights.
        order: (steps, batch) record indices.
        bfloat16: multiply in bfloat16; weights, optimiser and softmax stay float32.

    Returns:
        The trained weights.
    """
    import torch

    net, training = lesson.net, lesson.training
    kind = torch.bfloat16 if bfloat16 else torch.float32
    flat = torch.from_numpy(np.concatenate([start[n].reshape(-1) for n in net.shapes]))
    flat = flat.to(lesson.x.device)
    slope = torch.zeros_like(flat)
    computed_flat, computed_slope = (flat.to(kind), slope.to(kind)) if bfloat16 else (flat, slope)
    master = torch.nn.Parameter(flat)
    master.grad = slope
    optimiser = FusedAdamW([master], training.lr, training.decay)
    with torch.no_grad():
        step = _Step(net, _views(net, computed_flat), _views(net, computed_slope), training.batch)
        records = lesson.x.flatten(1).to(kind)
        rows = torch.from_numpy(order).to(records.device)
        for t, index in enumerate(rows):
            torch.index_select(records, 0, index, out=step.rows)
            step.run(lesson.targets.index_select(0, index))
            if training.anneal:
                optimiser.lr = training.lr * (1 - t / len(order))
            if bfloat16:
                slope.copy_(computed_slope)
            optimiser.step()
            if bfloat16:
                computed_flat.copy_(flat)
    ends = np.cumsum([prod(shape) for shape in net.shapes.values()])[:-1]
    parts = np.split(flat.cpu().numpy().copy(), ends)
    return {n: p.reshape(s) for (n, s), p in zip(net.shapes.items(), parts, strict=True)}


def _views(net: Net, flat: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return (weight as a matrix, bias) of each layer, as views into the flat buffer."""
    tensors, at = [], 0
    for name in net.shapes:
        shape = net.shapes[name]
        tensors.append(flat[at : at + prod(shape)].view(shape[0], -1))
        at += prod(shape)
    return [(w, b.squeeze(1)) for w, b in zip(tensors[::2], tensors[1::2], strict=True)]


@dataclass(slots=True)
class _Conv:
    """The buffers of one convolution.

    Fresh ones every step would cost more in page faults than the arithmetic in them.
    """

    inside: torch.Tensor
    """The input, (channels, height, width, batch), within its padding."""
    source: torch.Tensor
    """(channels, 3, 3, out height, out width, batch) view of the padded input."""
    slots: torch.Tensor
    """A copy of that view, in one piece."""
    columns: torch.Tensor
    """The same copy as a matrix (channels · 9, positions · batch)."""
    out: torch.Tensor
    """(out channels, positions · batch)."""
    spread: torch.Tensor
    """The padded input's gradient, and the nine views of it that the kernel's taps read."""
    taps: list[torch.Tensor]

    @classmethod
    def of(cls, a: int, b: int, side: tuple[int, int], batch: int, like: torch.Tensor) -> _Conv:
        """Buffers for ``a`` channels of ``side`` to ``b`` channels of half that."""
        h, w = ((s + 1) // 2 for s in side)
        # A border row that no patch reads is left out.
        padded = like.new_zeros(a, 2 * h + 1, 2 * w + 1, batch)
        slots = like.new_zeros(a, TAPS, TAPS, h, w, batch)
        spread = padded.clone()
        s = padded.stride()
        view = (s[0], s[1], s[2], 2 * s[1], 2 * s[2], 1)
        taps = spread.as_strided(slots.shape, view)
        return cls(
            inside=padded[:, 1 : 1 + side[0], 1 : 1 + side[1]],
            source=padded.as_strided(slots.shape, view),
            slots=slots,
            columns=slots.view(a * TAPS * TAPS, -1),
            out=like.new_zeros(b, h * w * batch),
            spread=spread[:, 1 : 1 + side[0], 1 : 1 + side[1]],
            taps=[taps[:, i, j] for i in range(TAPS) for j in range(TAPS)],
        )


class _Step:
    """Forward and backward of one batch; every buffer is made once."""

    def __init__(
        self,
        net: Net,
        weights: list[tuple[torch.Tensor, torch.Tensor]],
        grads: list[tuple[torch.Tensor, torch.Tensor]],
        batch: int,
    ) -> None:
        self.weights, self.grads, self.batch = weights, grads, batch
        like, self.convs = weights[0][0], []
        side = (net.inputs[1], net.inputs[2])
        for a, b in pairwise((net.inputs[0], *net.channels)):
            self.convs.append(_Conv.of(a, b, side, batch, like))
            side = ((side[0] + 1) // 2, (side[1] + 1) // 2)
        widths = (net.features, *net.hidden, net.classes)
        self.rows = like.new_zeros(batch, prod(net.inputs))
        # acts[i] is what dense layer i reads; the last one holds the logits.
        self.stage = [self.convs[-1].out.view(-1, batch)]
        self.stage += [like.new_zeros(width, batch) for width in widths[1:]]
        self.backs = [like.new_zeros(width, batch) for width in widths]

    def run(self, wanted: torch.Tensor) -> None:
        """Write the gradient of the mean cross-entropy of the records in ``rows``."""
        import torch

        convs, acts = self.convs, self.stage
        inside = convs[0].inside
        inside.copy_(self.rows.t().view(inside.shape))
        for i, conv in enumerate(convs):
            conv.slots.copy_(conv.source)
            weight, bias = self.weights[i]
            torch.addmm(bias.unsqueeze(1), weight, conv.columns, out=conv.out)
            if i + 1 < len(convs):
                into = convs[i + 1].inside
                torch.clamp_min(conv.out.view(into.shape), 0, out=into)
        for i, (weight, bias) in enumerate(self.weights[len(convs) :]):
            reads = acts[i].relu_()
            torch.addmm(bias.unsqueeze(1), weight, reads, out=acts[i + 1])
        error = torch.softmax(acts[-1].float(), 0).sub_(wanted.t()).div_(self.batch)
        self.backs[-1].copy_(error)
        self._backward()

    def _backward(self) -> None:
        import torch

        convs, cut = self.convs, torch.ops.aten.threshold_backward.grad_input
        for i in range(len(self.stage) - 2, -1, -1):
            (weight, _), (slope, lean) = self.weights[len(convs) + i], self.grads[len(convs) + i]
            back, into = self.backs[i + 1], self.backs[i]
            torch.mm(back, self.stage[i].t(), out=slope)
            torch.sum(back, 1, out=lean)
            torch.mm(weight.t(), back, out=into)
            cut(into, self.stage[i], 0, grad_input=into)
        back = self.backs[0].view(convs[-1].out.shape)
        for i in range(len(convs) - 1, -1, -1):
            (weight, _), (slope, lean), conv = self.weights[i], self.grads[i], convs[i]
            torch.mm(back, conv.columns.t(), out=slope)
            torch.sum(back, 1, out=lean)
            if not i:
                return
            # The patches are used up: their buffer takes the gradient of every patch.
            torch.mm(weight.t(), back, out=conv.columns)
            conv.spread.zero_()
            for at, tap in enumerate(conv.taps):
                tap.add_(conv.slots[:, at // TAPS, at % TAPS])
            # The layer before has handed its output on: the gradient takes its place.
            back = convs[i - 1].out
            cut(conv.spread, conv.inside, 0, grad_input=back.view(conv.inside.shape))
