"""Parameters of parts, held against their declarations: the nearest name, the expected type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from hartley.core import Game, Parameter
from hartley.core.errors import UsageError

MOST_ROUNDS = 10_000
"""Fresh secrets in one deal; the coins of more would not fit into memory, nor the day."""


def checked(part: str, declared: Iterable[Parameter], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters in their declared types.

    Args:
        part: kind and name, for the message.
        declared: the part's parameters.
        params: what the user gave.

    Raises:
        UsageError: a parameter that the part does not have, a value of another type, or one
            outside its range or its choices.
    """
    known = {p.name: p for p in declared}
    for name, value in params.items():
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.4)
            listed = ", ".join(known) or "none"
            hint = f"did you mean {near[0]}?" if near else f"it has: {listed}"
            raise UsageError(f"the {part} has no parameter {name!r}; {hint}")
        if mistake := known[name].mistake(value):
            near = get_close_matches(str(value), [str(c) for c in known[name].choices], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"the {part}: {mistake}{hint}")
    return {name: known[name].kind(value) for name, value in params.items()}


def defaults(declared: Iterable[Parameter]) -> dict[str, Any]:
    """Return the parameters of a part as they are when nobody sets them; no secrets."""
    return {p.name: p.default for p in declared if not p.secret}


def ruled(
    attack: str, asks: Iterable[tuple[str, Any]], params: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the parameters that a game is dealt with for one attack.

    Args:
        attack: its name, for the message.
        game_params: the parameters that the attack settles.
        params: what the user gave.

    Raises:
        UsageError: the user wants another value than the attack needs.
    """
    settled = dict(asks)
    for name, value in settled.items():
        if name in params and params[name] != value:
            raise UsageError(
                f"the attack {attack!r} plays its game with {name} = {value!r}, "
                f"not {params[name]!r}"
            )
    return {**params, **settled}


def dealable(game: Game, rules: Mapping[str, Any]) -> None:
    """Hold the number of rounds against what a game can deal; 0 is for games that choose it.

    Raises:
        UsageError: fewer or more rounds than that.
    """
    default = next((p.default for p in game.parameters if p.name == "rounds"), 0)
    least, rounds = min(1, default), rules.get("rounds", default)
    if not least <= rounds <= MOST_ROUNDS:
        raise UsageError(
            f"the game {game.name!r}: rounds = {rounds}; it deals {least} to {MOST_ROUNDS}"
        )
