"""Poison of graphs: published claims at the size of two cores: claim, ours with interval, verdict.

    python bench/graph_poisoning.py sbm        # R15: Metattack with 5 % of the links, Jaccard, SVD
    python bench/graph_poisoning.py peer       # the same flips by DeepRobust, on the same graphs
    python bench/graph_poisoning.py wordnet    # the same on a graph of 2,800 nodes
    python bench/graph_poisoning.py subgraph   # a subgraph as the trigger: success by its size

sbm       Metattack with 5 % of the links lowers the accuracy of a graph network, and Jaccard or a
          low rank restores it (arXiv:1902.08412, 1903.01610, doi:10.1145/3336191.3371789). Graphs
          are drawn anew for each seed: a stochastic block model of networkx, 300 nodes in three
          equal blocks, and features of zeros and ones. A block has a third of 60 features of its
          own, which a node has with probability --likely (0.25); it has the others with 0.05. Each
          node has one more feature at random, so that none is without. A tenth is labelled.
peer      DeepRobust (a folder with the package, --deeprobust) flips links of the same graphs, and
          the same networks are trained on them.
wordnet   The graph of the scene wordnet; intervals over victims.
subgraph  Success and base rate of one trigger on the scene synsets, by its size and density.

Intervals are Student's over graphs or victims, 95 %. A claim holds where the whole interval of the
difference is on its side of 0.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import Data, Modality, Scene
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.kit.graph.node_classifier import Graph, Schedule
from hartley.models.graph import NodePipeline

NODES, BLOCKS, FEATURES = 300, 3, 60
WITHIN, ACROSS = 0.05, 0.01
LIKELY, UNLIKELY = 0.25, 0.05

DEFENSES: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "none": (),
    "jaccard 0.05": (("jaccard", {"false_alarms": 0.05}),),
    "jaccard 0.35": (("jaccard", {"false_alarms": 0.35}),),
    "low rank 3": (("low_rank", {"rank": 3}),),
    "low rank 10": (("low_rank", {"rank": 10}),),
    "low rank 50": (("low_rank", {"rank": 50}),),
}


def sbm_scene(seed: int, likely: float) -> Scene:
    """Return a graph of blocks, drawn by a seed, and a graph network that is trained on it."""
    import networkx

    rng = np.random.default_rng(seed)
    chances = np.full((BLOCKS, BLOCKS), ACROSS) + (WITHIN - ACROSS) * np.eye(BLOCKS)
    sizes = [NODES // BLOCKS] * BLOCKS
    drawn = networkx.stochastic_block_model(sizes, chances.tolist(), seed=seed)
    edges = np.array(drawn.edges, dtype=np.int64).T.copy()
    labels = np.repeat(np.arange(BLOCKS), NODES // BLOCKS)
    theirs = np.arange(FEATURES) % BLOCKS == labels[:, None]
    features = (rng.random(theirs.shape) < np.where(theirs, likely, UNLIKELY)).astype(np.float32)
    features[np.arange(NODES), rng.integers(FEATURES, size=NODES)] = 1
    graph = Graph(features, edges)
    order = rng.permutation(NODES)

    def part(name: str, rows: Any) -> Data:
        return Data(name, Modality.GRAPH, rows[:, None], labels[rows], graph.edges)

    owner = NodePipeline(graph, BLOCKS, Schedule(steps=100, decay=5e-4), cached=False)
    train = part("train", order[: NODES // 10])
    model = owner.fit(train, np.ones((1, len(train)), dtype=bool), seed).member(0)
    return Scene(
        name="blocks",
        modality=Modality.GRAPH,
        model=model,
        train=train,
        fit=owner.fit,
        training=owner,
        holdout=part("holdout", order[NODES // 10 : NODES // 5]),
        extra={"test": part("test", order[NODES // 5 :]), "public": train},
        parts=(graph,),
    )


def behind(scene: Scene, name: str) -> Scene:
    """Return the scene behind the defenses of a name."""
    for defense, params in DEFENSES[name]:
        scene = defended(scene, defense, params, 0)
    return scene


def accuracies(
    scene: Scene, edges: Any, label: str, seed: int, repeats: int = 3
) -> tuple[float, float]:
    """Return the mean accuracy of networks trained on given links and on the graph as it is."""
    after, test, graph = behind(scene, label), scene.extra["test"], scene.part(Graph)
    assert after.fit is not None and after.train is not None
    everyone = np.ones((repeats, len(after.train)), dtype=bool)
    out = []
    for links in (edges, graph.edges):
        trained = after.fit(replace(after.train, edges=links), everyone, seed)
        labels = np.argmax(trained.query(test.x), 2)
        out.append(float((labels == test.labels).mean()))
    return out[0], out[1]


def interval(values: Any) -> tuple[float, float, float]:
    """Return the mean and the ends of Student's interval of 95 %."""
    from scipy.stats import t

    values = np.asarray(values, float)
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def printed(values: Any) -> str:
    """Points in percent with their interval."""
    mean, low, high = interval(values)
    return f"{100 * mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def verdict(differences: Any) -> str:
    """Say whether a difference is above 0 over its whole interval."""
    mean, low, _ = interval(differences)
    return "holds" if low > 0 else "mean only" if mean > 0 else "does not hold"


