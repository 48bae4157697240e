"""Values that a part would refuse, told before the first game is played.

A defence that the plan sets is put into the live wire of a game that it guards, a game that the
plan sets is dealt there for one round: a moment's work. A wire is small, and may be too small for
what a real scene can carry. So what the wire refuses is put to the scene itself, and only what the
scene refuses too is the user's mistake; nothing else is trained for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from hartley import catalog
from hartley.core import Defense, Game, Scene, spawn
from hartley.core.errors import MissingExtra, MissingPack, UsageError
from hartley.engine.defend import defended, unfit
from hartley.engine.plan.blame import Refused
from hartley.engine.plan.jobs import PLAY, Job
from hartley.engine.plan.plan import Plan
from hartley.engine.run import answer_cache
from hartley.engine.run.play import deal


def rehearse(plan: Plan, jobs: Sequence[Job], scene: Scene) -> list[Refused]:
    """Return the defences and games that cannot be had with what the plan sets for them.

    Args:
        plan: what was ordered; its parameters have the declared types.
        jobs: what is still to be played.
        scene: what it is to be played on, without the plan's defences.
    """
    return [*_defenses(plan, jobs, scene), *_games(plan, jobs, scene)]


def _defenses(plan: Plan, jobs: Sequence[Job], scene: Scene) -> Iterator[Refused]:
    for name, params in plan.defenses.items():
        if not params or not any(job.defense == name for job in jobs):
            continue
        wire = _guarded(catalog.load("defense", name), scene)
        applied = partial(defended, name=name, params=params, seed=plan.seed)
        if wire is None or not _refusal(partial(applied, wire)):
            continue
        if said := _refusal(partial(applied, scene)):
            yield Refused("defense", name, said)


def _games(plan: Plan, jobs: Sequence[Job], scene: Scene) -> Iterator[Refused]:
    for name, params in plan.games.items():
        mine = [job for job in jobs if job.task == PLAY and not job.defense and job.game == name]
        # The attacks of a game may settle its rules differently; one deal each.
        each = list({job.group: job for job in mine}.values())
        if params and each and all(_refused_on_wire(job, scene) for job in each):
            refused = [_refused(job, scene) for job in each]
            answer_cache.forget()
            if all(refused):
                yield Refused("game", name, refused[0])


def _refused_on_wire(job: Job, scene: Scene) -> bool:
    game: Game = catalog.load("game", job.game)
    wire = _wire(game, scene)
    if wire is None or not all(wire.has(need) for need in game.requires):
        return False
    once = {"rounds": 1} if any(p.name == "rounds" for p in game.parameters) else {}
    rng = np.random.default_rng(spawn(job.seed, "rehearsal", game.name))
    return bool(_refusal(partial(game, wire, rng, **{**job.game_params, **once})))


def _refused(job: Job, scene: Scene) -> str:
    attack = catalog.load("attack", job.attack)
    return _refusal(partial(deal, attack, scene, seed=job.seed, params=job.game_params))


def _guarded(part: Defense, scene: Scene) -> Scene | None:
    """The live wire of a game that a defence guards, if there is one that it can stand in."""
    for name in part.protects:
        if part.covers(name, scene.modality):
            wire = _wire(catalog.load("game", name), scene)
            if wire is not None and not unfit(part, wire):
                return wire
    return None


def _wire(game: Game, scene: Scene) -> Scene | None:
    if scene.modality not in game.modalities:
        return None
    rng = np.random.default_rng(spawn(0, "rehearsal", game.name))
    try:
        return game.live(scene.modality, rng)
    except Exception:
        # A guest's wire may be broken in any way. No row plays it: its own conformance check says
        # so, and what cannot be rehearsed is played, and refused there if it must be.
        return None


def _refusal(act: Callable[[], Any]) -> str:
    """What a part says of a value that it does not take; any other fault is told by its rows."""
    try:
        act()
    except (MissingExtra, MissingPack):
        return ""
    except UsageError as error:
        return " ".join(str(error).split())
    except Exception:
        # No mistake of the user's: the same fault fails the row when it is played.
        return ""
    return ""
