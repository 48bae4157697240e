"""Parameters of parts, checked against their declarations: names, types, ranges, choices.

Plans, command lines and ``hartley.play`` all call ``checked``, and what a
part declares in its annotations (see ``hartley.core.parameters``) is checked nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from hartley.core import Parameter
from hartley.core.errors import UsageError
from hartley.core.parts import Part


def checked(part: Part, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters in their declared types.

    Args:
        part: whose parameters they are.
        params: what the user gave, by name.

    Raises:
        UsageError: a parameter that the part does not have, or a value of another type, outside its
            range or not among its choices.
    """
    declared = {p.name: p for p in part.parameters}
    for name, value in params.items():
        if name not in declared:
            near = get_close_matches(name, declared, n=1, cutoff=0.4)
            listed = ", ".join(declared) or "none"
            hint = f"did you mean {near[0]}?" if near else f"it has: {listed}"
            raise UsageError(f"the {part.kind} {part.name!r} has no parameter {name!r}; {hint}")
        if mistake := declared[name].mistake(value):
            near = get_close_matches(str(value), map(str, declared[name].choices), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"{part.name}: {mistake}{hint}")
    return {name: declared[name].kind(value) for name, value in params.items()}


def defaults(declared: Iterable[Parameter]) -> dict[str, Any]:
    """Return the parameters of a part as they are when nobody sets them; no secrets."""
    return {p.name: p.default for p in declared if not p.secret}


def ruled(
    attack: str, asks: Iterable[tuple[str, Any]], params: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the parameters that a game is dealt with for one attack.

    Args:
        attack: its name, for the message.
        asks: the parameters that the attack fixes.
        params: what the user gave.

    Raises:
        UsageError: the user wants another value than the attack needs.
    """
    fixed = dict(asks)
    for name, value in fixed.items():
        if name in params and params[name] != value:
            raise UsageError(
                f"{name} must be {value!r} for the attack {attack!r}, got {params[name]!r}"
            )
    return {**params, **fixed}
