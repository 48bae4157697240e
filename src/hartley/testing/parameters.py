"""The rules for the parameters of every part: ranges are declared, and values are checked."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, nan
from typing import Any

from hartley.core import Parameter
from hartley.core.errors import UsageError
from hartley.core.parts import Part
from hartley.engine.plan.parameters import checked
from hartley.testing.checks import CheckFailed, expect


def refuses_values_outside_its_ranges(part: Part) -> None:
    """Every number declares a range, and a value one step outside is refused by its name.

    Tried by the check that plans, command lines and ``hartley.play`` share: both sides of
    every range, numbers that are not finite, words that are not among the choices, other types.
    """
    for parameter in part.parameters:
        numeric = parameter.kind in {int, float}
        expect(
            not numeric or bool(parameter.limits),
            f"parameter {parameter.name!r} is a number; it must declare a range, such as "
            f"Annotated[{parameter.kind.__name__}, Range(1)]",
        )
        for value in _inside(parameter):
            _accept(part, {parameter.name: value})
        for value in _outside(parameter):
            _refuse(part, parameter.name, value)


def accepts(part: Part, declared: str, params: dict[str, Any]) -> None:
    """Expect that a part takes parameters that are declared somewhere.

    Args:
        part: whose parameters they are.
        declared: where they are declared, for the message.
        params: by name.

    Raises:
        CheckFailed: one of them would be refused.
    """
    try:
        checked(part, params)
    except UsageError as error:
        raise CheckFailed(f"{declared}: {error}") from error


def _accept(part: Part, params: dict[str, Any]) -> None:
    accepts(part, "a value inside its range is refused", params)


def _refuse(part: Part, name: str, value: Any) -> None:
    try:
        checked(part, {name: value})
    except UsageError as error:
        text = str(error)
        expect(text.startswith(f"{part.name}: {name} "), f"{name} = {value!r} says: {text}")
        expect("\n" not in text, f"{name} = {value!r} is refused in more than one line")
        return
    raise CheckFailed(f"{name} = {value!r} is not refused")


def _inside(parameter: Parameter) -> Iterator[Any]:
    yield parameter.default
    yield from parameter.choices
    if (limits := parameter.range) is not None:
        ends = [(limits.low, limits.open_low), (limits.high, limits.open_high)]
        yield from (parameter.kind(end) for end, is_open in ends if not is_open and abs(end) < inf)


def _outside(parameter: Parameter) -> Iterator[Any]:
    if parameter.range is not None:
        yield from parameter.range.outside(parameter.kind)
    if parameter.kind is float:
        yield from (nan, inf, -inf)
    if parameter.choices:
        yield parameter.kind(f"{''.join(map(str, parameter.choices))}1")
    yield None
