"""A scene whose recipe gives no digest is told from another by what it declares."""

from __future__ import annotations

import numpy as np

from hartley.core import Data, Modality, Scene
from hartley.engine.build_scene import identified


def _of(edges: list[list[int]], label: int = 0) -> str:
    nodes = np.arange(3)[:, None]
    held = Data("held", Modality.GRAPH, nodes, np.array([0, 1, label]), edges=np.array(edges))
    return identified("digits", Scene("mine", Modality.GRAPH, train=held), {}).digest


def test_another_graph_or_another_label_is_another_scene() -> None:
    assert _of([[0], [1]]) == _of([[0], [1]])
    assert len({_of([[0], [1]]), _of([[0], [2]]), _of([[0], [1]], label=1)}) == 3