def flips_of(scene: Scene, name: str, params: dict[str, Any], seed: int) -> Any:
    """Return the links (2, m) that an attack leaves behind with 5 % of flips."""
    attack = catalog.load("attack", name)
    table = deal(attack, scene, seed=seed, params={"rounds": 1, "share": 0.05})
    values = {p.name: p.default for p in attack.parameters} | params
    outcome = attack(table.rounds[0].view, np.random.default_rng(seed), **values)
    return outcome.asset.edges


ATTACKS: dict[str, tuple[str, dict[str, Any]]] = {
    "random flips": ("dice", {"blind": True}),
    "dice": ("dice", {}),
    "metattack (self)": ("metattack", {"gradients": 0, "width": 0}),
    "metattack (train)": ("metattack", {"gradients": 0, "width": 0, "loss": "train"}),
    "metattack (self), alike 0.05": (
        "metattack", {"gradients": 0, "width": 0, "alike": 0.05},
    ),
    "metattack (self), alike 0.35": (
        "metattack", {"gradients": 0, "width": 0, "alike": 0.35},
    ),
}  # fmt: skip


def compare(links: dict[str, dict[int, Any]], scenes: dict[int, Scene]) -> None:
    """Print accuracies of networks on links by attack and seed, behind each defense."""
    for name, by_seed in links.items():
        poisoned: dict[str, list[float]] = {}
        clean: dict[str, list[float]] = {}
        for label in DEFENSES:
            for seed, edges in by_seed.items():
                pair = accuracies(scenes[seed], edges, label, seed)
                poisoned.setdefault(label, []).append(pair[0])
                clean.setdefault(label, []).append(pair[1])
        drop = np.subtract(clean["none"], poisoned["none"])
        print(
            f"{name}: claim accuracy falls: clean {printed(clean['none'])}, poisoned "
            f"{printed(poisoned['none'])}, drop {printed(drop)}: {verdict(drop)}"
        )
        for label in list(DEFENSES)[1:]:
            gain = np.subtract(poisoned[label], poisoned["none"])
            print(
                f"    {label}: claim accuracy comes back: clean {printed(clean[label])}, poisoned "
                f"{printed(poisoned[label])}, gain {printed(gain)}: {verdict(gain)}",
                flush=True,
            )


def sbm(arguments: argparse.Namespace) -> None:
    """R15 on graphs of blocks."""
    scenes = {seed: sbm_scene(seed, arguments.likely) for seed in range(arguments.seeds)}
    sizes = [s.part(Graph).edges.shape[1] for s in scenes.values()]
    print(
        f"{arguments.seeds} graphs of {NODES} nodes and {min(sizes)} to {max(sizes)} links, 5 % of "
        "flips; 3 networks each; accuracy in percent on 240 nodes"
    )
    for name, (attack, params) in ATTACKS.items():
        if arguments.only and name not in arguments.only:
            continue
        started = time.process_time()
        links = {seed: flips_of(scene, attack, params, seed) for seed, scene in scenes.items()}
        spent = (time.process_time() - started) / arguments.seeds
        print(f"{name}: {spent:.1f} processor seconds a graph")
        compare({name: links}, scenes)


