"""The plan of work: every row that a run will have, as a job or as the reason why there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hartley import catalog
from hartley.core import Scene
from hartley.core.errors import MissingExtra, UsageError
from hartley.core.taxonomy import Axis
from hartley.engine.defend import ADAPTIVE, STATIC, unfit
from hartley.engine.plan.applicability import Obstacle, choose
from hartley.engine.plan.jobs import PLAY, UTILITY, Job, code_of
from hartley.engine.plan.parameters import checked, ruled
from hartley.engine.plan.plan import Plan
from hartley.engine.result import document
from hartley.engine.run.player import FAILED, SKIPPED


@dataclass(frozen=True, slots=True)
class Order:
    """One line of the plan of work: a job, or the obstacle that keeps it from being played."""

    key: str
    stands: Mapping[str, Any]
    job: Job | None = None
    obstacle: Obstacle | None = None
    defense: str = ""
    knowledge: str = ""


def orders(plan: Plan, scene: Scene) -> list[Order]:
    """Return every row that the document will have: undefended first, then behind each defence.

    Raises:
        UsageError: a parameter that a part does not take.
    """
    return list(_orders(plan, scene))


def _orders(plan: Plan, scene: Scene) -> Iterator[Order]:
    undefended = []
    for entry, obstacle in choose(plan, scene):
        given = dict(plan.attacks.get(entry.name, {}))
        found, params = (obstacle, given) if obstacle else _loaded(entry, given)
        job = None if found else _job(plan, entry, given)
        stands = document.standing(entry, str(scene.modality), params)
        key = job.key if job else f"{entry.name}.{entry.origin}"
        order = Order(key, stands, job, found)
        undefended.append((entry, order))
    playable = [(e, o) for e, o in undefended if o.job is not None]
    # of one game in a row, so that they share a deal and their reference models
    axes = [str(axis) for axis in Axis]
    playable.sort(
        key=lambda pair: (axes.index(pair[0].axis), pair[0].game, str(pair[0].game_params))
    )
    yield from (o for _, o in playable)
    yield from (o for _, o in undefended if o.job is None)
    if plan.use:
        yield _utility(plan, "", {})
    for name in plan.use:
        part = catalog.load("defense", name)
        settings = checked(f"defense {name!r}", part.parameters, plan.defenses.get(name, {}))
        if unfit(part, scene):
            continue
        yield _utility(plan, name, settings)
        for entry, order in playable:
            if not part.covers(entry.game, scene.modality) or order.job is None:
                continue
            # Both kinds of attackers in a row: they share the deal.
            for knows in (STATIC, ADAPTIVE) if plan.adaptive else (STATIC,):
                job = _behind(order.job, name, settings, knows)
                yield Order(job.key, order.stands, job, None, name, knows)


def _job(plan: Plan, entry: catalog.Entry, params: Mapping[str, Any]) -> Job:
    return Job(
        task=PLAY,
        scene=plan.scene,
        scene_params=dict(plan.scenes.get(plan.scene, {})),
        attack=entry.name,
        params=params,
        game=entry.game,
        game_params=ruled(entry.name, entry.game_params, plan.games.get(entry.game, {})),
        seed=plan.seed,
        budget=plan.budget,
        alpha=plan.alpha,
        code=code_of(entry.module, catalog.find("game", entry.game).module),
    )


def _behind(job: Job, defense: str, settings: Mapping[str, Any], knows: str) -> Job:
    """The same attack behind a defence."""
    code = code_of(catalog.find("defense", defense).module)
    return replace(
        job,
        defense=defense,
        defense_params=dict(settings),
        knowledge=knows,
        code=f"{job.code} {code}",
    )


def _utility(plan: Plan, defense: str, settings: Mapping[str, Any]) -> Order:
    job = Job(
        task=UTILITY,
        scene=plan.scene,
        scene_params=dict(plan.scenes.get(plan.scene, {})),
        defense=defense,
        defense_params=dict(settings),
        seed=plan.seed,
        code=code_of(catalog.find("defense", defense).module) if defense else "",
    )
    return Order(job.key, {}, job, None, defense)


def _loaded(
    entry: catalog.Entry, given: Mapping[str, Any]
) -> tuple[Obstacle | None, dict[str, Any]]:
    """Import an attack in this process, so that a wrong parameter is told before the first game.

    Returns:
        What stands in its way, if anything, and all its parameters.

    Raises:
        UsageError: a parameter that the attack does not take.
    """
    try:
        part = catalog.load("attack", entry.name)
    except MissingExtra as error:
        return Obstacle("install", str(error)), dict(given)
    except UsageError as error:
        return Obstacle("broken", str(error)), dict(given)
    defaults = {p.name: p.default for p in part.parameters}
    return None, defaults | checked(f"attack {entry.name!r}", part.parameters, given)


def planned(ordered: Sequence[Order], plan: Plan, scene: Scene) -> dict[str, Any]:
    """Return what the document needs to be assembled without a model or a part."""
    rows = []
    for order in ordered:
        status = FAILED if order.obstacle and order.obstacle.cause == "broken" else SKIPPED
        rows.append(
            {
                "key": order.key,
                "task": order.job.task if order.job else PLAY,
                "stands": order.stands,
                "defense": order.defense,
                "knowledge": order.knowledge,
                **(
                    {
                        "status": status,
                        "reason": order.obstacle.reason,
                        "cause": order.obstacle.cause,
                    }
                    if order.obstacle
                    else {}
                ),
            }
        )
    guards = []
    for name in plan.use:
        part, entry = catalog.load("defense", name), catalog.find("defense", name)
        guards.append(
            {
                "name": name,
                "term": entry.term,
                "stage": entry.stage,
                "paper": entry.paper,
                "summary": entry.summary,
                "params": {
                    **{p.name: p.default for p in part.parameters},
                    **plan.defenses.get(name, {}),
                },
                "protects": list(part.protects),
                "reason": unfit(part, scene) or None,
            }
        )
    made: dict[str, Any] = json.loads(json.dumps({"rows": rows, "guards": guards}))
    return made
