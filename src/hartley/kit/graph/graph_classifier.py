"""Networks on small graphs, K trained side by side: a record is one graph, and has one label.

A record is (nodes, nodes + features): the adjacency matrix beside the features of its nodes, rows
of places that are not filled are zero. The network is the isomorphism network of arXiv:1810.00826
in two layers: h ← relu((A + I)·h·Wᵀ + b) twice on the filled places, their mean and maximum, a
dense layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import spawn
from hartley.core.errors import UsageError
from hartley.kit.evasion_losses import of_tensor, split_targets
from hartley.kit.fused_adam import FusedAdamW

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[Any]]

ASK = 1024
"""Records a forward pass."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The records and the network.

    Attributes:
        nodes: places of a record.
        features: numbers a node.
        classes: number of classes.
        hidden: width of both hidden layers.
    """

    nodes: int
    features: int
    classes: int
    hidden: int = 32

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return asdict(self)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter by name, in the order of the layers."""
        wide = (self.features, self.hidden, self.hidden, self.classes)
        shapes: dict[str, tuple[int, ...]] = {}
        for i in range(3):
            into = wide[i] if i < 2 else 2 * self.hidden
            shapes |= {f"{i}.weight": (wide[i + 1], into), f"{i}.bias": (wide[i + 1],)}
        return shapes


@dataclass(frozen=True, slots=True)
class Study:
    """A training recipe: Adam on the mean cross-entropy of batches.

    Attributes:
        epochs: passes over a network's own records.
        batch: records a step.
        lr: learning rate.
    """

    epochs: int = 40
    batch: int = 64
    lr: float = 0.01

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch < 1 or self.lr <= 0:
            raise UsageError(f"training must have epochs ≥ 0, batch ≥ 1 and lr > 0, got {self}")

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return asdict(self)