def peer(arguments: argparse.Namespace) -> None:
    """Flip by DeepRobust's Metattack, with its own surrogate, and train the same networks."""
    import torch
    from scipy.sparse import csr_matrix

    sys.path.insert(0, arguments.deeprobust)
    from deeprobust.graph.defense import GCN  # type: ignore[import-not-found]
    from deeprobust.graph.global_attack import Metattack  # type: ignore[import-not-found]

    scenes = {seed: sbm_scene(seed, arguments.likely) for seed in range(arguments.seeds)}
    links: dict[str, dict[int, Any]] = {"DeepRobust": {}, "hartley": {}}
    spent = {name: 0.0 for name in links}
    for seed, scene in scenes.items():
        started = time.process_time()
        params = {"gradients": 0, "width": 0}
        links["hartley"][seed] = flips_of(scene, "metattack", params, seed)
        spent["hartley"] += time.process_time() - started
        started = time.process_time()
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the peer draws from it
        graph, train, test = scene.part(Graph), scene.train, scene.extra["test"]
        assert train is not None
        dense = np.zeros((NODES, NODES), np.float32)
        dense[graph.edges[0], graph.edges[1]] = dense[graph.edges[1], graph.edges[0]] = 1
        labels = np.repeat(np.arange(BLOCKS), NODES // BLOCKS)
        rows, rest = train.x[:, 0], np.setdiff1d(np.arange(NODES), train.x[:, 0])
        surrogate = GCN(
            nfeat=FEATURES, nclass=BLOCKS, nhid=16, dropout=0.5, with_relu=False, with_bias=False,
            weight_decay=5e-4, device="cpu",
        )  # fmt: skip
        surrogate.fit(csr_matrix(graph.features), csr_matrix(dense), labels, rows)
        model = Metattack(
            model=surrogate, nnodes=NODES, feature_shape=graph.features.shape, device="cpu",
            attack_structure=True, attack_features=False, lambda_=0,
        )  # fmt: skip
        flips = max(1, round(0.05 * graph.edges.shape[1]))
        model.attack(
            csr_matrix(graph.features), csr_matrix(dense), labels, rows, rest, flips,
            ll_constraint=False,
        )  # fmt: skip
        changed = np.asarray(model.modified_adj.detach().numpy()) > 0.5
        links["DeepRobust"][seed] = np.stack(np.nonzero(np.triu(changed, 1)))
        spent["DeepRobust"] += time.process_time() - started
        del test
    for name, seconds in spent.items():
        print(f"{name}: {seconds / arguments.seeds:.1f} processor seconds a graph")
    compare(links, scenes)


def heard(scene: Scene, bare: Scene, name: str, params: dict[str, Any], rules: Any) -> Any:
    """Play an attack and return the metrics of its channel and its bits."""
    attack = catalog.load("attack", name)
    trials = play(attack, scene, seed=0, params=params, game_params=rules, undefended=bare)
    channel = measure(trials, redraws=1)
    return channel.metrics, channel.bits


def line(metrics: Any, *names: str) -> str:
    """Metrics in percent with their intervals."""
    parts = []
    for name in names:
        if name in metrics:
            m = metrics[name]
            ends = "" if m.get("low") is None else f" [{100 * m['low']:.1f}, {100 * m['high']:.1f}]"
            parts.append(f"{name} {100 * m['value']:.1f}{ends}")
    return ", ".join(parts)


def wordnet(arguments: argparse.Namespace) -> None:
    """The same on a real graph."""
    from hartley.scenes.wordnet import wordnet as recipe

    bare = recipe()
    rules = {"rounds": arguments.seeds}
    plays = [
        ("dice", {"blind": True}),
        ("dice", {}),
        ("metattack", {}),
        ("metattack", {"alike": 0.35}),
    ]
    for label in ("none", "jaccard 0.35", "low rank 50"):
        scene = behind(bare, label)
        for name, params in plays:
            metrics, bits = heard(scene, bare, name, params, rules)
            print(
                f"{label}: {name} {params}: "
                + line(metrics, "clean_accuracy", "clean_accuracy_drop", "asr", "base_rate",
                       "dropped_poison", "dropped_clean")
                + f", bits {bits.value:.4f} (certified {bits.lower:.4f})",
                flush=True,
            )  # fmt: skip


def subgraph(arguments: argparse.Namespace) -> None:
    """Success of a subgraph trigger by its size, with 9 % of poison."""
    from hartley.scenes.synsets import synsets

    bare = synsets()
    rules: dict[str, Any] = {"rounds": arguments.seeds, "slots": 1, "poisons": 60}
    names = ("asr", "base_rate", "untriggered_rate", "clean_accuracy", "clean_accuracy_drop",
             "robust_accuracy", "dropped_poison", "dropped_clean")  # fmt: skip
    for size, cover in ((3, 0.2), (5, 0.2), (7, 0.4), (10, 0.8)):
        metrics, _ = heard(
            bare, bare, "subgraph_trigger", {"size": size}, {**rules, "cover": cover}
        )
        print(f"{size} of 12 nodes: {line(metrics, *names)}", flush=True)
    rules["cover"] = 0.4
    for name, params in (
        ("spectral_signatures", {"false_alarms": 0.05}),
        ("activation_clustering", {}),
        ("loss_filter", {}),
        ("deep_knn", {}),
        ("jaccard", {}),
    ):
        scene = defended(bare, name, params, 0)
        for disguise in ("none", "one_class"):
            play_params = {"size": 7, "disguise": disguise}
            metrics, _ = heard(scene, bare, "subgraph_trigger", play_params, rules)
            print(f"7 nodes, {disguise}, behind {name}: {line(metrics, *names)}", flush=True)


def main() -> None:
    """Run one part of the bench."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("part", choices=("sbm", "peer", "wordnet", "subgraph"))
    parser.add_argument("--seeds", type=int, default=8, help="graphs, or victims")
    parser.add_argument("--likely", type=float, default=LIKELY, help="of a block's own features")
    parser.add_argument("--only", nargs="*", help="attacks of sbm, by name")
    parser.add_argument("--deeprobust", default="", help="folder that holds the package deeprobust")
    arguments = parser.parse_args()
    globals()[arguments.part](arguments)


if __name__ == "__main__":
    main()
