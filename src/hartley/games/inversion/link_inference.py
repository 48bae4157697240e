"""Link inference: do a graph network's answers reveal which nodes are linked?

A fair coin of the auditor keeps or drops each of some real links, and the owner trains on the
remaining graph. Every pair in question was a link, so the similarity of its nodes does not reveal
the coin. The attacker has the nodes' features, the links that are not in question and the training
labels, queries nodes, and gives each pair a score.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    Access,
    AnswerForm,
    Data,
    Deal,
    Ensemble,
    Flow,
    Modality,
    Model,
    Range,
    Role,
    Round,
    Scene,
    Settings,
    Stronger,
    View,
    game,
)
from hartley.core.errors import UsageError
from hartley.kit.graph.node_classifier import Graph, node_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 8
"""Default number of victims."""

PAIRS, CLASSES = 24, 4
"""Sizes of the live and dead scenes."""


@dataclass(frozen=True, slots=True)
class HiddenLinks:
    """Links of a graph, some of which are dropped at random before training.

    Attributes:
        pairs: number of links in question per victim.
    """

    pairs: int = 300

    @property
    def grants(self) -> Access:
        """A white-box attacker has the weights too (arXiv:2106.02820).

        They are given if the owner's pipeline has them in the facts of a trained ensemble.
        """
        return Access.SCORES | Access.WEIGHTS


def live(modality: Modality, rng: Rng) -> Scene:
    """A network that averages over linked nodes."""
    return _scene(modality, rng, leaks=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A network that ignores links."""
    return _scene(modality, rng, leaks=False)


@dataclass(frozen=True, slots=True)
class LinkInferenceBrief:
    """What an attacker of link inference knows.

    Attributes:
        question: its ``x`` (m, 2) are pairs of nodes; the answer is a score for each, larger for a
            link.
        public: the training nodes with their labels; ``edges`` are the links that are not in
            question.
        features: (N, F) of all nodes.
        classes: of the victim.
    """

    question: Data
    public: Data
    features: NDArray[np.floating]
    classes: int


@game(
    cls="inversion",
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SCORE,
    unit="link",
    live=live,
    dead=dead,
    brief=LinkInferenceBrief,
    modalities=(Modality.GRAPH,),
    requires=("hidden_links", "graph", "fit", "model", "train"),
    metrics=("auc", "tpr_at_fpr_1e2"),
    loot="data",
)
def link_inference(
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000), Stronger.TRIALS] = 0
) -> Deal:
    """Train victims on graphs with randomly dropped links; the attacker guesses which remain.

    Args:
        rounds: number of victims, each with its own links in question; 0 takes the scene's default.

    Raises:
        UsageError: the graph has fewer links than pairs in question.
    """
    part = scene.part(HiddenLinks)
    rounds = scene.settings.rounds_of("link_inference", rounds, ROUNDS)
    train, graph = scene.train, scene.part(Graph)
    assert scene.fit is not None and scene.model is not None and train is not None
    edges = graph.edges
    if edges.shape[1] < part.pairs:
        raise UsageError(
            f"scene {scene.name!r} must have at least {part.pairs} links, got {edges.shape[1]}"
        )
    salt = int(rng.integers(2**31))
    features = np.asarray(graph.features).view()
    features.flags.writeable = False
    dealt = []
    for k in range(rounds):
        order = rng.permutation(edges.shape[1])
        questioned, remaining = (
            edges[:, order[: part.pairs]],
            edges[:, np.sort(order[part.pairs :])],
        )
        coins = rng.random(part.pairs) < 0.5
        training_nodes = replace(train, edges=np.concatenate([remaining, questioned[:, coins]], 1))
        all_nodes = np.ones((1, len(train)), dtype=bool)
        trained = scene.victims(training_nodes, all_nodes, int(rng.integers(2**31)))
        view = View(
            source=_with_access(trained, part.grants),
            brief=LinkInferenceBrief(
                question=Data(f"pairs {k}", Modality.GRAPH, questioned.T.copy(), role="pairs"),
                public=replace(train, edges=remaining),
                features=features,
                classes=scene.model.classes,
            ),
            defenses=scene.defenses,
            salt=salt,
        )
        dealt.append(Round(view=view, truth=coins.astype(np.int64)))
    return Deal(rounds=tuple(dealt))


def _with_access(trained: Ensemble, grants: Access) -> Model:
    """Return the victim with its scores and, if it has any, its weights."""
    victim, weights = trained.member(0), trained.facts.get("weights")
    if weights is None:
        return victim.with_(offers=victim.offers | Access.SCORES)
    victim_weights = {name: array[0] for name, array in weights.items()}
    return victim.with_(weights=lambda: victim_weights, offers=victim.offers | grants)


def answer_distances(a: NDArray[Any], b: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Return the distances between rows of ``a`` and ``b`` (m, d), by eight measures.

    The measures are those of arXiv:2005.02131.

    Returns:
        (m,) distances by name.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    gap, total = np.abs(a - b), np.abs(a) + np.abs(b)
    square = (gap**2).sum(1)
    return {
        "correlation": _angle(a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)),
        "cosine": _angle(a, b),
        "euclidean": np.sqrt(square),
        "sqeuclidean": square,
        "cityblock": gap.sum(1),
        "chebyshev": gap.max(1),
        "braycurtis": gap.sum(1) / np.maximum(np.abs(a + b).sum(1), TINY),
        "canberra": (gap / np.maximum(total, TINY)).sum(1),
    }


TINY = 1e-12


def _angle(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray(1 - (a * b).sum(1) / np.maximum(size, TINY))


def _scene(modality: Modality, rng: Rng, *, leaks: bool) -> Scene:
    """Return a graph of separate pairs, and a network that uses links or ignores them."""
    nodes = 4 * PAIRS
    features = rng.standard_normal((nodes, 8)).astype(np.float32)
    weights: dict[str, NDArray[Any]] = {
        "0.weight": rng.standard_normal((16, 8)).astype(np.float32),
        "0.bias": np.zeros(16, np.float32),
        "1.weight": rng.standard_normal((CLASSES, 16)).astype(np.float32) / 2,
        "1.bias": np.zeros(CLASSES, np.float32),
    }
    edges = np.arange(nodes).reshape(-1, 2).T.copy()
    graph = Graph(features, edges)

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        links = edges if data.edges is None else np.asarray(data.edges)
        graph_used = Graph(features, links if leaks else edges[:, :0])
        model = node_model(
            graph_used, weights, fit=fit, offers=Access.LABELS | Access.SCORES | Access.TRAIN
        )
        return Ensemble(
            size=len(include),
            query=lambda x: np.stack([model.query(x)] * len(include)),
            member=([model] * len(include)).__getitem__,
            facts={"weights": {name: array[None] for name, array in weights.items()}},
        )

    rows = np.arange(nodes)[:, None]
    untrained = node_model(graph, weights)
    train = Data("train", Modality.GRAPH, rows, untrained.query(rows).argmax(1), edges)
    return Scene(
        name="live" if leaks else "dead",
        modality=modality,
        model=fit(train, np.ones((1, nodes), dtype=bool), 0).member(0),
        train=train,
        fit=fit,
        parts=(graph, HiddenLinks(PAIRS)),
        settings=Settings({"link_inference": 6}),
    )
