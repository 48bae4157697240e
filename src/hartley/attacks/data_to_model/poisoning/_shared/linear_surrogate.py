"""A linear graph network, its training, and the slope of what comes out of it along every link.

The surrogate of Metattack (arXiv:1902.08412): logits = Â·Â·X·W₁·W₂, trained by gradient descent
with momentum on the labelled nodes. Its gradients are written out, so that a whole training is one
forward computation, and one backward pass through it gives the meta-gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import View
from hartley.games.poisoning.link_poisoning import LinkPoisoningBrief
from hartley.kit.graph.link_budget import similarities

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Loss = Callable[[torch.Tensor], torch.Tensor]
    """Logits (N, classes) of all nodes after training → what the attacker ascends."""

RATE, MOMENTUM = 0.1, 0.9
"""Of the surrogate's training, as in the authors' code."""


@dataclass(slots=True)
class Surrogate:
    """A linear graph network on a graph, from fixed first weights.

    Attributes:
        features: (N, d).
        nodes: (n,) labelled ones.
        labels: (n,) their labels.
        weights: first weights (d, hidden) and (hidden, classes).
        steps: of training.
    """

    features: torch.Tensor
    nodes: torch.Tensor
    labels: torch.Tensor
    weights: tuple[torch.Tensor, torch.Tensor]
    steps: int

    @classmethod
    def of(
        cls,
        features: NDArray[Any],
        nodes: NDArray[Any],
        labels: NDArray[Any],
        classes: int,
        rng: Rng,
        *,
        steps: int,
        hidden: int = 16,
        width: int = 0,
    ) -> Surrogate:
        """Draw first weights by Glorot's law.

        Args:
            features: (N, F).
            nodes: (n,) labelled ones.
            labels: (n,) their labels.
            classes: number of classes.
            rng: draws the weights.
            steps: of training.
            hidden: width between the two weights.
            width: principal directions of the features that are read; 0 reads all.
        """
        import torch

        x = np.array(features, np.float32)
        if 0 < width < x.shape[1]:
            values, vectors = np.linalg.eigh(x.T @ x)
            x = x @ vectors[:, np.argsort(-values)[:width]]
        drawn = []
        for a, b in ((x.shape[1], hidden), (hidden, classes)):
            reach = np.sqrt(6 / (a + b))
            drawn.append(torch.from_numpy(rng.uniform(-reach, reach, (a, b)).astype(np.float32)))
        return cls(
            torch.from_numpy(np.ascontiguousarray(x)),
            torch.from_numpy(np.array(nodes, np.int64)),
            torch.from_numpy(np.array(labels, np.int64)),
            (drawn[0], drawn[1]),
            steps,
        )

    def logits(self, adjacency: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, classes) of all nodes after a training on a graph (N, N)."""
        import torch

        mixed = self._mixed(adjacency)
        inputs, count = mixed[self.nodes], len(self.nodes)
        first, second = self.weights
        wanted = torch.nn.functional.one_hot(self.labels, second.shape[1]).to(mixed.dtype)
        speeds = torch.zeros_like(first), torch.zeros_like(second)
        for _ in range(self.steps):
            hidden = inputs @ first
            error = (torch.softmax(hidden @ second, 1) - wanted) / count
            slopes = inputs.T @ (error @ second.T), hidden.T @ error
            speeds = MOMENTUM * speeds[0] + slopes[0], MOMENTUM * speeds[1] + slopes[1]
            first, second = first - RATE * speeds[0], second - RATE * speeds[1]
        return mixed @ first @ second

    def _mixed(self, adjacency: torch.Tensor) -> torch.Tensor:
        import torch

        loops = adjacency + torch.eye(len(adjacency), dtype=adjacency.dtype)
        root = loops.sum(1).clamp_min(1e-6).rsqrt()[:, None]
        inner = root * (loops @ (root * self.features))
        return root * (loops @ (root * inner))

    def predicted(self, adjacency: NDArray[Any]) -> NDArray[np.int64]:
        """Return the labels (N,) that it gives to all nodes, those of labelled ones as known."""
        import torch

        with torch.no_grad():
            out = self.logits(torch.from_numpy(np.asarray(adjacency, np.float32))).argmax(1)
        out[self.nodes] = self.labels
        return np.asarray(out.numpy())

    def slope(self, adjacency: NDArray[Any], loss: Loss) -> NDArray[np.float64]:
        """Return the slope (N, N), symmetric, of a loss along each pair of nodes."""
        import torch

        at = torch.from_numpy(np.array(adjacency, np.float32)).to(self.features.dtype)
        at.requires_grad_()
        (slope,) = torch.autograd.grad(loss(self.logits(at)), at)
        return np.asarray((slope + slope.T).double().numpy())


def adjacency_of(edges: NDArray[Any], nodes: int) -> NDArray[np.float32]:
    """Return links (2, m) as a symmetric matrix (nodes, nodes)."""
    out = np.zeros((nodes, nodes), np.float32)
    a, b = np.asarray(edges, np.int64)
    out[a, b] = out[b, a] = 1
    return out


def edges_of(adjacency: NDArray[Any]) -> NDArray[np.int64]:
    """Return the links (2, m) of a matrix."""
    return np.stack(np.nonzero(np.triu(adjacency, 1)))


def makeable(
    view: View[LinkPoisoningBrief], adjacency: NDArray[Any], alike: float
) -> NDArray[np.bool_]:
    """Return between which nodes (N, N) a link may be made.

    Args:
        view: of the attack.
        adjacency: of the graph as it was.
        alike: share of its links that are less alike than each that is made; 0 allows all.
    """
    out = ~np.eye(len(adjacency), dtype=bool)
    if alike:
        every = similarities(view.brief.features, np.arange(len(adjacency)))
        usual = every[tuple(edges_of(adjacency))]
        out &= every > np.quantile(usual, alike, method="lower")
    return out


def steepest(
    slope: NDArray[Any], adjacency: NDArray[Any], fresh: NDArray[np.bool_], count: int
) -> NDArray[np.int64]:
    """Return up to ``count`` pairs (k, 2), the steepest first, that leave no node without links.

    Links that are taken away need not be between nodes where one may be made.
    """
    a, b = np.triu_indices(len(slope), 1)
    linked = adjacency[a, b] > 0
    degrees, out = adjacency.sum(1), []
    spare = linked & (np.minimum(degrees[a], degrees[b]) > 1)
    value = np.where(np.where(linked, spare, fresh[a, b]), slope[a, b], -np.inf)
    few = min(4 * count, len(value))
    first = np.argpartition(-value, few - 1)[:few]
    order = first[np.lexsort((first, -value[first]))]
    for pair in order[value[order] > 0]:
        i, j = a[pair], b[pair]
        if linked[pair]:
            if min(degrees[i], degrees[j]) <= 1:
                continue
            degrees[i], degrees[j] = degrees[i] - 1, degrees[j] - 1
        out.append((i, j))
        if len(out) == count:
            break
    return np.array(out, dtype=np.int64).reshape(-1, 2)
