"""Link inference: do a graph net's answers about two nodes show that they are linked?

The auditor keeps each of some real links by a fair coin and drops the others, and the owner trains
on what is left. So whether a pair is linked is a secret that no likeness of its nodes gives away:
every pair in question was a link. The attacker holds the nodes' features, the links that are not
in question and the training labels, and asks about nodes; each pair is answered with a score.
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
    View,
    game,
)
from hartley.core.errors import UsageError
from hartley.kit.graph.node_classifier import Graph, node_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 8
"""Victims, where neither the player nor the scene says how many."""

PAIRS, CLASSES = 24, 4
"""Of the live and dead scenes."""


@dataclass(frozen=True, slots=True)
class HiddenLinks:
    """Links of a graph of which the owner drops some by coin before training on the others.

    Attributes:
        pairs: links in question, a victim.
    """

    pairs: int = 300

    @property
    def grants(self) -> Access:
        """A white-box attacker on a graph net holds its weights as well (arXiv:2106.02820).

        They are let out where the owner's pipeline shows them in the facts of what it trained.
        """
        return Access.SCORES | Access.WEIGHTS


def live(modality: Modality, rng: Rng) -> Scene:
    """A net that mixes the answers about the two ends of a link."""
    return _wire(modality, rng, leaks=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A net that looks at no link."""
    return _wire(modality, rng, leaks=False)


@dataclass(frozen=True, slots=True)
class LinkInferenceBrief:
    """What an attacker of link inference knows.

    Attributes:
        question: its ``x`` (m, 2) are pairs of nodes; one score answers each, larger for a link.
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
def link_inference(scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000)] = 0) -> Deal:
    """Drop links by coin, train on the others, and ask of each pair whether its link is left.

    Args:
        rounds: victims, each with links in question of its own; 0 leaves it to the scene.

    Raises:
        UsageError: fewer links than pairs in question.
    """
    part = scene.part(HiddenLinks)
    rounds = scene.settings.rounds_of("link_inference", rounds, ROUNDS)
    train, graph = scene.train, scene.part(Graph)
    assert scene.fit is not None and scene.model is not None and train is not None
    edges = graph.edges
    if edges.shape[1] < part.pairs:
        raise UsageError(f"{scene.name} has {edges.shape[1]} links; {part.pairs} are in question")
    salt = int(rng.integers(2**31))
    features = np.asarray(graph.features).view()
    features.flags.writeable = False
    made = []
    for k in range(rounds):
        order = rng.permutation(edges.shape[1])
        asked, others = edges[:, order[: part.pairs]], edges[:, np.sort(order[part.pairs :])]
        coins = rng.random(part.pairs) < 0.5
        seen = replace(train, edges=np.concatenate([others, asked[:, coins]], 1))
        everyone = np.ones((1, len(train)), dtype=bool)
        trained = scene.victims(seen, everyone, int(rng.integers(2**31)))
        view = View(
            source=_let_out(trained, part.grants),
            brief=LinkInferenceBrief(
                question=Data(f"pairs {k}", Modality.GRAPH, asked.T.copy(), role="pairs"),
                public=replace(train, edges=others),
                features=features,
                classes=scene.model.classes,
            ),
            defenses=scene.defenses,
            salt=salt,
        )
        made.append(Round(view=view, truth=coins.astype(np.int64)))
    return Deal(rounds=tuple(made))


def _let_out(trained: Ensemble, grants: Access) -> Model:
    """The victim with its scores and, where there are any, its weights."""
    victim, shown = trained.member(0), trained.facts.get("weights")
    if shown is None:
        return victim.with_(offers=victim.offers | Access.SCORES)
    own = {name: array[0] for name, array in shown.items()}
    return victim.with_(weights=lambda: own, offers=victim.offers | grants)


def apart(a: NDArray[Any], b: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """How far rows of ``a`` and ``b`` (m, d) are apart, by the eight measures of arXiv:2005.02131.

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


def _wire(modality: Modality, rng: Rng, *, leaks: bool) -> Scene:
    """A graph of lonely pairs, and a net that mixes the two ends of a link, or never does."""
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
        seen = edges if data.edges is None else np.asarray(data.edges)
        held = Graph(features, seen if leaks else edges[:, :0])
        one = node_model(
            held, weights, fit=fit, offers=Access.LABELS | Access.SCORES | Access.TRAIN
        )
        return Ensemble(
            size=len(include),
            query=lambda x: np.stack([one.query(x)] * len(include)),
            member=([one] * len(include)).__getitem__,
            facts={"weights": {name: array[None] for name, array in weights.items()}},
        )

    rows = np.arange(nodes)[:, None]
    bare = node_model(graph, weights)
    train = Data("train", Modality.GRAPH, rows, bare.query(rows).argmax(1), edges)
    return Scene(
        name="live" if leaks else "dead",
        modality=modality,
        model=fit(train, np.ones((1, nodes), dtype=bool), 0).member(0),
        train=train,
        fit=fit,
        parts=(graph, HiddenLinks(PAIRS)),
        settings=Settings({"link_inference": 6}),
    )
