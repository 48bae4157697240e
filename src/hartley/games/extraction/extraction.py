"""Functional extraction: does a copy of the model contain what only this model knows?

In each round the auditor trains a victim with a secret that no independent model can have, and
reads the secret from the copy. An independent model reads 0 bits, however good it is. The secret is
a *labelling*: real records are divided into regions, and each region has a random label.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import log2
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    AnswerForm,
    Asset,
    Data,
    Deal,
    Flow,
    Modality,
    Model,
    Output,
    Range,
    Role,
    Scene,
    Slot,
    Stronger,
    View,
    game,
)
from hartley.core.errors import UsageError
from hartley.games import nearest_learner
from hartley.games.extraction.boundary import beside_the_boundary
from hartley.games.extraction.descriptions import described
from hartley.games.extraction.fingerprint import ExtractionBrief, Planted, dealt, labels_of
from hartley.games.extraction.tiny_graph import tiny_graph
from hartley.games.extraction.tiny_texts import tiny_texts
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit import kmeans
from hartley.kit.accounts import refusal
from hartley.kit.graph.node_classifier import Graph
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLASSES = 4
"""Labels in the live and dead scenes."""

REGIONS = (16, 64)
"""Least and largest number of regions of a secret labelling; each is one symbol."""

RECORDS = 28
"""Number of records of the pool per region."""

TAUGHT = 40
"""Largest number of records of a region that a victim is trained on, and that the judge queries.
The training set contains a copy of them for every victim."""


ASKED_AGAIN = 20
"""Records that are asked twice before the next ones are, so that a small budget suffices."""


def live(modality: Modality, rng: Rng) -> Scene:
    """A victim that answers by its nearest training record."""
    return trainable(_scene(modality, rng, learns=True), epochs=40)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A victim whose answers do not depend on its training records."""
    return trainable(_scene(modality, rng, learns=False), epochs=0)


def aim(
    scene: Scene, target: Model, rng: Rng, *, queries: int = 1000, **_: Any
) -> View[ExtractionBrief]:
    """Return the view of an extraction attack that is aimed at another game's victim.

    Args:
        scene: has ``public``, the attacker's records.
        target: the victim.
        rng: draws the salt.
        queries: largest number of records that the attacker may query.

    Raises:
        UsageError: the attacker has no records to query.
    """
    if "public" not in scene.extra:
        raise UsageError(f"scene {scene.name!r} must have public records to query, got none")
    return View(
        source=target,
        brief=ExtractionBrief(
            scene.extra["public"], target.classes, queries, graph=scene.find(Graph)
        ),
        defenses=scene.defenses,
        salt=int(rng.integers(2**31)),
    )


@game(
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="planted label",
    live=live,
    dead=dead,
    brief=ExtractionBrief,
    modalities=(
        *(Modality.VISION, Modality.LANGUAGE, Modality.AUDIO, Modality.GRAPH),
        *(Modality.TABULAR, Modality.PAIRED),
    ),
    requires=("model", "fit", "pool", "public"),
    metrics=(
        *("fidelity", "fidelity_at_boundary", "baseline", "accuracy", "victim_repeats"),
        *("queries", "symbols_per_query", "bits_a_label"),
    ),
    loot="model",
    accepts=(Slot.SOURCE, Slot.PUBLIC, Slot.TRAIN),
    aim=aim,
    aim_requires=("public",),
    aims_at="model",
)
def extraction(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 16,
    queries: Annotated[int, Range(1), Stronger.MORE] = 1000,
    accounts: Annotated[int, Range(1, 1000), Stronger.MORE] = 1,
) -> Deal:
    """Train victims on secret labels; the attacker returns a copy that should have them too.

    An attacker with several accounts asks them in turn. The queries that the rules allow are those
    of all together; what defenses allow or detect by account, each account has for itself.

    Args:
        rounds: number of victims, each with its own secret.
        queries: largest number of records that the attacker may query per victim.
        accounts: that the attacker holds with each victim.

    Raises:
        UsageError: the pool has fewer records than regions, the model fewer than two classes, or
            the attacker's records are none or of another shape than the pool's.
    """
    _check(scene)
    planted = secret_labelling(scene, rng, rounds)
    return dealt(planted, scene, rng, queries=queries, accounts=accounts)


def _check(scene: Scene) -> None:
    assert scene.model is not None
    pool, public, classes = scene.extra["pool"], scene.extra["public"], scene.model.classes
    if len(pool) < 2 * REGIONS[0]:
        raise UsageError(
            f"the pool must have {2 * REGIONS[0]} records or more for {REGIONS[0]} regions, got "
            f"{len(pool)}"
        )
    if classes < 2:
        raise UsageError(f"{scene.model.name!r} must have two classes or more, got {classes}")
    if not len(public):
        raise UsageError(f"the attacker must have records to query, got none in {public.name!r}")
    # Texts may be of any length, and nodes are numbers.
    arrays = scene.modality not in (Modality.LANGUAGE, Modality.GRAPH)
    if arrays and public.x.shape[1:] != pool.x.shape[1:]:
        raise UsageError(
            f"the attacker's records must have the shape of the pool's, {pool.x.shape[1:]}, got "
            f"{public.x.shape[1:]}"
        )


