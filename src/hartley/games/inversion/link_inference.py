"""Answers about the nodes of a graph: do two of them tell that they are linked?

The auditor keeps each of some real links by a fair coin and drops the others, and the owner trains
on what is left. So whether a pair is linked is a secret that no likeness of its nodes gives away:
every pair in question was a link. The attacker holds the nodes' features, the links that are not
in question and the training labels, and asks about nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import (
    Access,
    Data,
    Deal,
    Ensemble,
    Modality,
    Model,
    Outcome,
    Received,
    Round,
    Scene,
    View,
)
from hartley.core.errors import RunError, UsageError
from hartley.games.inversion.judging import answers
from hartley.kit.graph.node_classifier import Graph, node_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

PAIRS, CLASSES = 24, 4
"""Of the wires."""


@dataclass(frozen=True, slots=True)
class Links:
    """A graph net trained on links of which some were dropped by coin.

    Attributes:
        pairs: links in question, a victim.
        rounds: victims, each with links in question of its own.
    """

    pairs: int = 300
    rounds: int = 8

    @property
    def grants(self) -> Access:
        """Who attacks a graph net in white box holds its weights as well (arXiv:2106.02820).

        They are let out where the owner's pipeline shows them in the facts of what it trained.
        """
        return Access.SCORES | Access.WEIGHTS

    def deal(self, scene: Scene, rng: Rng, rounds: int) -> Deal:
        """Drop links by coin, train on the others, and ask which are left.

        The question is (m, 2) pairs of nodes. ``public`` are the training nodes with their labels,
        and its ``edges`` the links that are not in question; ``facts["features"]`` are (N, F).

        Raises:
            UsageError: fewer links than pairs in question, or a scene without a graph.
        """
        train, graph = scene.train, scene.tools.get("graph")
        if scene.fit is None or scene.model is None or train is None or graph is None:
            raise UsageError(f"{scene.name} needs a graph, a model and a pipeline to hide links")
        edges = graph.edges
        if edges.shape[1] < self.pairs:
            raise UsageError(
                f"{scene.name} has {edges.shape[1]} links; {self.pairs} are in question"
            )
        salt = int(rng.integers(2**31))
        features = np.asarray(graph.features).view()
        features.flags.writeable = False
        made = []
        for k in range(rounds):
            order = rng.permutation(edges.shape[1])
            asked, others = edges[:, order[: self.pairs]], edges[:, np.sort(order[self.pairs :])]
            coins = rng.random(self.pairs) < 0.5
            seen = replace(train, edges=np.concatenate([others, asked[:, coins]], 1))
            everyone = np.ones((1, len(train)), dtype=bool)
            trained = scene.victims(seen, everyone, int(rng.integers(2**31)))
            view = View(
                source=_let_out(trained, self.grants),
                public=replace(train, edges=others),
                question=Data(f"pairs {k}", Modality.GRAPH, asked.T.copy(), role="pairs"),
                defenses=scene.defenses,
                salt=salt,
                facts={"features": features, "classes": scene.model.classes},
            )
            made.append(Round(view=view, truth=coins.astype(np.int64)))
        return Deal(rounds=tuple(made), judge=judge)


def _let_out(trained: Ensemble, grants: Access) -> Model:
    """The victim with its scores and, where there are any, its weights."""
    victim, shown = trained.member(0), trained.facts.get("weights")
    if shown is None:
        return victim.with_(offers=victim.offers | Access.SCORES)
    own = {name: array[0] for name, array in shown.items()}
    return victim.with_(weights=lambda: own, offers=victim.offers | grants)


def judge(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
    """Read scores (m,), larger = more like a link, with their median as the threshold.

    Whole numbers are taken as the symbols themselves.

    Raises:
        RunError: an attack did not answer each pair with one finite number.
    """
    read, usual = [], []
    for one, out in zip(rounds, outcomes, strict=True):
        scores, m = np.asarray(out.guess), len(one.truth)
        if scores.shape != (m,) or not np.isfinite(scores.astype(np.float64)).all():
            raise RunError(f"links asks for {m} finite numbers, one a pair, not {scores.shape}")
        whole = scores.dtype.kind in "iub"
        read.append(scores.astype(np.int64) if whole else (scores > np.median(scores)) * 1)
        usual.append({"auc": auc(one.truth, scores)})
    return answers(rounds, read, usual)


def auc(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Chance that a link scores above a pair that is none; ties count half."""
    high, low = scores[truth == 1], np.sort(scores[truth == 0])
    if not len(high) or not len(low):
        return 0.5
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.mean() / (2 * len(low)))


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


def wire(scene: Scene, rng: Rng, leaks: bool) -> Scene:
    """Add a graph of lonely pairs, and a net that mixes the two ends of a link, or never does."""
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
    return replace(
        scene,
        model=fit(train, np.ones((1, nodes), dtype=bool), 0).member(0),
        train=train,
        fit=fit,
        tools={**scene.tools, "graph": graph, "release:links": Links(pairs=PAIRS, rounds=6)},
    )
