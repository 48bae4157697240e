"""What a plan gets wrong: told before any work where the catalogue knows, else by the parts.

A misspelt name or a value of another type is told before anything is built. Some values only the
part itself can judge, once it meets the scene; when every row that such a table of the plan speaks
of fails on it, the plan is at fault and not the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from hartley import catalog
from hartley.core.errors import BadPlan, MissingExtra, UsageError
from hartley.engine import scenes
from hartley.engine.jobs import PLAY, Job
from hartley.engine.match import left_out
from hartley.engine.parameters import checked, dealable
from hartley.engine.plan import Plan


def check_parameters(plan: Plan) -> None:
    """Hold every parameter of a plan against the declarations of the parts, before any work.

    Raises:
        UsageError: a parameter that a part does not take, a value of another type, a number of
            rounds that no deal has, or a way to deal a game that no attack of the plan plays.
    """
    for kind, tables in (
        ("attack", plan.attacks),
        ("game", plan.games),
        ("defense", plan.defenses),
    ):
        for name, params in tables.items():
            try:
                part = catalog.load(kind, name)
            except MissingExtra:
                continue  # its row says so
            given = checked(f"{kind} {name!r}", part.parameters, params)
            if kind == "game":
                dealable(part, given)
                _settled(plan, name, given)
    for name, params in plan.scenes.items():
        try:
            scenes.check(name, params)
        except MissingExtra:
            if name == plan.scene:
                raise


def _settled(plan: Plan, game: str, rules: Mapping[str, Any]) -> None:
    """Refuse what every attack that the plan plays settles otherwise."""
    asked = [
        dict(e.asks) for e in catalog.entries("attack") if e.game == game and not left_out(e, plan)
    ]
    for name, value in rules.items():
        if not asked or any(one.get(name, value) == value for one in asked):
            continue
        known = sorted({str(one[name]) for one in asked})
        near = get_close_matches(str(value), known, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"they play {', '.join(known)}"
        raise UsageError(f"the game {game!r}: no attack plays it with {name} = {value!r}; {hint}")


def told(plan: Plan, jobs: Sequence[Job], blamed: Mapping[str, tuple[str, str]]) -> BadPlan | None:
    """Return the error of a plan whose values a part would not take, on any row of theirs.

    Args:
        plan: what was ordered.
        jobs: every job of the run.
        blamed: job → (kind of the part that refused it, what it said), of the rows that failed on
            a mistake of the user's.
    """
    for kind, name, params, rows in _tables(plan, jobs):
        found = [blamed.get(job.key, ("", "")) for job in rows]
        if params and found and all(who == kind for who, _ in found):
            return BadPlan(f"the plan's [{kind}s.{name}] cannot be played: {found[0][1]}")
    return None


def _tables(
    plan: Plan, jobs: Sequence[Job]
) -> Iterator[tuple[str, str, Mapping[str, Any], list[Job]]]:
    """Yield (kind, name, parameters, the jobs they speak of) of a plan's tables."""
    bare = [job for job in jobs if job.task == PLAY and not job.defense]
    for name, params in plan.games.items():
        yield "game", name, params, [job for job in bare if job.game == name]
    for name, params in plan.attacks.items():
        yield "attack", name, params, [job for job in bare if job.attack == name]
    for name, params in plan.defenses.items():
        yield "defense", name, params, [job for job in jobs if job.defense == name]