def train_graphs(
    shape: Shape,
    x: NDArray[Any],
    y: NDArray[Any],
    include: NDArray[np.bool_],
    study: Study,
    *,
    seed: int,
    first: int = 0,
    start: Weights | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Train K networks on K known subsets of the same small graphs.

    Args:
        shape: of records and network.
        x: (n, nodes, nodes + features) records.
        y: (n,) integer labels, or (n, classes) rows that sum to 1.
        include: (K, n) booleans: which network trains on which graph.
        study: the recipe.
        seed: root of the networks' own streams.
        first: number of the first network.
        start: (K, …) weights by name that training goes on from; None draws them.

    Returns:
        Weights by name, each (K, …).
    """
    import torch
    import torch.nn.functional as F

    mixed, filled = _mixed(shape, x)
    links, places = (torch.from_numpy(a) for a in (_links(shape, x), filled))
    sums, targets = (
        torch.from_numpy(mixed),
        torch.from_numpy(np.array(y, np.int64 if y.ndim == 1 else np.float32)),
    )
    streams = [np.random.default_rng(spawn(seed, "graphs", first + k)) for k in range(len(include))]
    starts = [_initial(shape, rng) for rng in streams]
    if start is not None:
        starts = [{n: start[n][k] for n in shape.shapes} for k in range(len(include))]
    orders = [_orders(rng, row, study) for rng, row in zip(streams, include, strict=True)]
    parameters = [torch.nn.Parameter(torch.from_numpy(np.stack([s[n] for s in starts])))
            for n in shape.shapes]  # fmt: skip
    trained = [[p[k].detach().numpy().copy() for p in parameters] for k in range(len(include))]
    mover = FusedAdamW(parameters, study.lr)
    lengths = [len(order) for order in orders]
    for t in range(max(lengths, default=0)):
        # A network without steps left repeats its last batch; its weights are already copied.
        rows = torch.from_numpy(np.stack([_at(order, t) for order in orders]))
        out = _forward(parameters, sums[rows], links[rows], places[rows])
        # A sum over networks: each one's gradient is that of its own mean loss.
        loss = F.cross_entropy(out.flatten(0, 1), targets[rows].flatten(0, 1), reduction="sum")
        for parameter in parameters:
            parameter.grad = None
        (loss / study.batch).backward()
        mover.step()
        for k in (k for k, length in enumerate(lengths) if length == t + 1):
            trained[k] = [p[k].detach().numpy().copy() for p in parameters]
    return {n: np.stack([weights[i] for weights in trained]) for i, n in enumerate(shape.shapes)}


def _at(order: NDArray[np.int64], t: int) -> NDArray[np.int64]:
    """The batch of step ``t``, or the last one where the steps are used up."""
    return order[min(t, len(order) - 1)] if len(order) else np.zeros(order.shape[1], np.int64)


def ask(shape: Shape, weights: Weights, x: NDArray[Any]) -> NDArray[np.float32]:
    """Logits (K, n, classes) of K networks on the same records.

    Raises:
        UsageError: records of another shape.
    """
    import torch

    tensors = [torch.from_numpy(np.array(weights[n])) for n in shape.shapes]
    out = np.empty((len(tensors[0]), len(x), shape.classes), np.float32)
    with torch.no_grad():
        for at in range(0, len(x), ASK):
            part = x[at : at + ASK]
            mixed, filled = _mixed(shape, part)
            inputs = [torch.from_numpy(a) for a in (mixed, _links(shape, part), filled)]
            for k in range(len(out)):
                own_weights = [w[k : k + 1] for w in tensors]
                out[k, at : at + ASK] = _forward(own_weights, *(i[None] for i in inputs))[0].numpy()
    return out


def slopes(
    shape: Shape, weights: Weights, x: NDArray[Any], wanted: NDArray[Any], loss: str
) -> NDArray[np.float32]:
    """Return the loss, the label and the slope (n, 2 + numbers of a record) of one network.

    Args:
        shape: of records and network.
        weights: of one network.
        x: (n, nodes, nodes + features) records; links may be fractions.
        wanted: (n,) labels, or (n, 2) labels and targets.
        loss: as in ``kit.evasion_losses``.

    Raises:
        UsageError: records of another shape.
    """
    import torch

    tensors = [torch.from_numpy(np.array(weights[n]))[None] for n in shape.shapes]
    labels, targets = split_targets(wanted)
    _, filled = _mixed(shape, x)
    records = torch.from_numpy(np.array(x, np.float32)).requires_grad_()
    links = records[..., : shape.nodes] + torch.eye(shape.nodes)
    sums = links @ records[..., shape.nodes :]
    z = _forward(tensors, sums[None], links[None], torch.from_numpy(filled)[None])[0]
    aims = None if targets is None else torch.from_numpy(targets)
    values = of_tensor(z, torch.from_numpy(labels), aims, loss)
    (slope,) = torch.autograd.grad(values.sum(), records)
    head = torch.stack([values.detach(), z.argmax(1).float()], 1)
    return np.asarray(torch.cat([head, slope.flatten(1)], 1).numpy())


def pooled(shape: Shape, weights: Weights, x: NDArray[Any]) -> NDArray[np.float32]:
    """Return what the last layer of one network reads (n, 2 · hidden) of records.

    Raises:
        UsageError: records of another shape.
    """
    import torch

    tensors = [torch.from_numpy(np.array(weights[n]))[None] for n in shape.shapes]
    mixed, filled = _mixed(shape, x)
    if not len(x):
        return np.zeros((0, 2 * shape.hidden), np.float32)
    inputs = [torch.from_numpy(a)[None] for a in (mixed, _links(shape, x), filled)]
    with torch.no_grad():
        return np.asarray(_pooled(tensors, *inputs)[0].numpy())


def _forward(
    weights: list[Any], sums: torch.Tensor, links: torch.Tensor, places: torch.Tensor
) -> torch.Tensor:
    """Logits (K, B, classes); ``sums`` (K, B, nodes, features) are the first layer's (A + I)·x."""
    import torch

    _, _, _, _, w2, b2 = weights
    read = _pooled(weights, sums, links, places)
    return torch.baddbmm(b2.unsqueeze(1), read, w2.transpose(1, 2))


def _pooled(
    weights: list[Any], sums: torch.Tensor, links: torch.Tensor, places: torch.Tensor
) -> torch.Tensor:
    """Mean and maximum (K, B, 2 · hidden) over the nodes; ``sums`` as for ``_forward``."""
    import torch

    w0, b0, w1, b1, _, _ = weights
    k, batch, nodes, _ = sums.shape
    node_masks = places.unsqueeze(3)
    flat = sums.reshape(k, batch * nodes, -1)
    hidden = torch.baddbmm(b0.unsqueeze(1), flat, w0.transpose(1, 2)).relu()
    hidden = hidden.view(k, batch, nodes, -1) * node_masks
    hidden = torch.matmul(links, hidden).view(k, batch * nodes, -1)
    hidden = torch.baddbmm(b1.unsqueeze(1), hidden, w1.transpose(1, 2)).relu()
    hidden = hidden.view(k, batch, nodes, -1) * node_masks
    count = places.sum(2, keepdim=True).clamp_min(1)
    return torch.cat([hidden.sum(2) / count, hidden.amax(2)], 2)


def _links(shape: Shape, x: NDArray[Any]) -> NDArray[np.float32]:
    """A + I (n, nodes, nodes) of records, after a look at their shape."""
    expected = (shape.nodes, shape.nodes + shape.features)
    if tuple(np.shape(x)[1:]) != expected:
        raise UsageError(f"records must be graphs of shape {expected}, got {np.shape(x)[1:]}")
    return np.asarray(x[..., : shape.nodes], np.float32) + np.eye(shape.nodes, dtype=np.float32)


def _mixed(shape: Shape, x: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (A + I)·features, and which nodes (n, nodes) exist."""
    links = _links(shape, x)
    features = np.asarray(x[..., shape.nodes :], np.float32)
    filled = (np.abs(x).sum(2) > 0).astype(np.float32)
    return links @ features, filled


def _initial(shape: Shape, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """First weights by torch's law for dense layers: uniform within ±1/√fan-in."""
    weights, bound = {}, 1.0
    for name, size in shape.shapes.items():
        if name.endswith("weight"):
            bound = 1 / np.sqrt(size[1])
        weights[name] = rng.uniform(-bound, bound, size).astype(np.float32)
    return weights


def _orders(rng: np.random.Generator, row: NDArray[np.bool_], study: Study) -> NDArray[np.int64]:
    """The records of every step (steps, batch): passes in one stream, cut into full batches."""
    records = np.flatnonzero(row)
    steps = round(study.epochs * len(records) / study.batch)
    if not steps:
        return np.empty((0, study.batch), np.int64)
    passes = -(-steps * study.batch // len(records))
    order = np.concatenate([rng.permutation(records) for _ in range(passes)])
    return np.asarray(order[: steps * study.batch].reshape(steps, study.batch))
