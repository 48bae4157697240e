"""Hold what a plan says of parts against their declarations, before any work."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from hartley import catalog
from hartley.core.errors import MissingExtra, UsageError
from hartley.engine import build_scene
from hartley.engine.plan.applicability import left_out
from hartley.engine.plan.parameters import checked, dealable
from hartley.engine.plan.plan import Plan, sweep


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
            for settings in sweep(params) if kind == "attack" else [params]:
                given = checked(f"{kind} {name!r}", part.parameters, settings)
            if kind == "game":
                dealable(part, given)
                _settled(plan, name, given)
    for name, params in plan.scenes.items():
        try:
            build_scene.check(name, params)
        except MissingExtra:
            if name == plan.scene:
                raise


def _settled(plan: Plan, game: str, rules: Mapping[str, Any]) -> None:
    """Refuse what every attack that the plan plays settles otherwise."""
    asked = [
        dict(e.game_params)
        for e in catalog.entries("attack")
        if e.game == game and not left_out(e, plan)
    ]
    for name, value in rules.items():
        if not asked or any(one.get(name, value) == value for one in asked):
            continue
        known = sorted({str(one[name]) for one in asked})
        near = get_close_matches(str(value), known, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"they play {', '.join(known)}"
        raise UsageError(f"the game {game!r}: no attack plays it with {name} = {value!r}; {hint}")
