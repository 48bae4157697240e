"""Link poisoning: can an attacker who flips a few links of a graph choose what is learnt on it?

One round is one training of the owner's pipeline on a graph some of whose links the attacker made
or took away. Two messages:

* *damage*, the default: the payload of Metattack (arXiv:1902.08412) is errors, not a message. So,
  as in evasion, the auditor tosses a coin for each held-out node: either the victim that was
  trained on the flipped links is asked about it, or one that was trained alike on the graph as it
  was; what is received is whether the answer is wrong. A graph that is learnt badly anyway gives
  0 bits.
* *targeted*: the auditor draws a class for each of a few held-out nodes and gives it to the
  attacker; the answer of the poisoned victim is received.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Ensemble,
    Flow,
    Modality,
    Outcome,
    Range,
    Received,
    Role,
    Round,
    Scene,
    Stronger,
    View,
    game,
)
from hartley.core.errors import RuleError, UsageError
from hartley.games.poisoning import live_links
from hartley.games.poisoning.poisoning import labels_of
from hartley.kit.graph.node_classifier import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

TRAINED_ON = "links trained on"
"""The fact of an ensemble (2, m): the links that a defense let its models be trained on."""

SHARE = 0.05
"""Flips as a share of the graph's links, where the scene declares none."""


def live(modality: Modality, rng: Rng) -> Scene:
    """Held-out nodes that hang on labelled ones, and a network that reads their labels."""
    return live_links.scene(modality, rng, reads=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """The same graph, and a network that reads no links."""
    return live_links.scene(modality, rng, reads=False)


@dataclass(frozen=True, slots=True)
class LinkPoisoningBrief:
    """What an attacker of link poisoning knows; the source are labelled nodes and the links.

    Attributes:
        question: held-out nodes that are asked about, without their labels.
        features: (N, F) of all nodes.
        targets: (nodes,) classes that the victim should give to them; None where any error will do.
        classes: of the victim.
        flips: the most pairs of nodes whose link may be made or taken away.
    """

    question: Data
    features: NDArray[np.floating]
    targets: NDArray[np.integer] | None
    classes: int
    flips: int


@game(
    cls="poisoning",
    flow=Flow.LEARNING,
    role=Role.INJECT,
    form=AnswerForm.SYMBOL,
    unit="node",
    live=live,
    dead=dead,
    brief=LinkPoisoningBrief,
    modalities=(Modality.GRAPH,),
    requires=("graph", "model", "fit", "train", "test"),
    metrics=("asr", "base_rate", "clean_accuracy", "clean_accuracy_drop", "poison_rate"),
    loot="data",
    paper="arXiv:1902.08412",
)
def link_poisoning(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 8,
    records: Annotated[int, Range(1), Stronger.TRIALS] = 400,
    goal: Literal["damage", "targeted"] = "damage",
    slots: Annotated[int, Range(1)] = 8,
    share: Annotated[float, Range(0, 10), Stronger.MORE] = 0.0,
) -> Deal:
    """Let the attacker flip links of the graph that the owner trains on, and ask about its nodes.

    The loot's ``edges`` are the links that the victim is trained on; the features and the labels
    stay. The poisoned victim and the clean one beside it start from the same weights. Rates beside
    the bits: ``clean_accuracy`` is that of the poisoned victim on held-out nodes, and
    ``clean_accuracy_drop`` what the flips cost of it. Behind a defense that drops links
    ``dropped_poison`` is the share that it dropped of those that the attacker made, and
    ``dropped_clean`` of the others.

    Args:
        rounds: victims, each trained on its own flips.
        records: held-out nodes of a round that coins are tossed for, at most.
        goal: any error, or a class that the auditor draws for each of a few nodes.
        slots: nodes of a round with a class each, where the goal is targeted.
        share: flips as a share of the number of links; 0 is what the scene declares, or 0.05.

    Raises:
        UsageError: the graph has no links, or the labels are not integers of two classes or more.
    """
    graph, test, train = scene.part(Graph), scene.extra["test"], scene.train
    assert scene.model is not None and train is not None
    _check(graph, train, test)
    classes = scene.model.classes
    declared = scene.find(live_links.FlippedShare)
    part = share or (declared.share if declared is not None else SHARE)
    flips = max(1, round(part * graph.edges.shape[1]))
    features = np.asarray(graph.features).view()
    features.flags.writeable = False
    known = replace(train, edges=graph.edges)
    views, truths, rows = [], [], []
    for _ in range(rounds):
        chosen = rng.permutation(len(test))[: records if goal == "damage" else slots]
        targets = rng.integers(0, classes, len(chosen)) if goal == "targeted" else None
        truths.append(rng.integers(0, 2, len(chosen)) if targets is None else targets)
        question = Data("nodes", test.modality, test.x[chosen], role="targets")
        brief = LinkPoisoningBrief(question, features, targets, classes, flips)
        views.append(View(source=known, brief=brief, defenses=scene.defenses))
        rows.append(chosen)
    seeds = [int(seed) for seed in rng.integers(2**31, size=rounds)]

    def judge(dealt: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        return [
            _judged(scene, round_, outcome, (chosen, seed))
            for round_, outcome, chosen, seed in zip(dealt, outcomes, rows, seeds, strict=True)
        ]

    alphabet = 2 if goal == "damage" else classes
    return Deal(
        rounds=tuple(
            Round(view, truth, alphabet) for view, truth in zip(views, truths, strict=True)
        ),
        judge=judge,
    )


def _check(graph: Graph, train: Data, test: Data) -> None:
    """Raise the mistake of a graph that the game cannot be dealt on."""
    if not graph.edges.size:
        raise UsageError("the graph must have links for link_poisoning, got none")
    for name, data in (("train", train), ("test", test)):
        who = f"link_poisoning: the labels of the {name} nodes"
        if data.y is None or not len(data) or not np.issubdtype(data.y.dtype, np.integer):
            kind = "none" if data.y is None or not len(data) else str(data.y.dtype)
            raise UsageError(f"{who} must be integers from 0, got {kind}")
        if len(present := np.unique(data.y)) < 2:
            raise UsageError(f"{who} must be of two classes or more, got {present[0]} only")


def _judged(
    scene: Scene, round_: Round, outcome: Outcome, drawn: tuple[NDArray[np.int64], int]
) -> Received:
    """Train a victim on the flipped links and one on the graph as it is, and ask both.

    ``drawn``: the nodes that are asked about, as rows of the test nodes, and the training's seed.
    """
    (rows, seed), graph = drawn, scene.part(Graph)
    brief: LinkPoisoningBrief = round_.view.brief
    train, test = scene.train, scene.extra["test"]
    assert train is not None and scene.fit is not None
    changed, added = checked(outcome, graph, brief.flips)
    everyone = np.ones((1, len(train)), dtype=bool)
    trained = scene.fit(replace(train, edges=changed), everyone, seed)
    clean = scene.fit(replace(train, edges=graph.edges), everyone, seed).member(0)
    after, before = labels_of(trained.member(0), test.x), labels_of(clean, test.x)
    accuracy, clean_accuracy = ((labels == test.labels).mean() for labels in (after, before))
    metrics = {
        "clean_accuracy": float(accuracy),
        "clean_accuracy_drop": float(clean_accuracy - accuracy),
        "poison_rate": len(_flips(graph.edges, changed, len(graph))) / graph.edges.shape[1],
        **_dropped(trained, changed, added, len(graph)),
    }
    labels, now, then = test.labels[rows], after[rows], before[rows]
    if brief.targets is None:
        could = then == labels
        metrics["base_rate"] = float(1 - could.mean())
        if could.any():
            metrics["asr"] = float((now != labels)[could].mean())
        guess = np.where(round_.truth == 1, now != labels, then != labels).astype(np.int64)
        return Received(guess=guess, metrics=metrics)
    could = brief.targets != labels
    if could.any():
        metrics["asr"] = float((now == brief.targets)[could].mean())
        metrics["base_rate"] = float((then == brief.targets)[could].mean())
    return Received(guess=now, reference=then, metrics=metrics)


def checked(
    outcome: Outcome, graph: Graph, flips: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the links (2, m′) of an outcome, and the cells of those that were not there before.

    Raises:
        RuleError: they are not pairs of different nodes of the graph, or more than ``flips`` pairs
            were flipped.
    """
    loot, nodes = outcome.asset, len(graph)
    assert isinstance(loot, Data)  # the engine checks the kind
    edges = np.asarray(loot.edges if loot.edges is not None else np.zeros((2, 0), np.int64))
    if edges.ndim != 2 or len(edges) != 2 or edges.dtype.kind not in "iu":
        raise RuleError(f"links must be integer pairs (2, m), got {edges.dtype} {edges.shape}")
    if edges.size and not (edges.min() >= 0 and edges.max() < nodes):
        raise RuleError(f"links must join nodes 0..{nodes - 1}, got numbers outside")
    if (edges[0] == edges[1]).any():
        raise RuleError("links must join two different nodes")
    flipped = _flips(graph.edges, edges, nodes)
    if len(flipped) > flips:
        raise RuleError(f"flips must be at most {flips} pairs of nodes, got {len(flipped)}")
    added = np.setdiff1d(cells(edges, nodes), cells(graph.edges, nodes))
    unique = np.unique(cells(edges, nodes))
    return np.stack([unique // nodes, unique % nodes]), added


def cells(edges: NDArray[Any], nodes: int) -> NDArray[np.int64]:
    """Return a number (m,) for each link (2, m), the same in both directions."""
    low, high = np.sort(np.asarray(edges, dtype=np.int64), axis=0)
    return np.asarray(low * nodes + high)


def _flips(before: NDArray[Any], after: NDArray[Any], nodes: int) -> NDArray[np.int64]:
    return np.asarray(np.setxor1d(cells(before, nodes), cells(after, nodes)))


def _dropped(
    trained: Ensemble, changed: NDArray[Any], added: NDArray[np.int64], nodes: int
) -> dict[str, float]:
    """Return the shares of the attacker's and of other links that a defense dropped."""
    used = trained.facts.get(TRAINED_ON)
    if used is None:
        return {}
    given = cells(changed, nodes)
    gone = ~np.isin(given, cells(used, nodes))
    poison = np.isin(given, added)
    out = {"dropped_clean": float(gone[~poison].mean())} if (~poison).any() else {}
    return out | ({"dropped_poison": float(gone[poison].mean())} if poison.any() else {})
