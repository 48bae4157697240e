"""The parameters of a part: read from its signature, and described in its docstring.

The annotation says which values a parameter takes: ``Annotated[int, Range(2, 512)]`` for a number,
``Literal["plain", "weak"]`` for a word out of a closed set. A value is checked once, where a plan,
a command line or a call of ``hartley.play`` becomes work.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from math import inf, isfinite, isnan, nextafter
from numbers import Integral, Real
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

_Extra = TypeVar("_Extra")

KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
}
"""The types that a parameter may have, in words."""


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a parameter may take, for ``Annotated[float, Range(0, 1)]``.

    Whatever the range, a parameter is finite.

    Attributes:
        low: the least of them; ``-inf`` where any is small enough.
        high: the largest of them.
        open_low: ``low`` itself lies outside.
        open_high: ``high`` itself lies outside.

    Raises:
        TypeError: no number is inside.
    """

    low: float
    high: float = inf
    _: KW_ONLY
    open_low: bool = False
    open_high: bool = False

    def __post_init__(self) -> None:
        empty = self.low == self.high and (self.open_low or self.open_high)
        if isnan(self.low) or isnan(self.high) or self.low > self.high or empty:
            raise TypeError(f"a range must hold a number, got {self!r}")

    def __contains__(self, value: float) -> bool:
        """Whether a number is finite and inside."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return _is_finite(value) and above and below

    def __str__(self) -> str:
        """The range in words, to follow "must be"."""
        low = f"{'above' if self.open_low else 'at least'} {self.low:.15g}"
        high = f"{'below' if self.open_high else 'at most'} {self.high:.15g}"
        if self.low == -inf:
            return "finite" if self.high == inf else high
        if self.high == inf:
            return low
        if not self.open_low and not self.open_high:
            return f"from {self.low:.15g} to {self.high:.15g}"
        return f"{low} and {high}"

    def outside(self, kind: type) -> tuple[float, ...]:
        """Return the numbers one step outside of either end, where it has one.

        Args:
            kind: ``int`` or ``float``; a step of a float is the nearest one.
        """
        low = self.low if self.open_low else _step(kind, self.low, -inf)
        high = self.high if self.open_high else _step(kind, self.high, inf)
        ends = [end for end in (low, high) if isfinite(end)]
        return tuple(kind(end) for end in ends)


def _is_finite(value: Any) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False


def _step(kind: type, end: float, towards: float) -> float:
    return end + (1 if towards > 0 else -1) if kind is int else nextafter(end, towards)


@dataclass(frozen=True, slots=True)
class Secret:
    """A parameter that is read from the environment, for ``Annotated[str, Secret("MY_KEY")]``.

    It is refused in plans and on the command line, and never stored. A string parameter whose
    name ends in ``key``, ``token``, ``secret`` or ``password`` is one without being declared.

    Attributes:
        variable: the environment variable that holds it.
    """

    variable: str


class Stronger(StrEnum):
    """What another value of a parameter means, for ``Annotated[int, Range(2), Stronger.MORE]``.

    The gate needs it: a limit is passed only by attacks at least as strong as shipped. Of a
    parameter without this mark, every value but its default counts as weaker.

    Attributes:
        MORE: an attack is at least as strong with a larger value (reference models, steps), or with
            True instead of False.
        LESS: an attack is at least as strong with a smaller value.
        TRIALS: the value says how many trials there are: fewer of them widen the interval, and the
            channel stays the same (rounds).
        NEITHER: the value does not matter to the strength (a seed, a number of processes).
    """

    MORE = "more"
    LESS = "less"
    TRIALS = "trials"
    NEITHER = "neither"

    def weaker(self, value: float, shipped: float) -> bool:
        """Whether a value makes the attack weaker than the shipped value does."""
        if self is Stronger.NEITHER:
            return False
        return value > shipped if self is Stronger.LESS else value < shipped


_SECRET_NAME = re.compile(r"(^|_)(key|token|secret|password|passphrase|credentials?)$")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One keyword parameter of a part: a plain value, so it can be a flag, hashed and swept.

    Attributes:
        name: its keyword.
        default: what it is where nobody says otherwise.
        kind: its type, one of ``KINDS``.
        help: its line of the docstring's ``Args:``.
        range: the numbers that it may take; None where it declares none.
        choices: the values that it may take; empty where it declares none.
        secret: the environment variable that it is read from; empty for any other parameter.
        stronger: in which direction an attack gets stronger; None where it is not declared.
    """

    name: str
    default: Any
    kind: type
    help: str
    range: Range | None = None
    choices: tuple[Any, ...] = ()
    secret: str = ""
    stronger: Stronger | None = None

    def is_weaker(self, value: Any, shipped: Any) -> bool:
        """Whether an attack is weaker with a value than with the shipped one, or may be.

        Where no direction is declared, every other value may be.
        """
        if self.stronger is None:
            return bool(value != shipped)
        return self.stronger.weaker(value, shipped)

    @property
    def limits(self) -> str:
        """Its range or its choices, in words; empty where it declares neither."""
        if self.range is not None:
            return str(self.range)
        *others, last = [str(choice) or '""' for choice in self.choices] or [""]
        return f"{', '.join(others)} or {last}" if others else last

    def is_of_kind(self, value: Any) -> bool:
        """Whether a value is of its type; a whole number is a number, and no number is infinite."""
        if self.kind in {bool, str}:
            return isinstance(value, self.kind)
        number = Integral if self.kind is int else Real
        return isinstance(value, number) and not isinstance(value, bool) and _is_finite(value)

    def mistake(self, value: Any) -> str:
        """Say what a value must be instead, or return an empty string where it is right."""
        if self.secret and value != self.default:
            return (
                f"{self.name} is a secret and would be stored: set the environment variable "
                f"{self.secret} instead"
            )
        if not self.is_of_kind(value):
            words = KINDS[self.kind] + (f" {self.limits}" if self.range is not None else "")
            return f"{self.name} must be {words}, got {value!r}"
        inside = self.range is None or value in self.range
        if inside and (not self.choices or value in self.choices):
            return ""
        return f"{self.name} must be {self.limits}, got {value!r}"


