"""The table ``[limits.least]``: what must have been played before a limit is passed.

::

    [limits.least]
    attacks = ["lira", "rmia"]   # these must be measured, and of their limits they are enough
    alpha = 0.01                 # error level of every row at most; 0.05 without this line
    uses = 1000                  # of a row; clusters and rounds alike
    rounds = 16
    budget = 100000              # queries that attacks are allowed at least
    references = 16              # a parameter of attacks or games, at least as strong as this
    [limits.least.lira]          # the same for one attack or game
    references = 32

Without the table every attack of a limit that fits the scene must be measured as it is shipped. A
setting in the table takes the place of the shipped one, upwards and downwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from hartley import catalog
from hartley.core.errors import UsageError
from hartley.core.parameters import Parameter, Stronger
from hartley.engine.result.departures import declared, differs, toml

ALPHA = 0.05
"""The largest error level of a row that can pass a limit, and the level of a row without one."""

COUNTS = ("uses", "clusters", "rounds")
"""What a row counts: trials, independent units, victims or what else a game deals anew."""

KIND = ("attack", "game")


REFERENCES = "references"
"""The parameter of attacks that says how many reference models they train at most."""


@dataclass(frozen=True, slots=True)
class Least:
    """The least that counts.

    Attributes:
        attacks: what must be measured; empty for every attack of a limit that fits the scene.
        alpha: the largest error level of a row.
        counts: the least number of ``uses``, ``clusters`` or ``rounds`` of a row.
        budget: queries that attacks must be allowed; None where a budget is a departure.
        settings: by the name of a parameter, of every attack and game that has it.
        parts: by the name of an attack or a game, then by that of its parameter.
    """

    attacks: tuple[str, ...] = ()
    alpha: float = ALPHA
    counts: Mapping[str, int] = field(default_factory=dict)
    budget: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def stated(self, part: str, setting: str) -> Any:
        """Return what the table states about a parameter of a part, or None."""
        return self.parts.get(part, {}).get(setting, self.settings.get(setting))

    def accepts(self, departure: Mapping[str, Any]) -> bool:
        """Whether the table states this setting, so that the shipped one does not count."""
        if departure["kind"] == "plan":
            return self.budget is not None
        return self.stated(departure["name"], departure["setting"]) is not None

    def unmet(self, row: Mapping[str, Any]) -> Iterator[str]:
        """Yield, in words, what the table asks and a measured row does not have."""
        values = {
            "uses": row.get("n"),
            "clusters": row.get("clusters"),
            "rounds": row.get("rounds"),
        }
        for name, least in self.counts.items():
            value = values[name]
            if value is None or value < least:
                yield f"has {'unknown' if value is None else value} {name}, not {least}"
        experiment = row.get("experiment") or {}
        budgets = [d["value"] for d in row.get("departures") or () if d["setting"] == "budget"]
        if self.budget is not None and budgets and min(budgets) < self.budget:
            yield f"was allowed budget = {min(budgets)} queries, not {self.budget}"
        trained = (row.get("cost") or {}).get("models")
        for stage in experiment.get("stages") or ():
            least = self.stated(stage["attack"], REFERENCES)
            if trained is not None and least and REFERENCES in (stage.get("params") or {}):
                # Fewer than it was allowed: a scene may limit them, or leave out what adds little.
                number = round(trained * (row.get("rounds") or 1))
                if number < least:
                    yield f"trained {number} reference models, not {least}"
            yield from self._weaker("attack", stage["attack"], stage.get("params") or {})
            yield from self._weaker("game", stage.get("game") or "", stage.get("game_params") or {})

    def _weaker(self, kind: str, name: str, values: Mapping[str, Any]) -> Iterator[str]:
        names = {*self.settings, *self.parts.get(name, {})}
        if not names & {*values, *self.parts.get(name, {})}:
            return
        part = declared(kind, name)
        if part is None:
            yield f"has unknown settings: the {kind} {name!r} is not installed, or is of a plugin"
            return
        for parameter in part.parameters:
            least = self.stated(name, parameter.name)
            if least is None or parameter.mistake(least):
                continue
            value = values.get(parameter.name, parameter.default)
            if parameter.stronger is None and value == parameter.default:
                continue  # as shipped, whatever else would be enough
            if differs(parameter, value, least):
                yield f"was played with {parameter.name} = {toml(value)}, not {toml(least)}"

    def dump(self) -> dict[str, Any]:
        """Return the table as a plan has it, with nothing that is left to a default."""
        plain: dict[str, Any] = {"attacks": list(self.attacks)} if self.attacks else {}
        plain |= {"alpha": self.alpha} if self.alpha != ALPHA else {}
        plain |= {} if self.budget is None else {"budget": self.budget}
        return plain | dict(self.counts) | dict(self.settings) | dict(self.parts)


def read_least(table: Mapping[str, Any]) -> Least:
    """Return the table ``[limits.least]`` of a plan, checked.

    Raises:
        UsageError: an unknown name, or a value of another type or outside of its range.
    """
    settings: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    counts: dict[str, int] = {}
    known: dict[str, Any] = {"attacks": (), "alpha": ALPHA, "budget": None}
    for name, value in table.items():
        key = f"limits.least.{name}"
        if name == "attacks":
            known[name] = _attacks(value)
        elif name == "alpha":
            if not _is_number(value) or not 0 < value <= ALPHA:
                raise UsageError(f"{key} must be above 0 and at most {ALPHA}, got {toml(value)}")
            known[name] = float(value)
        elif name in {*COUNTS, "budget"}:
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(f"{key} must be a whole number of at least 1, got {_shown(value)}")
            counts |= {name: value} if name in COUNTS else {}
            known |= {name: value} if name == "budget" else {}
        elif isinstance(value, Mapping):
            parts[name] = {k: _setting(f"{key}.{k}", k, v, _named(name)) for k, v in value.items()}
        else:
            settings[name] = _setting(key, name, value, _every())
    return Least(counts=counts, settings=settings, parts=parts, **known)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return toml(value) if isinstance(value, str | int | float | list) else type(value).__name__


def _attacks(value: Any) -> tuple[str, ...]:
    if not value or not isinstance(value, list) or not all(isinstance(n, str) for n in value):
        raise UsageError(
            f"limits.least.attacks must be a list of names of attacks, got {_shown(value)}"
        )
    for name in value:
        catalog.find("attack", name)
    return tuple(dict.fromkeys(value))


def _every() -> dict[str, list[Parameter]]:
    """Return the parameters of all attacks and games, by name."""
    parameters: dict[str, list[Parameter]] = {}
    for kind in KIND:
        for entry in catalog.entries(kind):
            part = None if entry.error else declared(kind, entry.name)
            for parameter in () if part is None else part.parameters:
                parameters.setdefault(parameter.name, []).append(parameter)
    return parameters


def _named(name: str) -> dict[str, list[Parameter]]:
    """Return the parameters of the attack and of the game of a name."""
    kinds = [kind for kind in KIND if name in {e.name for e in catalog.entries(kind)}]
    if not kinds:
        names = sorted({e.name for kind in KIND for e in catalog.entries(kind)})
        near = get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"limits.least has a table for {name!r}, which is not an attack or a game{hint}"
        )
    parameters: dict[str, list[Parameter]] = {}
    for kind in kinds:
        for parameter in catalog.load(kind, name).parameters:
            parameters.setdefault(parameter.name, []).append(parameter)
    return parameters


def _setting(key: str, name: str, value: Any, known: Mapping[str, list[Parameter]]) -> Any:
    if name not in known:
        names = [*known, "attacks", "alpha", "budget", *COUNTS]
        near = get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"{key} must be about a parameter of an attack or a game{hint}")
    mistakes = [parameter.mistake(value) for parameter in known[name]]
    if all(mistakes):
        raise UsageError(f"{key}: {mistakes[0]}")
    if all(parameter.stronger is Stronger.NEITHER for parameter in known[name]):
        raise UsageError(f"{key} must be about strength, and {name} does not change it")
    return value
