"""The live and dead scenes of link poisoning: held-out nodes that know their class by one link.

Labelled nodes of a class are all linked, and carry its mark; a held-out node has one link, to a
labelled node. The network is not trained: it sums marks over links, so that who moves that link
decides the answer. Each labelled node also shares a feature with the held-out nodes that hang on
it, so that links between classes join nodes that have nothing in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Modality, Scene
from hartley.kit.ensemble_of import separate
from hartley.kit.graph.node_classifier import RANK, Graph, node_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLASSES, LABELLED, HANGING = 4, 6, 4
"""Classes, labelled nodes of each, and held-out nodes on each labelled one."""


SHARE = 4.0
"""Flips as a share of the links: enough that one at random reaches every held-out node."""


LEAST = 0.22
"""Marks below this are not read: a node with many links no longer says what it was linked to."""


@dataclass(frozen=True, slots=True)
class FlippedShare:
    """How many links of a scene's graph may be flipped.

    Attributes:
        share: of the number of links.
    """

    share: float


def scene(modality: Modality, rng: Rng, *, reads: bool) -> Scene:
    """Return a scene whose network reads links, or none."""
    del rng
    marked = CLASSES * LABELLED
    nodes = marked * (1 + HANGING)
    hangs_on = np.r_[np.arange(marked), np.repeat(np.arange(marked), HANGING)]
    labels = hangs_on // LABELLED
    features = np.zeros((nodes, CLASSES + marked), np.float32)
    features[np.arange(marked), labels[:marked]] = 1
    features[np.arange(nodes), CLASSES + hangs_on] = 1
    within = np.stack(np.triu_indices(marked, 1))
    within = within[:, labels[within[0]] == labels[within[1]]]
    edges = np.concatenate([within, np.stack([hangs_on, np.arange(nodes)])[:, marked:]], 1)
    graph = Graph(features, edges)
    weights: dict[str, NDArray[Any]] = {
        "0.weight": np.eye(CLASSES, features.shape[1], dtype=np.float32) * reads,
        "0.bias": np.full(CLASSES, -LEAST, np.float32),
        "1.weight": 20 * np.eye(CLASSES, dtype=np.float32),
        "1.bias": np.array([0.1, 0, 0, 0], np.float32),
    }

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        links = edges if data.edges is None else np.asarray(data.edges)
        used = Graph(features, links, int(data.facts.get(RANK, 0)))
        offers = Access.LABELS | Access.SCORES | Access.TRAIN
        return separate([node_model(used, weights, fit=fit, offers=offers)] * len(include))

    def of(name: str, rows: NDArray[Any]) -> Data:
        return Data(name, modality, rows[:, None], labels[rows])

    late = np.arange(nodes) >= marked
    train = of("train", np.arange(marked))
    return Scene(
        name="live" if reads else "dead",
        modality=modality,
        model=fit(train, np.ones((1, marked), dtype=bool), 0).member(0),
        train=train,
        holdout=of("holdout", np.arange(marked)),
        fit=fit,
        # A node without any link is answered by class 0, of which no held-out node is.
        extra={
            "test": of("test", np.flatnonzero((hangs_on >= LABELLED) & late)),
            "public": of("public", hangs_on),
        },
        parts=(graph, FlippedShare(SHARE)),
    )