def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Return the keyword parameters, with their defaults, limits and lines of ``Args:``.

    Raises:
        TypeError: a parameter without a plain default, with an annotation that cannot be read, or
            with a default that its annotation does not allow.
    """
    notes = notes_of(inspect.getdoc(function) or "", {"Args:", "Arguments:"})
    parameters = []
    for declared in inspect.signature(function).parameters.values():
        if declared.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        default, where = declared.default, f"parameter {declared.name!r}"
        if not isinstance(default, bool | int | float | str):
            raise TypeError(
                f"{where} needs a plain default (bool, int, float or str), so that it can be a flag"
            )
        try:
            annotation = _annotation(function, declared)
            kind, limits, choices = _read(annotation, default)
        except (TypeError, NameError, AttributeError, SyntaxError) as error:
            raise TypeError(f"{where}: its annotation cannot be read: {error}") from error
        if limits is not None and kind not in {int, float}:
            raise TypeError(f"{where}: a Range must annotate an int or a float")
        stronger = _extra(annotation, Stronger)
        if stronger not in {None, Stronger.NEITHER} and (kind is str or choices):
            raise TypeError(f"{where}: Stronger.{stronger.name} must annotate a number or a bool")
        help_ = notes.get(declared.name, "")
        secret = _secret(annotation, declared.name, kind)
        parameter = Parameter(
            declared.name, default, kind, help_, limits, choices, secret, stronger
        )
        if mistake := parameter.mistake(default):
            raise TypeError(f"the default of {mistake}")
        parameters.append(parameter)
    return tuple(parameters)


def _annotation(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """One parameter's annotation, evaluated by itself.

    Those of ``view`` and ``rng`` may name types that are imported for type checkers only.
    """
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    names = getattr(inspect.unwrap(function), "__globals__", {})
    return eval(parameter.annotation, names)


def _read(annotation: Any, default: Any) -> tuple[type, Range | None, tuple[Any, ...]]:
    """The type, the range and the choices that an annotation declares."""
    limits = _extra(annotation, Range)
    if get_origin(annotation) is Annotated:
        annotation, *_ = get_args(annotation)
    if get_origin(annotation) is Literal:
        return type(default), limits, get_args(annotation)
    return (annotation if annotation in KINDS else type(default)), limits, ()


def _extra(annotation: Any, kind: type[_Extra]) -> _Extra | None:
    """What an annotation declares of a kind besides the type, or None."""
    extras = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return next((extra for extra in extras if isinstance(extra, kind)), None)


def _secret(annotation: Any, name: str, kind: type) -> str:
    """The environment variable of a secret, or an empty string."""
    declared = _extra(annotation, Secret)
    if declared is not None:
        return declared.variable
    return f"HARTLEY_{name.upper()}" if kind is str and _SECRET_NAME.search(name) else ""


def from_environment(parameters: Iterable[Parameter]) -> dict[str, str]:
    """Return the secrets that the environment holds, by the names of their parameters."""
    return {p.name: os.environ[p.secret] for p in parameters if p.secret in os.environ}


def notes_of(doc: str, titles: Collection[str]) -> dict[str, str]:
    """Parse a section of a Google docstring into one line for each name.

    Args:
        doc: the docstring, without indentation.
        titles: how the section may begin, for example ``Args:``.
    """
    notes: dict[str, str] = {}
    inside, last = False, ""
    for line in doc.splitlines():
        if line.strip() in titles:
            inside = True
        elif inside and line and not line.startswith(" "):
            inside = False
        elif inside and (match := re.match(r"^ {4}(\w+)(?: \([^)]*\))?: (.*)$", line)):
            last = match[1]
            notes[last] = match[2].strip()
        elif inside and last and line.startswith(" " * 8):
            notes[last] += " " + line.strip()
    return notes
