"""Copies of a graph network beside PyGIP's: one victim, one graph, equal numbers of queries.

    python bench/gnn_extraction.py PYTHON [FOLDER [QUERIES …]]

``PYTHON`` is the interpreter of an environment with PyGIP and DGL (PyGIP 1.1.0 and dgl 1.1.3 were
used). PyGIP trains its target on the training nodes of the scene ``wordnet``, and its attacks 0 to
5 copy it, by labels. Then the copies of ``gnn_extraction`` are trained
on the scores, and on the labels alone, that the same target gives to as many random nodes. Prints
fidelity on the test nodes: the mean over repeats with a 95 % t interval.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import stats

from hartley.kit.graph.node_classifier import Graph
from hartley.models.graph_copy import copy_of_nodes, nearest_links
from hartley.scenes.wordnet import wordnet

BUDGETS, REPEATS = (100, 400), 4
"""Numbers of queries, and repeats of each attack."""

MORE = (1, 3, 4)
"""Multiples of the queries: PyGIP's attacks 3 and 5 also take the labels of neighbours of the nodes
that they count, up to three and four times as many in all."""


def main() -> None:
    python = sys.argv[1]
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    budgets = tuple(map(int, sys.argv[3:])) or BUDGETS
    scene = wordnet()
    graph = scene.part(Graph)
    nodes = np.arange(len(graph))
    labels = np.zeros(len(graph), np.int64)
    for data in (scene.train, scene.extra["test"]):
        labels[data.x[:, 0]] = data.y
    a, b = graph.edges
    np.savez(
        folder / "graph.npz",
        a=np.concatenate([a, b, nodes]),
        b=np.concatenate([b, a, nodes]),
        features=np.asarray(graph.features, np.float32),
        labels=labels,
        train=np.isin(nodes, scene.train.x[:, 0]),
        test=np.isin(nodes, scene.extra["test"].x[:, 0]),
        budgets=np.array(budgets),
        repeats=REPEATS,
    )
    script = Path(__file__).parent / "peers" / "pygip_mea.py"
    began = time.perf_counter()
    run = subprocess.run(
        [python, str(script), str(folder)], capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise SystemExit(run.stderr[-2000:])
    lines = [line for line in run.stdout.splitlines() if line.startswith("JSON ")]
    peer = json.loads(lines[-1][5:])
    seconds = time.perf_counter() - began
    print(f"PyGIP {peer['version']}, dgl {peer['dgl']}, {seconds:.0f} s")
    print(f"accuracy of the target {peer['accuracy']:.3f}, {len(scene.extra['test'])} test nodes")
    for name, by_budget in peer["fidelity"].items():
        for budget, values in by_budget.items():
            show(f"PyGIP {name}", int(budget), values)
    target = np.load(folder / "target.npy")
    test = scene.extra["test"].x
    for name, known in graphs(graph).items():
        for unit, answers in (("scores", target), ("labels", np.eye(7)[target.argmax(1)])):
            more = MORE if name == "all" else (1,)
            for budget in sorted({k * budget for k in more for budget in budgets}):
                values = []
                for repeat in range(REPEATS):
                    rng = np.random.default_rng(repeat)
                    rows = rng.permutation(len(graph))[:budget]
                    copy = copy_of_nodes(known, rows[:, None], answers[rows], repeat)
                    same = copy.query(test).argmax(1) == target[test[:, 0]].argmax(1)
                    values.append(float(same.mean()))
                show(f"gnn_extraction {name}, {unit}", budget, values)


def graphs(graph: Graph) -> dict[str, Graph]:
    """What the attacker works with, by what they know."""
    nodes = np.arange(len(graph))
    return {
        "all": graph,
        "features": Graph(graph.features, nearest_links(graph.features, nodes, 3)),
        "links": Graph(np.eye(len(graph), dtype=np.float32), graph.edges),
    }


def show(name: str, budget: int, values: list[float]) -> None:
    mean, n = np.mean(values), len(values)
    half = stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
    print(f"{name:40s} {budget:4d} queries  fidelity {mean:.3f} "
          f"[{mean - half:.3f}, {mean + half:.3f}], n {n}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
