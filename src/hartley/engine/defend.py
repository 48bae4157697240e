"""Defenses: put one into a scene, make the static attacker's side of a deal, say what was left.

A *static* attacker works as if there were no defense: they train their reference models without it
and do not know of it. An *adaptive* one sees it and trains with it. A number from static attackers
alone flatters the defense.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hartley import catalog
from hartley.core import Applied, Deal, Defense, Model, Round, Scene, spawn
from hartley.core.errors import RunError
from hartley.engine.plan.parameters import checked

STATIC, ADAPTIVE = "static", "adaptive"


def defended(scene: Scene, name: str, params: Mapping[str, Any], seed: int) -> Scene:
    """Return the scene with a defence in it, under its own digest.

    Raises:
        UsageError: no such defence, or a parameter that it does not take.
        RunError: it cannot stand in this scene, or returned something else.
    """
    part: Defense = catalog.load("defense", name)
    settings = checked(f"defense {name!r}", part.parameters, params)
    if reason := unfit(part, scene):
        raise RunError(reason)
    rng = np.random.default_rng(spawn(seed, "defense", name))
    after = part(scene, rng, **settings)
    if not isinstance(after, Scene):
        raise RunError(f"the defence {name!r} returned a {type(after).__name__}, not a Scene")
    stands = after.defenses
    if not any(one.name == name for one in stands[len(scene.defenses) :]):
        stands = (*stands, Applied(name, settings))
    digest = after.digest
    if digest == scene.digest:
        text = json.dumps([scene.digest, name, settings, seed], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
    return replace(after, name=scene.name, defenses=stands, digest=digest)


def unfit(part: Defense, scene: Scene) -> str:
    """Return why a defence cannot stand in a scene, or an empty string."""
    if scene.modality not in part.modalities:
        return f"{part.name} guards {', '.join(part.modalities)}; {scene.name} is {scene.modality}"
    lacking = [need for need in part.requires if not scene.has(need)]
    return f"the scene {scene.name} has no {', '.join(lacking)}" if lacking else ""


def as_static(deal: Deal, undefended: Scene) -> Deal:
    """Return a deal on a defended scene as a static attacker meets it.

    Victims, secrets and judge are the adaptive attacker's, so that the two differ by what the
    attacker knows and by nothing else. The views show no defense, and whoever trains references
    trains them by the pipeline of the undefended scene.

    Args:
        deal: on the defended scene.
        undefended: the scene before its defenses.
    """

    def unaware(one: Round) -> Round:
        source = one.view.source
        if isinstance(source, Model) and source.fit is not None and undefended.model is not None:
            source = source.with_(fit=undefended.model.fit)
        return replace(one, view=replace(one.view, source=source, defenses=()))

    return replace(deal, rounds=tuple(map(unaware, deal.rounds)))


def coverage(
    undefended: Mapping[str, Any] | None, residuals: list[Mapping[str, Any]]
) -> dict[str, float] | None:
    """Return how much of a leak a defence closes, relative to the attacks that were played.

    ``point`` is 1 − (worst residual ÷ undefended) clipped to 0..1; ``low`` sets the upper end of
    the residual against the certified lower bound of what leaked before (MEASURE §4.4).

    Args:
        undefended: {point, low, high, n} of the attack without the defence, or None.
        residuals: the same behind the defence, one a kind of attacker.

    Returns:
        {point, low}, or None where nothing leaked before or nothing was measured behind.
    """
    if undefended is None or not residuals or undefended["point"] <= 0:
        return None
    worst = max(one["point"] for one in residuals)
    highs = [one["high"] for one in residuals]
    before = undefended["low"] or 0.0
    low = 0.0
    if before > 0 and all(high is not None for high in highs):
        low = _unit(1 - max(highs) / before)
    return {"point": _unit(1 - worst / undefended["point"]), "low": low}


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