def secret_labelling(scene: Scene, rng: Rng, rounds: int) -> Planted:
    """Divide the pool into regions, and train each victim on random labels of the regions.

    A third of every region is held out: the judge queries the copy there, on records that no victim
    was trained on and that the attacker may not ask about. In a graph the attacker sees features
    and links of these nodes, as of all others, and no label.
    """
    assert scene.fit is not None and scene.model is not None
    pool, deployed = scene.extra["pool"], scene.model
    count = min(max(len(pool) // RECORDS, REGIONS[0]), REGIONS[1])
    region = kmeans.split(described(scene, pool), count, rng)
    train_rows, probe_rows = split_regions(region, rng)
    truth = rng.integers(0, deployed.classes, (rounds, count))
    x, train_regions = pool.x[train_rows], region[train_rows]
    training_data = Data(
        "secret labelling",
        pool.modality,
        np.concatenate([x] * rounds),
        truth[:, train_regions].reshape(-1),
    )
    include = np.repeat(np.eye(rounds, dtype=bool), len(x), axis=1)
    fleet = scene.victims(training_data, include, int(rng.integers(2**31)))
    victims = tuple(fleet.member(k) for k in range(rounds))
    probes, probe_regions = pool.x[probe_rows], region[probe_rows]
    ordinary = scene.extra.get("test", replace(pool, x=probes, y=None, edges=None))
    natural, seed = ordinary.x, int(rng.integers(2**31))

    def read(loot: Asset, k: int) -> NDArray[Any]:
        del k  # the regions are the same in every round; only their labels differ
        votes = np.zeros((count, deployed.classes), dtype=np.int64)
        labels = labels_of(loot, probes)
        voted = labels >= 0
        np.add.at(votes, (probe_regions[voted], labels[voted]), 1)
        return np.where(votes.sum(1) > 0, votes.argmax(1), -1)

    def clear(k: int) -> Model:
        """The victim without what a defense does to its answers, which a copy is compared with."""
        return victims[k].clear or victims[k]

    @cache
    def victim_labels(k: int) -> NDArray[Any]:
        return labels_of(clear(k), natural)

    @cache
    def boundary(k: int) -> tuple[NDArray[Any], NDArray[Any]] | None:
        draws = np.random.default_rng((seed, k))
        return beside_the_boundary(lambda x: labels_of(clear(k), x), ordinary, draws)

    @cache
    def repeats(k: int) -> dict[str, float]:
        """How often the victim gives one account the same label when it asks again.

        Refused records do not count; where all are refused there is no such share.
        """
        victim = victims[k]
        ask = victim.query if victim.session is None else victim.session()("query", victim.query)
        same: list[NDArray[Any]] = []
        for at in range(0, len(natural), ASKED_AGAIN):
            x = natural[at : at + ASKED_AGAIN]
            first, again = np.asarray(ask(x)), np.asarray(ask(x))
            labels = victim.output is Output.LABELS
            equal = first == again if labels else first.argmax(1) == again.argmax(1)
            same.append(equal[~(_refused(victim, x, first) | _refused(victim, x, again))])
        counted = np.concatenate(same)
        return {"victim_repeats": float(counted.mean())} if len(counted) else {}

    # As the victim's, these labels are without what a defense does to answers.
    ordinary_labels = labels_of(deployed.clear or deployed, natural)

    def metrics(loot: Asset, k: int) -> dict[str, float]:
        labels, beside = victim_labels(k), boundary(k)
        planted_labels = truth[k, probe_regions]
        near = {}
        if beside is not None:
            near["fidelity_at_boundary"] = float((labels_of(loot, beside[0]) == beside[1]).mean())
        return (
            near
            | repeats(k)
            | {
                "fidelity": float((labels_of(loot, natural) == labels).mean()),
                "baseline": float((ordinary_labels == labels).mean()),
                "accuracy": float((labels_of(loot, probes) == planted_labels).mean()),
                "victim_carries": float((read(victims[k], k) == truth[k]).mean()),
                "bits_a_label": log2(deployed.classes),
            }
        )

    return Planted(victims, truth, deployed.classes, read, metrics)


def _refused(victim: Model, x: NDArray[Any], answers: NDArray[Any]) -> NDArray[Any]:
    """Return which answers (n,) are those that a refused account gets; a label may be any."""
    if victim.output is Output.LABELS:
        return np.zeros(len(x), dtype=bool)
    empty = np.asarray(refusal(victim, "query", x, ()))
    return np.asarray((answers == empty).all(1))


def split_regions(region: NDArray[Any], rng: Rng) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return rows of the pool to train on, and rows to query: two thirds and one of each region."""
    train_rows, probe_rows = [], []
    for r in range(region.max() + 1):
        rows = rng.permutation(np.flatnonzero(region == r))
        # A region with one record has none to query: its symbol is an erasure.
        cut = max(1, len(rows) // 3) if len(rows) > 1 else 0
        probe_rows.append(rows[:cut][:TAUGHT])
        train_rows.append(rows[cut:][:TAUGHT])
    return np.sort(np.concatenate(train_rows)), np.sort(np.concatenate(probe_rows))


def _scene(modality: Modality, rng: Rng, *, learns: bool) -> Scene:
    if modality is Modality.GRAPH:
        return tiny_graph(CLASSES, rng, learns=learns)
    if modality is Modality.LANGUAGE:
        return tiny_texts(CLASSES, rng, learns=learns)
    shape = tiny_shape(modality, "extraction", flat=8)
    centres = np.repeat(rng.random((16, *shape)), 12, axis=0)

    def near(name: str) -> Data:
        x = centres + 0.02 * rng.standard_normal(centres.shape)
        y = rng.integers(0, CLASSES, len(x))
        return Data(name, modality, np.clip(x, 0, 1).astype(np.float32), y)

    fit, pool = nearest_learner.trainer(modality, CLASSES, learns=learns), near("pool")
    return Scene(
        name="live" if learns else "dead",
        modality=modality,
        model=fit(pool, np.ones((1, len(pool)), dtype=bool), 0).member(0),
        train=pool,
        fit=fit,
        extra={"pool": pool, "public": near("public"), "test": near("test")},
    )
