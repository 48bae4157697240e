"""Graph convolutions on one graph: K networks trained side by side, and answers about its nodes.

The network is the two-layer one of arXiv:1609.02907: logits = Â·relu(Â·X·W₀ᵀ + b₀)·W₁ᵀ + b₁ with
Â = D^(−½)·(A + I)·D^(−½). Its first product Â·X does not change in training, so it is made once for
all K networks, and the gradients are written out by hand as for the dense fleet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Modality, Model, Output, spawn
from hartley.core.errors import UsageError
from hartley.kit.fused_adam import FusedAdamW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[Any]]

RANK = "rank"
"""The fact of records: rank of the adjacency matrix that their owner trains on."""

NUDGE = 1e-3
"""Share by which the features of a node grow when a question names it as changed."""


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """One graph whose nodes carry features.

    Attributes:
        features: (N, F) float32.
        edges: (2, m) integers, each undirected link once, no loops.
        rank: of the adjacency matrix that networks read in its place; 0 is the matrix itself.
    """

    features: NDArray[np.float32]
    edges: NDArray[np.int64]
    rank: int = 0

    def __len__(self) -> int:
        """The number of nodes."""
        return len(self.features)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a graph network is trained: Adam on the mean cross-entropy of the labelled records.

    Attributes:
        hidden: width of the hidden layer.
        steps: steps of the optimiser, each on all labelled records.
        lr: learning rate.
        decay: decoupled weight decay.
    """

    hidden: int = 16
    steps: int = 60
    lr: float = 0.02
    decay: float = 0.0

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.steps < 0 or self.lr <= 0:
            raise UsageError(f"training must have hidden ≥ 1, steps ≥ 0 and lr > 0, got {self}")

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return asdict(self)


def smoothing(edges: NDArray[Any], nodes: int, dtype: Any = np.float64) -> Any:
    """Â = D^(−½)·(A + I)·D^(−½) as a sparse (nodes, nodes) matrix.

    Raises:
        UsageError: an end of a link is not a node.
    """
    from scipy.sparse import coo_array

    a, b = np.asarray(edges, dtype=np.int64).reshape(2, -1)
    if a.size and not 0 <= min(a.min(), b.min()) <= max(a.max(), b.max()) < nodes:
        raise UsageError(f"links must join nodes 0..{nodes - 1}, got numbers outside")
    every = np.arange(nodes)
    row, column = np.r_[a, b, every], np.r_[b, a, every]
    degree = np.bincount(row, minlength=nodes) ** -0.5
    # Links that are there twice would add up; canonical form sums them, so cut the values to one.
    matrix = coo_array((np.ones(len(row)), (row, column)), shape=(nodes, nodes)).tocsr()
    matrix.data = np.minimum(matrix.data, 1.0)
    if matrix.nnz != len(row):
        degree = np.asarray(matrix.sum(1)).reshape(-1) ** -0.5
    matrix = matrix.tocoo()
    matrix.data = degree[matrix.coords[0]] * degree[matrix.coords[1]]
    return matrix.tocsr().astype(dtype)


def smoothing_of(graph: Graph, dtype: Any = np.float64) -> Any:
    """Â of a graph: sparse, or a dense (nodes, nodes) array of an adjacency matrix of low rank.

    The matrix of low rank has the eigenvalues of the largest size (doi:10.1145/3336191.3371789);
    what is negative in it is cut to 0, so that degrees exist.
    """
    if not graph.rank:
        return smoothing(graph.edges, len(graph), dtype)
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import eigsh

    nodes = len(graph)
    a, b = np.asarray(graph.edges, dtype=np.int64).reshape(2, -1)
    if not a.size:
        return smoothing(graph.edges, nodes, dtype).toarray()
    matrix: Any = coo_array((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), (nodes, nodes))
    matrix = matrix.tocsr()
    matrix.data = np.minimum(matrix.data, 1.0)
    start = np.random.default_rng(0).standard_normal(nodes)
    values, vectors = eigsh(matrix, k=min(graph.rank, nodes - 1), which="LM", v0=start)
    low = np.maximum((vectors * values) @ vectors.T, 0.0)
    low[np.diag_indices(nodes)] = 1.0
    root = low.sum(1) ** -0.5
    return (root[:, None] * low * root).astype(dtype)


def logits(weights: Weights, smooth: Any, features: NDArray[Any]) -> NDArray[np.float64]:
    """Logits (N, classes) of every node; ``weights`` as :func:`train_nodes` returns them."""
    first = smooth @ (features @ weights["0.weight"].T.astype(np.float64)) + weights["0.bias"]
    last = np.maximum(first, 0) @ weights["1.weight"].T.astype(np.float64)
    return np.asarray(smooth @ last + weights["1.bias"])


