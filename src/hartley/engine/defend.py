"""Defenses: put one into a scene, make the static attacker's side of a deal, say what was left.

A *static* attacker works as if there were no defense: they do not know of it and train their
reference models without it. An *adaptive* attacker sees it and trains with it. A number from static
attackers alone flatters the defense.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hartley import catalog
from hartley.catalog import Entry
from hartley.core import Applied, Bound, Deal, Defense, Model, Round, Scene, spawn
from hartley.core.brief import as_static_brief
from hartley.core.errors import RunError
from hartley.engine.plan.applicability import CALLED
from hartley.engine.plan.parameters import checked, defaults

STATIC, ADAPTIVE = "static", "adaptive"
PRIVATE = "private_training"
"""What DP-SGD requires of a scene."""


def defended(
    scene: Scene,
    defense: Defense | str,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Scene:
    """Return the scene with a defense in it, and its record.

    No defense records itself. Here its name and all its parameters, as they act, join
    ``Scene.defenses``; the digest follows from the one before, the name, the parameters and the
    seed; a model that it changed has its name in the lineage; and what differential privacy proved
    of the training before it is dropped, unless the defense ``keeps_proof``. What it proves itself
    stays.

    Args:
        scene: what to defend.
        defense: the part, or its name.
        params: its parameters by name; the others have their defaults.
        seed: of the run.

    Raises:
        UsageError: an unknown defense, or a parameter that it does not take.
        RunError: it cannot defend this scene, or returned something else than a scene.
    """
    part: Defense = catalog.load("defense", defense) if isinstance(defense, str) else defense
    name = part.name
    settings = part.settled(scene, defaults(part.parameters) | checked(part, params or {}))
    if reason := unfit(part, scene):
        raise RunError(reason)
    before = scene if part.keeps_proof else _unproved(scene)
    rng = np.random.default_rng(spawn(seed, "defense", name))
    after = part(before, rng, **settings)
    if not isinstance(after, Scene):
        raise RunError(f"the defense {name!r} must return a Scene, got {type(after).__name__}")
    model = after.model
    if model is not None and model is not scene.model:
        lineage = () if scene.model is None else scene.model.lineage
        model = model.with_(lineage=(*lineage, name))
    text = json.dumps([scene.digest, name, settings, seed], sort_keys=True)
    return replace(
        after,
        name=scene.name,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        model=model,
        defenses=(*scene.defenses, Applied(name, settings)),
    )


def _unproved(scene: Scene) -> Scene:
    """The scene without what was proved of its training, which the next defense sets aside.

    Differential privacy is proved of one mechanism. Another training takes its place; records that
    push out others, and answers made with the training records at hand, come beside it. What is
    proved of something else than membership (a client's update, the links of a graph) stays.
    """
    bounds = (b for b in scene.bounds if not b.private or _of_release(b))
    return replace(scene, bounds=tuple(bounds))


def _of_release(bound: Bound) -> bool:
    """Whether a bound is about released values, which inversion reads, and not about training."""
    released = {entry.name for entry in catalog.entries("game") if entry.cls == "inversion"}
    return bool(bound.games) and released.issuperset(bound.games)


def unfit(part: Defense | Entry, scene: Scene) -> str:
    """Return why a defense cannot be put into a scene, or an empty string."""
    if scene.modality not in part.modalities:
        why = dict(part.unfit).get(str(scene.modality), "")
        return (
            f"{part.name} protects {', '.join(part.modalities)}; {scene.name} is {scene.modality}"
            + (why and f": {why}")
        )
    refuses = getattr(scene.training, "refuses", None)
    if refuses is not None and (reason := refuses(part.requires)):
        return f"{part.name}: {reason}"
    lacking = [need for need in part.requires if not scene.has(need)]
    if PRIVATE in lacking and scene.model is not None:
        others = [name for name in fitting(scene) if name != part.name]
        return (
            f"{part.name} clips the gradient of every record in training, which the training of a "
            f"torch network can (--model net.py:Net --weights w.safetensors) and that of "
            f"{scene.name} cannot; what fits it: {', '.join(others) or 'none'}"
        )
    words = ", ".join(CALLED.get(need, need) for need in lacking)
    return f"the scene {scene.name} has no {words}" if lacking else ""


def fitting(scene: Scene) -> list[str]:
    """Return the defenses that can be put into a scene."""
    private = scene.has(PRIVATE)
    return [
        entry.name
        for entry in catalog.entries("defense")
        # A refusal of a private training names what fits: it must not ask for itself.
        if not entry.error
        and (private or PRIVATE not in entry.requires)
        and not unfit(entry, scene)
    ]


def as_static(deal: Deal, undefended: Scene) -> Deal:
    """Return a deal on a defended scene as a static attacker meets it.

    Victims, secrets and judge are the adaptive attacker's, so that the two differ by what the
    attacker knows and by nothing else. The views show the defenses that the undefended scene has
    already, which are deployed, and none that was added; so does what a brief holds for attackers
    who know the defenses. Attackers who train reference models train them by the pipeline of the
    undefended scene.

    Args:
        deal: on the defended scene.
        undefended: the scene before the defenses that a static attacker does not know.
    """
    undefended_count = len(undefended.defenses)

    def unaware(round_: Round) -> Round:
        source = round_.view.source
        if isinstance(source, Model) and source.fit is not None and undefended.model is not None:
            source = source.with_(fit=undefended.model.fit)
        visible = round_.view.defenses[:undefended_count]
        brief = as_static_brief(round_.view.brief, undefended)
        view = replace(round_.view, source=source, brief=brief, defenses=visible)
        return replace(round_, view=view)

    return replace(deal, rounds=tuple(map(unaware, deal.rounds)))


def coverage(
    undefended: Mapping[str, Any] | None, residuals: list[Mapping[str, Any]]
) -> dict[str, float] | None:
    """Return how much of a leak a defense closes, relative to the attacks that were played.

    ``point`` is 1 − (worst residual ÷ undefended) clipped to 0..1; ``low`` compares the upper end
    of the residual with the certified lower bound of what leaked before.

    Args:
        undefended: {point, low, high, n} of the attack without the defense, or None.
        residuals: the same behind the defense, one for each kind of attacker.

    Returns:
        {point, low}, or None where nothing leaked before or nothing was measured behind.
    """
    if undefended is None or not residuals or undefended["point"] <= 0:
        return None
    worst = max(residual["point"] for residual in residuals)
    highs = [residual["high"] for residual in residuals]
    before = undefended["low"] or 0.0
    low = 0.0
    if before > 0 and all(high is not None for high in highs):
        low = _unit(1 - max(highs) / before)
    return {"point": _unit(1 - worst / undefended["point"]), "low": low}


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
