"""Train twice: first models show which of their records look like poison; the second omit them.

The defenses that do so differ only in the rule that flags the records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Fit, Scene
from hartley.games.poisoning.poisoning import DROPPED
from hartley.kit.language.bags import as_rows
from hartley.models.activations import last_hidden, readable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@dataclass(frozen=True, slots=True)
class Features:
    """Representations of records in one model, with their labels.

    Attributes:
        x: (n, d) activations of the last hidden layer, or the records themselves where the
            pipeline does not give access to a network.
        y: (n,) labels.
    """

    x: NDArray[Any]
    y: NDArray[Any]


Flag = Callable[[Features, Features], "NDArray[np.bool_]"]
"""(a model's training records, clean records in the same model) → which training records to drop.

The clean records are those given to ``retrained``, or none."""

Choose = Callable[[Fit, Data, "NDArray[np.bool_]", int], "NDArray[np.bool_]"]
"""(the pipeline, records, include (K, n), seed) → (K, n) which training records to drop."""


def retrained(
    scene: Scene, rng: Rng, flag: Flag, clean: Data | None = None, *, together: bool = False
) -> Scene:
    """Return the scene whose pipeline trains, drops the flagged records, and trains again.

    Args:
        scene: has ``fit`` and ``train``; ``training`` gives access to the network, if there is one.
        rng: draws the seed of the new deployed model.
        flag: which of a model's training records to drop.
        clean: records of the owner that are not poisoned, to calibrate on.
        together: the first models are trained on the clean records too, for rules that compare the
            two: a model sees its own training records otherwise than others.
    """
    pipeline = scene.training
    also = clean if together else None

    def choose(fit: Fit, data: Data, include: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
        del fit
        dropped = np.zeros_like(include)
        for k, (trained, trusted) in enumerate(
            _features(pipeline, data, include, seed, clean=clean, also=also)
        ):
            rows = np.flatnonzero(include[k])
            dropped[k, rows[flag(trained, trusted)]] = True
        return dropped

    return dropping(scene, rng, choose)


def dropping(scene: Scene, rng: Rng, choose: Choose) -> Scene:
    """Return the scene whose pipeline trains without the records that ``choose`` drops.

    Which records each model was trained without is reported by its ensemble
    (``games.poisoning.poisoning.DROPPED``).

    Args:
        scene: has ``fit`` and ``train``.
        rng: draws the seed of the new deployed model.
        choose: which records to drop.
    """

    def around(fit: Fit) -> Fit:
        def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            include = np.asarray(include, dtype=bool)
            dropped = choose(fit, data, include, seed) & include
            trained = fit(data, include & ~dropped, seed)
            before = trained.facts.get(DROPPED, np.zeros_like(include))
            return replace(trained, facts={**trained.facts, DROPPED: dropped | before})

        return defended

    return around_training(scene, rng, around)


def around_training(scene: Scene, rng: Rng, around: Callable[[Fit], Fit]) -> Scene:
    """Return the scene whose owner, and whose deployed model, train by a changed pipeline.

    Args:
        scene: has ``fit`` and ``train``.
        rng: draws the seed of the new deployed model.
        around: the pipeline → the changed one.
    """
    assert scene.fit is not None and scene.train is not None
    owner, deployed = around(scene.fit), scene.model
    if deployed is not None:
        everyone = np.ones((1, len(scene.train)), dtype=bool)
        retrained_model = owner(scene.train, everyone, int(rng.integers(2**31))).member(0)
        deployed = retrained_model.with_(
            name=deployed.name,
            fit=None if deployed.fit is None else around(deployed.fit),
            offers=deployed.offers,
        )
    return replace(scene, model=deployed, fit=owner)


def _features(
    pipeline: Any,
    data: Data,
    include: NDArray[np.bool_],
    seed: int,
    *,
    clean: Data | None,
    also: Data | None,
) -> list[tuple[Features, Features]]:
    """Return what each model sees in its own training records and in the clean ones.

    Models are trained on the records ``also`` too.
    """
    trusted = Data("none", data.modality, data.x[:0], data.labels[:0]) if clean is None else clean
    if not readable(pipeline):
        every = as_rows(data.x)
        flat = Features(as_rows(trusted.x), trusted.labels)
        rows = [Features(every[row], data.labels[row]) for row in include]
        return [(features, flat) for features in rows]
    # Owners may read the weights of their first models, whatever attackers may see of them.
    learner = pipeline.with_(offers=pipeline.offers | Access.WEIGHTS)
    if also is None:
        first = learner.fit(data, include, seed)
    else:
        x, y = np.concatenate([data.x, also.x]), np.concatenate([data.labels, also.labels])
        everywhere = np.ones((len(include), len(also)), dtype=bool)
        both = Data(data.name, data.modality, x, y, facts=data.facts)
        first = learner.fit(both, np.hstack([include, everywhere]), seed)
    out = []
    for k, row in enumerate(include):
        hidden = last_hidden(pipeline, first.member(k))
        out.append(
            (
                Features(hidden(data.x[row]), data.labels[row]),
                Features(hidden(trusted.x), trusted.labels),
            )
        )
    return out
