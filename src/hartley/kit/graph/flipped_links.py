"""Answers of a graph network about nodes some of whose links are flipped, and their slopes.

A record is (1 + N,): the number of a node, then a share from 0 to 1 for each node of the graph by
which the link between the two is flipped. Weights stay as they were trained; the whole network is
computed on the changed graph, with the degrees that it has then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.evasion_losses import of_tensor, split_targets
from hartley.kit.graph.node_classifier import Graph, logits, smoothing, smoothing_of

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[Any]]


class FlippedLinks:
    """One network on one graph; the first call computes what all records share."""

    def __init__(self, graph: Graph, weights: Weights) -> None:
        """Store the network."""
        self._graph, self._weights = graph, weights
        self._held: tuple[Any, ...] | None = None

    def logits(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the logits (n, classes) of records (n, 1 + N)."""
        import torch

        if self._graph.rank:
            return np.stack([self._low_rank(row) for row in x])
        with torch.no_grad():
            rows = [self._one(int(row[0]), torch.from_numpy(row[1:].astype(float))) for row in x]
        return np.asarray(torch.stack(rows).numpy())

    def slopes(self, x: NDArray[Any], wanted: NDArray[Any], loss: str) -> NDArray[np.float32]:
        """Return (n, 3 + N): the loss, the label, and the slope of the loss along the record.

        Args:
            x: (n, 1 + N) records.
            wanted: (n,) labels, or (n, 2) labels and targets.
            loss: as in ``kit.evasion_losses``.
        """
        import torch

        labels, targets = split_targets(wanted)
        out = np.zeros((len(x), 2 + x.shape[1]), np.float32)
        for i, row in enumerate(np.asarray(x)):
            flips = torch.from_numpy(row[1:].astype(float)).requires_grad_()
            z = self._one(int(row[0]), flips)[None]
            aim = None if targets is None else torch.from_numpy(targets[i : i + 1])
            value = of_tensor(z, torch.from_numpy(labels[i : i + 1]), aim, loss)
            (slope,) = torch.autograd.grad(value.sum(), flips)
            out[i, :2] = float(value[0].detach()), int(z[0].argmax())
            out[i, 3:] = slope.numpy()
        return out

    def _low_rank(self, row: NDArray[Any]) -> NDArray[np.float64]:
        """Return the logits (classes,) of a record; slopes pass straight through the low rank."""
        node, ends = int(row[0]), np.flatnonzero(row[1:] > 0.5)
        a, b = np.sort(np.stack([np.full(len(ends), node), ends]), axis=0)
        size = len(self._graph)
        low, high = np.sort(np.asarray(self._graph.edges), axis=0)
        cells = np.setxor1d(low * size + high, a * size + b)
        edges = np.stack([cells // size, cells % size])
        changed = Graph(self._graph.features, edges, self._graph.rank)
        out = logits(self._weights, smoothing_of(changed), changed.features)[node]
        return np.asarray(out)

    def _one(self, node: int, flips: torch.Tensor) -> torch.Tensor:
        """Return the logits (classes,) of a node after flips (N,) of its links."""
        import torch

        (ends, others), links, degrees, messages, bias, last, last_bias = self._computed()
        row = links(node)
        changes = flips * (1 - 2 * row)
        changes = changes.index_fill(0, _index(node), 0.0)
        at = row.new_zeros(len(row))
        at[node] = 1
        root = (degrees + changes + at * changes.sum()).clamp_min(1e-6).rsqrt()
        shared = root[:, None] * messages
        near = torch.zeros_like(shared).index_add(0, ends, shared[others])
        sums = near + shared + changes[:, None] * shared[node]
        sums = sums + at[:, None] * (changes @ shared)
        hidden = (root[:, None] * sums + bias).relu()
        shared = root[:, None] * (hidden @ last.T)
        out: torch.Tensor = root[node] * ((row + changes) @ shared + shared[node]) + last_bias
        return out

    def _computed(self) -> tuple[Any, ...]:
        if self._held is None:
            import torch

            smooth = smoothing(self._graph.edges, len(self._graph))
            matrix = smooth.copy()
            matrix.data = np.ones_like(matrix.data)
            matrix.setdiag(0)
            matrix.eliminate_zeros()
            degree = np.diff(matrix.indptr)
            degrees = torch.from_numpy(degree + 1.0)
            ends = torch.from_numpy(np.repeat(np.arange(len(degree)), degree))
            others = torch.from_numpy(matrix.indices.astype(np.int64))
            first, bias, last, last_bias = (
                torch.from_numpy(np.array(self._weights[n], np.float64))
                for n in ("0.weight", "0.bias", "1.weight", "1.bias")
            )
            features = torch.from_numpy(np.array(self._graph.features, np.float64))

            def links(node: int) -> torch.Tensor:
                row = torch.zeros(len(degrees), dtype=torch.float64)
                row[matrix.indices[slice(*matrix.indptr[node : node + 2])]] = 1
                return row

            messages = features @ first.T
            self._held = (ends, others), links, degrees, messages, bias, last, last_bias
        return self._held


def _index(node: int) -> torch.Tensor:
    import torch

    return torch.tensor([node])
