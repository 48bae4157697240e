"""Jaccard: drop links between nodes whose features are not alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Data, Ensemble, Fit, Modality, Model, Range, Scene, Term, defense
from hartley.core.errors import RunError, UsageError
from hartley.defenses._shared import wrap_answers
from hartley.games.poisoning.link_poisoning import TRAINED_ON
from hartley.kit.graph.link_budget import SmallGraphLinks, similarities, similarity
from hartley.kit.graph.node_classifier import Graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Sanitize = Callable[[NDArray[Any]], NDArray[Any]]


@defense(
    term=Term.SIGNAL,
    stage="data",
    protects=("evasion", "blocked_class", "link_poisoning", "poisoning"),
    modalities=(Modality.GRAPH,),
    unfit={
        "vision": "only graphs have links",
        "language": "only graphs have links",
        "audio": "only graphs have links",
        "tabular": "only graphs have links",
        "paired": "only graphs have links",
    },
    paper="arXiv:1903.01610",
    strongest={"false_alarms": 0.05},
    requires=("model", "train", "holdout"),
)
def jaccard(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 0.9)] = 0.35,
) -> Scene:
    """Drop links between unlike nodes, from what the owner trains on and from what is asked about.

    Nodes are as alike as the share of features that both have among those that either has. A link
    below the threshold is dropped, which is as high as it can be while at most a share of
    ``false_alarms`` of the links of held-out records falls below it. The paper drops links of nodes
    that share nothing; where that holds of a third of all honest links, as on WordNet, a rate of
    less drops none. The threshold is set on the links as they are before an attacker flips some: an
    owner needs a graph that nobody else has written into to calibrate it.

    Args:
        false_alarms: share of the links of held-out records that the threshold drops at most.

    Raises:
        RunError: the scene has neither small graphs nor a graph.
        UsageError: no held-out record has a link to be calibrated on.
    """
    small, graph = scene.find(SmallGraphLinks), scene.find(Graph)
    if small is None and graph is None:
        raise RunError(f"the scene {scene.name} must have graphs whose links are known for jaccard")
    assert scene.holdout is not None and scene.train is not None
    if graph is not None:
        alike = _alike(graph, graph.edges)
        trusted = np.isin(graph.edges, scene.holdout.x[:, 0]).any(0)
        threshold = _threshold(alike[trusted], false_alarms)
        sanitize = _flips(graph, threshold)
    else:
        assert small is not None
        links = small.linked(scene.holdout.x)
        threshold = _threshold(small.alike(scene.holdout.x)[links], false_alarms)
        sanitize = _records(small, threshold)

    def around(fit: Fit) -> Fit:
        def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            if graph is None:
                return fit(replace(data, x=sanitize(data.x)), include, seed)
            edges = graph.edges if data.edges is None else np.asarray(data.edges)
            edges = edges[:, _alike(graph, edges) >= threshold]
            trained = fit(replace(data, edges=edges), include, seed)
            return replace(trained, facts={**trained.facts, TRAINED_ON: edges})

        return defended

    def change(model: Model, who: str) -> Model:
        del who
        return model.with_(query=lambda x: model.query(sanitize(np.asarray(x))))

    if scene.fit is not None and scene.model is not None:
        owner = around(scene.fit)
        everyone = np.ones((1, len(scene.train)), dtype=bool)
        trained = owner(scene.train, everyone, int(rng.integers(2**31))).member(0)
        reference = scene.model.fit
        model = trained.with_(
            name=scene.model.name,
            fit=None if reference is None else around(reference),
            offers=scene.model.offers,
        )
        scene = replace(scene, fit=owner, model=model)
    return wrap_answers.models(scene, change)


def _alike(graph: Graph, edges: NDArray[Any]) -> NDArray[np.float64]:
    return similarity(graph.features[edges[0]], graph.features[edges[1]])


def _threshold(usual: NDArray[np.float64], false_alarms: float) -> float:
    """Return the largest threshold that a share of the usual similarities is below at most.

    Raises:
        UsageError: there are none.
    """
    if not usual.size:
        raise UsageError("jaccard must have links of held-out records to calibrate on, got none")
    return float(np.sort(usual)[min(int(false_alarms * usual.size), usual.size - 1)])


def _records(small: SmallGraphLinks, threshold: float) -> Sanitize:
    """Return what drops the links of unlike nodes from small graphs."""

    def sanitize(x: NDArray[Any]) -> NDArray[Any]:
        drop = small.linked(x) & (small.alike(x) < threshold)
        return small.flipped(x, drop)

    return sanitize


def _flips(graph: Graph, threshold: float) -> Sanitize:
    """Return what ignores flips between unlike nodes: such links are never there."""

    def sanitize(x: NDArray[Any]) -> NDArray[Any]:
        if x.ndim != 2 or x.shape[1] != 1 + len(graph):
            return x
        out = np.array(x)
        rows = np.flatnonzero(x[:, 1:].any(1))
        if len(rows):
            out[rows, 1:] *= similarities(graph.features, x[rows, 0].astype(np.int64)) >= threshold
        return out

    return sanitize
