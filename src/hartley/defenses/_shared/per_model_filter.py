"""A defence of the answers that knows, for each model, what that model was trained on.

``wrap_answers`` puts one and the same filter before every model. Some defences are made for
each model anew, from its own members or from its own answers to other records. A *guard* is made
for a whole ensemble at once, when it is first asked, so that what many models need is computed
together.
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

Guard = Callable[["NDArray[Any]", "NDArray[Any]", list[int]], "NDArray[Any]"]
"""(records (n, …), answers (j, n, classes) of j models, their numbers) → answers, same units."""

MakeGuard = Callable[[Ensemble, Data, "NDArray[np.bool_]", str], Guard]
"""(models, records, who trained on what (K, n), whose: deployed, victim, reference) → guard."""


def behind(scene: Scene, make: MakeGuard) -> Scene:
    """Return the scene with every model's answers behind a guard that was made for it.

    The deployed model, the victims of ``Scene.fit``, and the references of an attacker who knows.

    Raises:
        RunError: the scene has no model with class scores.
    """
    deployed = scene.model
    if deployed is None or deployed.output is Output.EMBEDDINGS:
        raise RunError(f"{scene.name} gives no class scores to guard")
    alone = Ensemble(1, lambda x: deployed.query(x)[None], lambda _: deployed)
    train = scene.train
    assert train is not None
    include = np.ones((1, len(train)), dtype=bool)
    shielded = _guarded(alone, lambda: make(alone, train, include, "deployed"), deployed.output)
    return replace(
        scene,
        model=shielded.member(0).with_(
            fit=_round(deployed.fit, make, "reference", deployed.output)
        ),
        fit=_round(scene.fit, make, "victim", deployed.output),
    )


def _round(fit: Fit | None, make: MakeGuard, whose: str, output: Output) -> Fit | None:
    if fit is None:
        return None

    def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        trained = fit(data, include, seed)
        kept = np.asarray(include, dtype=bool)
        return _guarded(trained, lambda: make(trained, data, kept, whose), output)

    return defended


def _guarded(trained: Ensemble, make: Callable[[], Guard], output: Output) -> Ensemble:
    guard = cache(make)

    def query(x: NDArray[Any]) -> NDArray[Any]:
        clear = trained.query(x)
        if output is Output.LABELS:
            return clear
        return guard()(x, clear, list(range(trained.size)))

    def member(k: int) -> Model:
        one = trained.member(k)

        def asked(x: NDArray[Any]) -> NDArray[Any]:
            clear = one.query(x)
            return clear if output is Output.LABELS else guard()(x, clear[None], [k])[0]

        return one.with_(query=asked, clear=one.clear or one)

    return replace(trained, query=query, member=member)
