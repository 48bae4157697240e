"""Owners of graphs: from labelled nodes, or labelled small graphs, to K trained networks at once.

Both are a ``core.Fit``; what they train is kept by content (``models.weight_cache``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Fit, Modality, Model, Output, spawn
from hartley.kit import cache
from hartley.kit.graph.graph_classifier import Shape, Study, ask, pooled, slopes, train_graphs
from hartley.kit.graph.node_classifier import (
    RANK,
    Graph,
    Schedule,
    node_model,
    nodes_of,
    train_nodes,
)
from hartley.models.class_tuning import TuningLesson
from hartley.models.gate import Gate
from hartley.models.pipeline import CLOSED
from hartley.models.weight_cache import Trained, kept
from hartley.targets.torch import softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class NodePipeline:
    """How an owner trains on the nodes of one graph.

    A record is the number of a node, (n, 1). The links are those that the records carry
    (``Data.edges``), and the graph's own where they carry none: so a defense that hides links, or
    a game that leaves some out, changes the records and nothing here. So does one that trains on a
    matrix of low rank (the fact ``rank`` of the records).

    Attributes:
        graph: features and links of all nodes.
        classes: number of classes.
        schedule: the recipe.
        offers: what the models offer an attacker. The weights of all networks are also in the
            ensemble's facts, which an owner may release (``games.inversion.link_inference``).
        cached: keep what was trained on disk.
    """

    graph: Graph
    classes: int
    schedule: Schedule = field(default_factory=Schedule)
    offers: Access = CLOSED
    cached: bool = True

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values that a result depends on, for a digest."""
        return {"version": 1, "classes": self.classes, "schedule": self.schedule.recipe}

    @property
    def size(self) -> int:
        """The number of parameters of one network."""
        wide, hidden = self.graph.features.shape[1], self.schedule.hidden
        return int(hidden * (wide + 1) + self.classes * (hidden + 1))

    def with_(self, **changes: Any) -> NodePipeline:
        """The same pipeline with some fields changed."""
        return replace(self, **changes)

    def fit(self, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        """Train K networks on K subsets of labelled nodes; ``include`` is (K, n) booleans."""
        assert data.y is not None
        labels, rank = data.y, int(data.facts.get(RANK, 0))
        edges = self.graph.edges if data.edges is None else np.asarray(data.edges)
        graph = Graph(self.graph.features, edges, rank)
        rows = nodes_of(data.x, len(graph))[:, 0]

        def trained(chosen: NDArray[np.bool_], first: int) -> Trained:
            started = time.perf_counter()
            weights = train_nodes(
                graph, rows, labels, chosen, self.schedule,
                classes=self.classes, seed=seed, first=first,
            )  # fmt: skip
            return weights, {"seconds": time.perf_counter() - started}

        stamp = ""
        if self.cached:
            parts = {"x": rows, "y": labels, "features": graph.features, "edges": graph.edges}
            stamp = cache.digest(parts)
        recipe = {"nodes": self.recipe, **({"rank": rank} if rank else {})}
        weights, facts = kept(recipe, include, seed, trained, records=stamp, cached=self.cached)
        facts["parameters"] = self.size
        return _ensemble(graph, weights, facts, self.offers, self.fit)


def _ensemble(
    graph: Graph,
    weights: dict[str, NDArray[Any]],
    facts: dict[str, Any],
    offers: Access,
    fit: Fit,
) -> Ensemble:
    size = len(weights["0.bias"])
    members: dict[int, Model] = {}

    def member(k: int) -> Model:
        if k not in members:
            member_weights = {name: array[k] for name, array in weights.items()}
            members[k] = node_model(
                graph,
                member_weights,
                weights=(lambda: member_weights) if offers & Access.WEIGHTS else None,
                offers=offers,
                fit=fit if offers & Access.TRAIN else None,
                facts={"parameters": facts["parameters"]},
            )
        return members[k]

    def query(x: NDArray[Any]) -> NDArray[Any]:
        return np.stack([member(k).query(x) for k in range(size)])

    return Ensemble(size=size, query=query, member=member, facts={**facts, "weights": weights})


@dataclass(frozen=True, slots=True, eq=False)
class GraphPipeline:
    """How an owner trains on many small graphs, a label each.

    Attributes:
        shape: of the records and the network.
        study: the recipe.
        offers: what the models offer an attacker.
        cached: keep what was trained on disk.
        gate: teaches what was trained to refuse some classes, or None.
    """

    shape: Shape
    study: Study = field(default_factory=Study)
    offers: Access = CLOSED
    cached: bool = True
    gate: Gate | None = None

    def __post_init__(self) -> None:
        if self.gate is not None:
            self.gate.check(self.shape.classes)

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values that a result depends on, for a digest."""
        plain = {"version": 1, "shape": self.shape.recipe, "study": self.study.recipe}
        # Left out when None, so that older cache entries stay valid.
        return plain | ({"gate": self.gate.recipe} if self.gate is not None else {})

    @property
    def size(self) -> int:
        """The number of parameters of one network."""
        return sum(int(np.prod(s)) for s in self.shape.shapes.values())

    def with_(self, **changes: Any) -> GraphPipeline:
        """The same pipeline with some fields changed."""
        return replace(self, **changes)

    def activations(self, model: Model, x: NDArray[Any]) -> NDArray[Any]:
        """Return what the last layer of a trained network reads (n, d) of records."""
        return pooled(self.shape, model.calls["weights"](), x)

    def fit(self, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        """Train K networks on K subsets of small graphs; ``include`` is (K, n) booleans."""
        return self._ensemble(*self._weights(data, include, seed))

    def tuned(
        self,
        data: Data,
        include: NDArray[Any],
        seed: int,
        lessons: Sequence[TuningLesson],
    ) -> Ensemble:
        """Return the networks of ``fit``, each trained further on records of its user."""
        weights, facts = self._weights(data, include, seed)
        stacks = []
        for k, lesson in enumerate(lessons):
            start = {name: array[k : k + 1] for name, array in weights.items()}
            x, y = lesson.records.x, lesson.records.labels
            everyone = np.ones((1, len(y)), dtype=bool)
            stacks.append(
                train_graphs(
                    self.shape, x, y, everyone, lesson.of(self.study),
                    seed=spawn(seed, "tuned"), first=k, start=start,
                )
                if len(y)
                else start
            )  # fmt: skip
        joined = {n: np.concatenate([stack[n] for stack in stacks]) for n in self.shape.shapes}
        return self._ensemble(joined, facts)

    def _weights(
        self, data: Data, include: NDArray[Any], seed: int
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        labels = data.labels
        first_labels = labels if self.gate is None else self.gate.first(labels)

        def trained(chosen: NDArray[np.bool_], first: int) -> Trained:
            started = time.perf_counter()
            weights = train_graphs(
                self.shape, data.x, first_labels, chosen, self.study, seed=seed, first=first
            )
            if self.gate is not None:
                weights = train_graphs(
                    self.shape, data.x, self.gate.taught(labels), chosen,
                    self.gate.second(self.study),
                    seed=spawn(seed, "gate"), first=first, start=weights,
                )  # fmt: skip
            return weights, {"seconds": time.perf_counter() - started}

        stamp = cache.digest({"x": data.x, "y": labels}) if self.cached else ""
        return kept(
            {"graphs": self.recipe}, include, seed, trained, records=stamp, cached=self.cached
        )

    def _ensemble(self, weights: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Ensemble:
        def some(rows: slice, x: NDArray[Any]) -> NDArray[Any]:
            return softmax(ask(self.shape, {n: w[rows] for n, w in weights.items()}, x))

        def member(k: int) -> Model:
            return Model(
                "small-graph net",
                Modality.GRAPH,
                lambda x: np.asarray(some(slice(k, k + 1), x)[0]),
                Output.PROBABILITIES,
                self.shape.classes,
                slope=(
                    lambda x, y, loss: slopes(
                        self.shape, {name: array[k] for name, array in weights.items()}, x, y, loss
                    )
                )
                if self.offers & Access.GRADIENTS
                else None,
                weights=(lambda: {name: array[k] for name, array in weights.items()})
                if self.offers & Access.WEIGHTS
                else None,
                fit=self.fit if self.offers & Access.TRAIN else None,
                offers=self.offers,
                facts={"parameters": self.size},
            )

        return Ensemble(
            size=len(weights["0.bias"]),
            query=lambda x: some(slice(None), x),
            member=member,
            facts=facts,
        )
