"""Output defenses with a filter per model, made from the records that the model was trained on.

``wrap_answers`` passes the answers of all models through the same filter. Some defenses need a
filter for each model, made from its own members or from its own answers to other records. Such a
filter is made for a whole ensemble at once, at the first query, so that work which several models
need is done together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Ensemble, Fit, Model, Output, Scene
from hartley.core.errors import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PerModelFilter = Callable[["NDArray[Any]", "NDArray[Any]", list[int]], "NDArray[Any]"]
"""(records (n, …), answers (j, n, classes) of j models, their indices) → answers, same units."""

MakeFilter = Callable[[Ensemble, Data, "NDArray[np.bool_]", str], PerModelFilter]
"""(models, records, training sets (K, n), kind: deployed, victim or reference) → filter."""


def answers(scene: Scene, make: MakeFilter) -> Scene:
    """Return the scene with every model's answers passed through a filter made for that model.

    These are the deployed model, the victims that ``Scene.fit`` trains, and the reference models
    of an adaptive attacker.

    Args:
        scene: what to defend.
        make: makes the filter of an ensemble.

    Raises:
        RunError: the scene has no model with class scores.
    """
    deployed = scene.model
    if deployed is None or deployed.output is Output.EMBEDDINGS:
        raise RunError(f"the model of scene {scene.name!r} must give class scores")
    alone = Ensemble(1, lambda x: deployed.query(x)[None], lambda _: deployed)
    train = scene.train
    assert train is not None
    include = np.ones((1, len(train)), dtype=bool)
    defended = _filtered(alone, lambda: make(alone, train, include, "deployed"), deployed.output)
    return replace(
        scene,
        model=defended.member(0).with_(
            fit=_filtered_fit(deployed.fit, make, "reference", deployed.output)
        ),
        fit=_filtered_fit(scene.fit, make, "victim", deployed.output),
    )


def _filtered_fit(fit: Fit | None, make: MakeFilter, kind: str, output: Output) -> Fit | None:
    if fit is None:
        return None

    def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        trained = fit(data, include, seed)
        members = np.asarray(include, dtype=bool)
        return _filtered(trained, lambda: make(trained, data, members, kind), output)

    return defended


def _filtered(trained: Ensemble, make: Callable[[], PerModelFilter], output: Output) -> Ensemble:
    filter_ = cache(make)

    def query(x: NDArray[Any]) -> NDArray[Any]:
        true_answers = trained.query(x)
        if output is Output.LABELS:
            return true_answers
        return filter_()(x, true_answers, list(range(trained.size)))

    def member(k: int) -> Model:
        model = trained.member(k)

        def query_one(x: NDArray[Any]) -> NDArray[Any]:
            true_answers = model.query(x)
            if output is Output.LABELS:
                return true_answers
            filtered: NDArray[Any] = filter_()(x, true_answers[None], [k])[0]
            return filtered

        return model.with_(query=query_one, clear=model.clear or model)

    return replace(trained, query=query, member=member)
