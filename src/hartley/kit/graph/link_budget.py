"""What an attacker may do to the links of a record: a number of pairs of nodes to flip.

A flip makes a link where there is none, or takes one away. Two forms of records:

* small graphs (n, nodes, nodes + features), the adjacency matrix beside the features of the nodes
  (``kit.graph.graph_classifier``): any pair of two nodes that exist may be flipped;
* nodes of one graph, (n, 1 + N): the number of a node, and then for each node of the graph whether
  its link with this one is flipped (``kit.graph.node_classifier``). Only links of the node itself
  change (a direct attack, arXiv:1805.07984).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class LinkBudget:
    """A number of flips for each record.

    Attributes:
        flips: the most pairs of nodes of a record whose link may be made or taken away.

    Raises:
        UsageError: a negative number.
    """

    flips: int

    def __post_init__(self) -> None:
        if self.flips < 0:
            raise UsageError(f"flips must be a number from 0 on, got {self.flips}")

    @property
    def epsilon(self) -> float:
        """The budget as a number."""
        return float(self.flips)

    def with_(self, epsilon: float = 0.0) -> Self:
        """The same with another number of flips; 0 leaves it.

        Raises:
            UsageError: the number is not whole.
        """
        if epsilon != int(epsilon):
            raise UsageError(f"epsilon of links must be a whole number of flips, got {epsilon}")
        return replace(self, flips=int(epsilon) or self.flips)

    def asked(self, x: NDArray[Any]) -> Array:
        """Return records of a scene as the victim is asked about them, without any flip."""
        raise NotImplementedError

    def pairs(self, clean: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (n, P) which pairs of nodes of each record may be flipped."""
        raise NotImplementedError

    def linked(self, clean: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (n, P) which pairs are linked."""
        raise NotImplementedError

    def flipped(self, clean: NDArray[Any], flips: NDArray[Any]) -> Array:
        """Return records with pairs (n, P) flipped, by shares from 0 to 1."""
        raise NotImplementedError

    def present(self, x: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (n, P) which pairs are linked in records that may have flips already."""
        raise NotImplementedError

    def toggled(self, x: NDArray[Any], flips: NDArray[np.bool_]) -> Array:
        """Return records with further pairs (n, P) flipped, from what they are now."""
        raise NotImplementedError

    def slopes(self, clean: NDArray[Any], slope: NDArray[Any]) -> NDArray[np.float64]:
        """Return the slope (n, P) along each flip, of a slope (n, …) along the record."""
        raise NotImplementedError

    def of(self, clean: NDArray[Any], changed: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (n, P) which pairs were flipped."""
        raise NotImplementedError

    def alike(self, clean: NDArray[Any]) -> NDArray[np.float64]:
        """Return (n, P) how alike the features of the two nodes of each pair are, from 0 to 1."""
        raise NotImplementedError

    def sizes(self, clean: NDArray[Any], changed: NDArray[Any]) -> NDArray[np.float64]:
        """Return the number (n,) of flips; infinite where a record changed in another way."""
        flips = self.of(clean, changed)
        due = self.flipped(clean, flips)
        same = (due == changed).reshape(len(clean), -1).all(1)
        same &= ~(flips & ~self.pairs(clean)).any(1)
        return np.where(same, flips.sum(1), np.inf)

    def allows(self, clean: NDArray[Any], changed: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which records (n,) are within the budget."""
        return np.asarray(self.sizes(clean, changed) <= self.flips)


@dataclass(frozen=True, slots=True, eq=False)
class SmallGraphLinks(LinkBudget):
    """Links of small graphs.

    Attributes:
        nodes: places of a record.
    """

    nodes: int = 0

    @property
    def _ends(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return np.triu_indices(self.nodes, 1)

    def asked(self, x: NDArray[Any]) -> Array:
        """Return the records as they are."""
        return np.asarray(x, np.float32)

    def pairs(self, clean: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (n, P) the pairs of two nodes that have features.

        A node without features is there by its links alone: to take the last one away would take
        the node, and with it pairs that a certificate counts.
        """
        a, b = self._ends
        exists = np.abs(clean[:, :, self.nodes :]).sum(2) > 0
        return np.asarray(exists[:, a] & exists[:, b])

    def linked(self, clean: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (n, P) which pairs are linked."""
        a, b = self._ends
        return np.asarray(clean[:, a, b] > 0.5)

    def flipped(self, clean: NDArray[Any], flips: NDArray[Any]) -> Array:
        """Return records (n, nodes, nodes + features) with pairs flipped."""
        a, b = self._ends
        out = np.array(clean, np.float32)
        before = out[:, a, b]
        after = before + np.asarray(flips, np.float32) * (1 - 2 * before)
        out[:, a, b] = out[:, b, a] = after
        return out

    def present(self, x: NDArray[Any]) -> NDArray[np.bool_]:
        """Return the same as ``linked``: a record has its links in itself."""
        return self.linked(x)

    def toggled(self, x: NDArray[Any], flips: NDArray[np.bool_]) -> Array:
        """Return the same as ``flipped``: a record has its links in itself."""
        return self.flipped(x, flips)

    def slopes(self, clean: NDArray[Any], slope: NDArray[Any]) -> NDArray[np.float64]:
        """Return the slope (n, P) along each flip: both places of a pair move."""
        a, b = self._ends
        return np.asarray((slope[:, a, b] + slope[:, b, a]) * (1 - 2 * clean[:, a, b]), np.float64)

    def of(self, clean: NDArray[Any], changed: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (n, P) which pairs were flipped."""
        a, b = self._ends
        return np.asarray(np.abs(changed[:, a, b] - clean[:, a, b]) > 0.5)

    def alike(self, clean: NDArray[Any]) -> NDArray[np.float64]:
        """Return (n, P) the similarity of the nodes of each pair."""
        a, b = self._ends
        out = np.empty((len(clean), len(a)))
        for row, record in enumerate(clean):
            out[row] = similarity(record[a, self.nodes :], record[b, self.nodes :])
        return out


@dataclass(frozen=True, slots=True, eq=False)
class NodeLinks(LinkBudget):
    """Links of single nodes of one graph.

    Attributes:
        features: (N, F) of all nodes.
        edges: (2, m) links.
    """

    features: NDArray[Any] | None = None
    edges: NDArray[Any] | None = None

    @property
    def _size(self) -> int:
        assert self.features is not None
        return len(self.features)

    def asked(self, x: NDArray[Any]) -> Array:
        """Return nodes (n, 1) as records (n, 1 + N)."""
        flips = np.zeros((len(x), self._size), np.float32)
        return np.concatenate([np.asarray(x[:, :1], np.float32), flips], 1)

    def pairs(self, clean: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (n, N) all nodes but the record's own."""
        return np.asarray(clean[:, :1].astype(np.int64) != np.arange(self._size))

    def linked(self, clean: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (n, N) which nodes each record's node is linked to."""
        from scipy.sparse import coo_array

        assert self.edges is not None
        a, b = np.asarray(self.edges, np.int64).reshape(2, -1)
        shape = (self._size, self._size)
        cells = np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])
        matrix: Any = coo_array(cells, shape=shape).tocsr()
        return np.asarray(matrix[clean[:, 0].astype(np.int64)].toarray() > 0)

    def flipped(self, clean: NDArray[Any], flips: NDArray[Any]) -> Array:
        """Return records (n, 1 + N) with these flips."""
        return np.concatenate([clean[:, :1], np.asarray(flips)], 1).astype(np.float32)

    def present(self, x: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (n, N) which nodes each record's node is linked to, with the record's flips."""
        return np.asarray(self.linked(x) ^ self._flips(x))

    def toggled(self, x: NDArray[Any], flips: NDArray[np.bool_]) -> Array:
        """Return records (n, 1 + N) with further flips; one that was flipped is as before."""
        return self.flipped(x, self._flips(x) ^ flips)

    def _flips(self, x: NDArray[Any]) -> NDArray[np.bool_]:
        """The flips (n, N) of records (n, 1 + N), none of nodes (n, 1)."""
        return (
            np.asarray(x[:, 1:] > 0.5) if x.shape[1] > 1 else np.zeros((len(x), self._size), bool)
        )

    def slopes(self, clean: NDArray[Any], slope: NDArray[Any]) -> NDArray[np.float64]:
        """Return the slope (n, N) along each flip."""
        del clean
        return np.asarray(slope[:, 1:], np.float64)

    def of(self, clean: NDArray[Any], changed: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (n, N) which links were flipped."""
        del clean
        return np.asarray(changed[:, 1:] > 0.5)

    def alike(self, clean: NDArray[Any]) -> NDArray[np.float64]:
        """Return (n, N) the similarity of each record's node with every other."""
        assert self.features is not None
        return similarities(self.features, clean[:, 0].astype(np.int64))


def similarity(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Return the Jaccard similarity (m,) of the features ``a`` and ``b`` (m, F) of pairs of nodes.

    Two nodes share a feature where both are not zero and of one sign; the share is of those that
    either has (arXiv:1903.01610, there for zeros and ones). It is 0 where neither has any.
    """
    first, second = np.sign(a), np.sign(b)
    both = ((first == second) & (first != 0)).sum(1)
    either = ((first != 0) | (second != 0)).sum(1)
    return np.asarray(both / np.maximum(either, 1), np.float64)


def similarities(features: NDArray[Any], nodes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the same (k, N) of some nodes (k,) with each of all nodes, features (N, F)."""
    signs = np.sign(np.asarray(features, np.float32))
    some = signs[nodes]
    both = np.maximum(some, 0) @ np.maximum(signs, 0).T
    both += np.maximum(-some, 0) @ np.maximum(-signs, 0).T
    either = np.abs(some).sum(1)[:, None] + np.abs(signs).sum(1) - np.abs(some) @ np.abs(signs).T
    # The same numbers as ``similarity`` to the last bit: a threshold is often one of them.
    return np.asarray(both / np.maximum(either, 1).astype(np.float64), np.float64)