def train_nodes(
    graph: Graph,
    rows: NDArray[Any],
    labels: NDArray[Any],
    include: NDArray[np.bool_],
    schedule: Schedule,
    *,
    classes: int,
    seed: int,
    first: int = 0,
) -> dict[str, NDArray[np.float32]]:
    """Train K networks on K known subsets of labelled nodes of one graph.

    Args:
        graph: the graph; training uses all of it (transductive).
        rows: (n,) nodes that carry a label.
        labels: (n,) integers, or (n, classes) rows that sum to 1.
        include: (K, n) booleans: whose labels each network is trained on.
        schedule: the recipe.
        classes: number of classes.
        seed: root of the networks' own streams.
        first: number of the first network.

    Returns:
        ``0.weight`` (K, hidden, F), ``0.bias``, ``1.weight`` (K, classes, hidden), ``1.bias``.
    """
    import torch
    from scipy.sparse import csr_array

    smooth = smoothing_of(graph, np.float32)
    # Bags of words are sparse and stay so after one smoothing: ten times cheaper than dense, and
    # a row's sum is made in one order, however many networks are side by side.
    inputs = csr_array(smooth @ csr_array(graph.features))
    turned = inputs.T.tocsr()
    nodes, size = len(graph), len(include)
    shares = include / np.maximum(include.sum(1, keepdims=True), 1)
    weigh = torch.from_numpy(shares.astype(np.float32)).unsqueeze(2)
    shares_of = np.eye(classes, dtype=np.float32)[labels] if labels.ndim == 1 else labels
    wanted = torch.from_numpy(np.asarray(shares_of, dtype=np.float32))
    labelled = torch.from_numpy(np.asarray(rows, dtype=np.int64))
    starts = [_initial(spawn(seed, "nodes", first + k), graph, schedule, classes)
              for k in range(size)]  # fmt: skip
    names = ("0.weight", "0.bias", "1.weight", "1.bias")
    parameters = [
        torch.nn.Parameter(torch.from_numpy(np.stack([s[n] for s in starts]))) for n in names
    ]
    mover = FusedAdamW(parameters, schedule.lr, schedule.decay)

    def times(sparse: Any, x: torch.Tensor) -> torch.Tensor:
        """A sparse matrix (out, N) times x (K, N, width), of every network."""
        wide = x.transpose(0, 1).reshape(x.shape[1], -1)
        product = torch.from_numpy(sparse @ wide.numpy())
        return product.view(len(product), size, -1).transpose(0, 1)

    with torch.no_grad():
        w0, b0, w1, b1 = (p.data for p in parameters)
        for _ in range(schedule.steps):
            flat = w0.reshape(-1, w0.shape[2]).T.contiguous().numpy()
            hidden = torch.from_numpy(inputs @ flat).view(nodes, size, -1).transpose(0, 1)
            hidden = hidden.add_(b0.unsqueeze(1)).relu_()
            out = times(smooth, torch.bmm(hidden, w1.transpose(1, 2)))[:, labelled] + b1.unsqueeze(
                1
            )
            slope = torch.softmax(out, 2).sub_(wanted).mul_(weigh)
            back = torch.zeros(size, nodes, classes).index_add_(1, labelled, slope)
            # Â is symmetric, so what smooths forwards smooths backwards.
            back = times(smooth, back)
            into = torch.bmm(back, w1).mul_(hidden > 0)
            parameters[0].grad = times(turned, into).transpose(1, 2).contiguous()
            parameters[1].grad = into.sum(1)
            parameters[2].grad = torch.bmm(back.transpose(1, 2), hidden)
            parameters[3].grad = slope.sum(1)
            mover.step()
    return {n: p.detach().numpy().copy() for n, p in zip(names, parameters, strict=True)}


def _initial(
    seed: int, graph: Graph, schedule: Schedule, classes: int
) -> dict[str, NDArray[np.float32]]:
    """First weights by torch's law for dense layers: uniform within ±1/√fan-in."""
    rng = np.random.default_rng(seed)
    wide, hidden = graph.features.shape[1], schedule.hidden
    shapes = {"0.weight": (hidden, wide), "0.bias": (hidden,)}
    last = {"1.weight": (classes, hidden), "1.bias": (classes,)}
    weights = {n: rng.uniform(-1, 1, s) / np.sqrt(wide) for n, s in shapes.items()}
    weights |= {n: rng.uniform(-1, 1, s) / np.sqrt(hidden) for n, s in last.items()}
    return {n: w.astype(np.float32) for n, w in weights.items()}


