"""Check the parameters in a plan against the declarations of the parts, before any work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from hartley import catalog
from hartley.core.errors import MissingExtra, Mistakes, UsageError
from hartley.engine import build_scene
from hartley.engine.plan.applicability import left_out
from hartley.engine.plan.parameters import checked
from hartley.engine.plan.plan import Plan, sweep


def check_parameters(plan: Plan) -> None:
    """Check every parameter of a plan against the declarations of the parts, before any work.

    Raises:
        UsageError: a parameter that a part does not take, a value that it does not allow, or a way
            to deal a game that no attack of the plan plays.
        Mistakes: several of these.
    """
    mistakes = list(_mistakes(plan))
    if len(mistakes) > 1:
        raise Mistakes(map(str, mistakes))
    if mistakes:
        raise mistakes[0]


def _mistakes(plan: Plan) -> Iterator[UsageError]:
    """Return the errors in the tables of a plan, at most one per table."""
    tables = {"attack": plan.attacks, "game": plan.games, "defense": plan.defenses}
    for kind, table in tables.items():
        for name, params in table.items():
            try:
                _check(plan, kind, name, params)
            except MissingExtra:
                continue  # its row says so
            except UsageError as mistake:
                yield mistake
    for name, params in plan.scenes.items():
        try:
            build_scene.check(name, params)
        except MissingExtra as absent:
            if name == plan.scene:
                yield absent
        except UsageError as mistake:
            yield mistake


def _check(plan: Plan, kind: str, name: str, params: Mapping[str, Any]) -> None:
    part = catalog.load(kind, name)
    for settings in sweep(params) if kind == "attack" else [params]:
        values = checked(part, settings)
        if kind == "game":
            _settled(plan, name, values)
    used = {used_name for joined in (*plan.use, *plan.deployed) for used_name in joined.split("+")}
    if kind == "defense" and name not in used:
        raise UsageError(
            f"[defenses.{name}] sets parameters of a defense that the plan does not use; add "
            f"{name!r} to defenses.use, or drop the table"
        )


def _settled(plan: Plan, game: str, rules: Mapping[str, Any]) -> None:
    """Refuse a game parameter to which every attack of the plan gives another value."""
    fixed = [
        dict(e.game_params)
        for e in catalog.entries("attack")
        if e.game == game and not left_out(e, plan)
    ]
    for name, value in rules.items():
        if not fixed or any(params.get(name, value) == value for params in fixed):
            continue
        names = sorted({str(params[name]) for params in fixed})
        near = get_close_matches(str(value), names, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"they play {', '.join(names)}"
        raise UsageError(f"the game {game!r}: no attack plays it with {name} = {value!r}; {hint}")
