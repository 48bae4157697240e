"""Link smoothing: answer with the shares of classes among graphs with randomly flipped links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    Data,
    Ensemble,
    Fit,
    Modality,
    Model,
    Output,
    Range,
    Scene,
    Term,
    defense,
    spawn,
)
from hartley.defenses._shared import wrap_answers
from hartley.defenses._shared.keyed_noise import uniform
from hartley.kit.graph.link_budget import NodeLinks, SmallGraphLinks
from hartley.models.link_smoothing import LinkSmoothing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

OF_GRAPHS, OF_NODES = {"added": 0.02, "removed": 0.4}, {"added": 0.0005, "removed": 0.8}
"""Noise of small graphs, and of a node's links with all others of one graph, which are many."""

RECORDS = 128
"""Records whose noisy copies are asked about at once."""


def _usual(scene: Scene) -> dict[str, float]:
    return OF_GRAPHS if scene.find(SmallGraphLinks) is not None else OF_NODES


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("evasion", "blocked_class"),
    modalities=(Modality.GRAPH,),
    unfit={
        "vision": "only graphs have links; randomized_smoothing adds noise to numbers",
        "audio": "only graphs have links; randomized_smoothing adds noise to numbers",
        "tabular": "only graphs have links; randomized_smoothing adds noise to numbers",
    },
    paper="arXiv:2008.12952",
    strongest={"removed": 0.6},
    requires=("link_budget",),
    usual=_usual,
)
def link_smoothing(
    scene: Scene,
    rng: Rng,
    *,
    added: Annotated[float, Range(0, 0.5)] = 0.0,
    removed: Annotated[float, Range(0, 0.9)] = 0.0,
    samples: Annotated[int, Range(2, 100_000)] = 32,
    certify: Annotated[int, Range(100, 1_000_000)] = 1000,
) -> Scene:
    """Answer with the share of noisy copies of a record that the network gives each class.

    In a copy each pair of nodes of a small graph gains a link by chance, or loses it; of a node of
    one graph each pair with another node does. The network is trained on one noisy copy of each
    small graph, where it can be trained; that of nodes stays as it is. The row carries the
    certified accuracy: the share of records whose class is right and proved, with 99.9 % confidence
    each, not to change within the budget of flips; and the share of proved classes that an attack
    changed all the same.

    Args:
        added: probability that a pair without a link gets one; 0 is 0.02 of small graphs and 0.0005
            of nodes.
        removed: probability that a link is lost; 0 is 0.4 of small graphs and 0.8 of nodes.
        samples: noisy copies for an answer.
        certify: noisy copies for a certificate.
    """
    small = scene.find(SmallGraphLinks)
    links = small if small is not None else scene.part(NodeLinks)
    smoothing = LinkSmoothing(added, removed, links, certify)
    key = int(rng.integers(2**62))

    def around(fit: Fit) -> Fit:
        def noisy(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            noise = np.random.default_rng(spawn(key, "training", seed))
            return fit(replace(data, x=smoothing.noisy(data.x, 1, noise)), include, seed)

        return noisy

    if (
        small is not None
        and scene.fit is not None
        and scene.model is not None
        and scene.train is not None
    ):
        owner, deployed = around(scene.fit), scene.model
        everyone = np.ones((1, len(scene.train)), dtype=bool)
        trained = owner(scene.train, everyone, int(rng.integers(2**31))).member(0)
        reference = None if deployed.fit is None else around(deployed.fit)
        model = trained.with_(name=deployed.name, fit=reference, offers=deployed.offers)
        scene = replace(scene, fit=owner, model=model)

    def change(model: Model, who: str) -> Model:
        return model.with_(query=_smoothed(model, smoothing, samples, spawn(key, who)))

    return wrap_answers.models(scene, change).with_part(smoothing)


def _smoothed(
    model: Model, smoothing: LinkSmoothing, samples: int, key: int
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return the query of a smoothed model: the same record gets the same copies."""
    classes = model.classes

    def query(x: NDArray[Any]) -> NDArray[Any]:
        records = np.asarray(x, np.float32)
        shares = np.zeros((len(records), classes))
        for at in range(0, len(records), RECORDS):
            part = records[at : at + RECORDS]
            links = smoothing.links
            chance = np.where(links.present(part), smoothing.removed, smoothing.added)
            chance = chance * links.pairs(part)
            noise = uniform(part, (len(part), samples, chance.shape[1]), key)
            flips = (noise < chance[:, None]).reshape(-1, chance.shape[1])
            answers = np.asarray(model.query(links.toggled(np.repeat(part, samples, 0), flips)))
            labels = answers if model.output is Output.LABELS else answers.argmax(1)
            rows = np.repeat(np.arange(len(part)), samples)
            np.add.at(shares, (at + rows, labels), 1 / samples)
        if model.output is Output.LABELS:
            return np.asarray(shares.argmax(1))
        return shares if model.output is Output.PROBABILITIES else np.log(shares + 1e-6)

    return query