class Answers:
    """The answers of one network about the nodes of its graph.

    A query (n, 1) holds nodes. A query (n, 2) adds a second node whose features are scaled by
    1 + ``NUDGE`` (−1: none): the owner of the features may change them, which is the setting of
    arXiv:2108.06504. A query (n, 1 + N), N the number of nodes, says which links of the node are
    flipped (``kit.graph.flipped_links``).
    """

    def __init__(self, graph: Graph, weights: Weights) -> None:
        """Store the network; the first query computes its answers."""
        self._graph, self._weights = graph, weights
        self._held: tuple[Any, ...] | None = None
        self._flips: Any = None

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Probabilities (n, classes).

        Raises:
            UsageError: records that are not nodes of the graph.
        """
        if np.ndim(x) == 2 and np.shape(x)[1] == 1 + len(self._graph) > 2:
            return _probabilities(self._after_flips(np.asarray(x)))
        queried = nodes_of(x, len(self._graph))
        _, _, _, plain = self._computed()
        out = plain[queried[:, 0]]
        if queried.shape[1] > 1:
            for i, (node, changed) in enumerate(queried):
                if changed >= 0:
                    out[i] += self._moved(int(node), int(changed))
        return _probabilities(out)

    def slopes(self, x: NDArray[Any], wanted: NDArray[Any], loss: str) -> NDArray[np.float32]:
        """Loss, label and slope (n, 3 + N) of records (n, 1 + N) with flipped links."""
        nodes_of(np.asarray(x)[:, :1], len(self._graph))
        return np.asarray(self._flipping().slopes(np.asarray(x), wanted, loss))

    def _after_flips(self, x: NDArray[Any]) -> NDArray[np.float64]:
        _, _, _, plain = self._computed()
        out = plain[nodes_of(x[:, :1], len(self._graph))[:, 0]]
        rows = np.flatnonzero(x[:, 1:].any(1))
        if len(rows):
            out[rows] = self._flipping().logits(x[rows])
        return np.asarray(out)

    def _flipping(self) -> Any:
        if self._flips is None:
            from hartley.kit.graph.flipped_links import FlippedLinks

            self._flips = FlippedLinks(self._graph, self._weights)
        return self._flips

    def _computed(self) -> tuple[Any, ...]:
        if self._held is None:
            smooth = smoothing_of(self._graph)
            messages = self._graph.features @ self._weights["0.weight"].T.astype(np.float64)
            first = smooth @ messages + self._weights["0.bias"]
            last = np.maximum(first, 0) @ self._weights["1.weight"].T.astype(np.float64)
            self._held = smooth, messages, first, smooth @ last + self._weights["1.bias"]
        return self._held

    def _moved(self, node: int, changed: int) -> NDArray[np.float64]:
        """Return the change of the logits of ``node``, from what depends on ``changed`` only."""
        smooth, messages, first, _ = self._computed()
        if self._graph.rank:
            from scipy.sparse import csr_array

            smooth = csr_array(smooth)
        near = slice(*smooth.indptr[changed : changed + 2])
        reached, share = smooth.indices[near], smooth.data[near]
        row = slice(*smooth.indptr[node : node + 2])
        at = dict(zip(smooth.indices[row].tolist(), smooth.data[row].tolist(), strict=True))
        weights = np.array([at.get(r, 0.0) for r in reached.tolist()])
        before = first[reached]
        after = before + NUDGE * share[:, None] * messages[changed]
        gap = np.maximum(after, 0) - np.maximum(before, 0)
        return np.asarray((weights @ gap) @ self._weights["1.weight"].T)


def _probabilities(z: NDArray[Any]) -> NDArray[np.float64]:
    out = np.exp(z - z.max(1, keepdims=True))
    return np.asarray(out / out.sum(1, keepdims=True))


def node_model(graph: Graph, weights: Weights, /, **rest: Any) -> Model:
    """One network as a model of the nodes of its graph; ``rest`` are fields of ``Model``."""
    answers = Answers(graph, weights)
    gradients = rest.get("offers", Access.NOTHING) & Access.GRADIENTS
    return Model(
        **{
            "name": "graph net",
            "modality": Modality.GRAPH,
            "query": answers,
            "slope": answers.slopes if gradients else None,
            "output": Output.PROBABILITIES,
            "classes": len(weights["1.bias"]),
            **rest,
        }
    )


def nodes_of(x: NDArray[Any], nodes: int) -> NDArray[np.int64]:
    """Records as node numbers (n, 1) or (n, 2).

    Raises:
        UsageError: another shape, or numbers that are not nodes.
    """
    numbers = np.asarray(x)
    if numbers.ndim != 2 or numbers.shape[1] not in {1, 2}:
        raise UsageError(f"records must be nodes of shape (n, 1) or (n, 2), got {numbers.shape}")
    numbers = numbers.astype(np.int64)
    if len(numbers) and not (
        numbers[:, 0].min() >= 0 and numbers.max() < nodes and numbers[:, -1].min() >= -1
    ):
        raise UsageError(f"nodes must be in 0..{nodes - 1}, got {numbers.min()}..{numbers.max()}")
    return numbers


def neighbours(edges: NDArray[Any], nodes: int) -> NDArray[np.float64]:
    """Mean over neighbours as a sparse (nodes, nodes) matrix; rows of lonely nodes are zero."""
    from scipy.sparse import coo_array

    a, b = np.asarray(edges, dtype=np.int64).reshape(2, -1)
    degree = np.maximum(np.bincount(np.r_[a, b], minlength=nodes), 1)
    row, column = np.r_[a, b], np.r_[b, a]
    matrix: Any = coo_array((1 / degree[row], (row, column)), shape=(nodes, nodes)).tocsr()
    return matrix  # type: ignore[no-any-return]
