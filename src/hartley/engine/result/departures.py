"""Departures: what a run played otherwise than it is shipped, and whether that makes it weaker.

A run can be made silent without a lie: one reference model instead of 64, canaries that are not
planted, a scene that is not trained. So a row of the run document lists its departures from the
defaults that its parts declare, each a plain mapping:

===========  ======================================================================================
``kind``     ``attack``, ``game``, ``scene`` or ``plan``
``name``     of the part; of a departure of the plan, empty
``setting``  name of the parameter
``value``    what was played
``shipped``  the default; null where the plan sets none
``weaker``   whether the gate must not count the row as the shipped attack: the declaration says so
             (``core.parameters.Stronger``), or it declares no direction
===========  ======================================================================================

A larger value where more is stronger is not a departure, nor is another seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hartley import catalog
from hartley.core.errors import UsageError
from hartley.core.parameters import Parameter, Stronger
from hartley.core.parts import Part

Departure = dict[str, Any]


def departures_of(
    stages: Sequence[Mapping[str, Any]],
    *,
    budget: int | None = None,
    rounds: Mapping[str, int] | None = None,
) -> list[Departure]:
    """Return what the stages of an experiment were played with otherwise than shipped.

    A part that is not installed has no declarations here: nothing is known of it.

    Args:
        stages: as ``experiment.stages`` of a row has them.
        budget: queries that an attack was allowed, or None.
        rounds: the scene's own numbers of victims, by the game's name.
    """
    departures: list[Departure] = []
    if budget is not None:
        budgeted = {"kind": "plan", "name": "", "setting": "budget", "value": budget}
        departures.append({**budgeted, "shipped": None, "weaker": True})
    for stage in stages:
        attack, game = declared("attack", stage["attack"]), declared("game", stage["game"])
        departures += _differences("attack", attack, stage["params"], {})
        # Some attacks fix how their game is dealt, and the scene may have its own number of rounds.
        scene_rounds = (rounds or {}).get(stage["game"])
        dealt = {"rounds": scene_rounds} if scene_rounds else {}
        if attack is not None:
            dealt |= dict(getattr(attack, "game_params", {}))
        departures += _differences("game", game, stage["game_params"], dealt)
    return departures


def scene_departures(name: str, params: Mapping[str, Any]) -> list[Departure]:
    """Return what a scene was built with otherwise than its recipe declares.

    ``weaker`` says that fewer bits may leave this scene than the shipped one. Of a scene that does
    not ship with Hartley every departure is the owner's own choice, and none is weaker.
    """
    entry = next((e for e in catalog.entries("scene") if e.name == name), None)
    foreign = entry is not None and entry.origin != "hartley"
    return [
        departure | {"weaker": departure["weaker"] and not foreign}
        for departure in _differences("scene", declared("scene", name), params, {})
    ]


def declared(kind: str, name: str) -> Part | None:
    """Return a part, or None where it cannot be loaded here."""
    try:
        part: Part = catalog.load(kind, name)
    except UsageError:  # an unknown name, a missing library, a broken plugin
        return None
    return part


def _differences(
    kind: str, part: Part | None, values: Mapping[str, Any], shipped: Mapping[str, Any]
) -> Iterator[Departure]:
    for parameter in () if part is None else part.parameters:
        default = shipped.get(parameter.name, parameter.default)
        value = values.get(parameter.name, default)
        if differs(parameter, value, default):
            assert part is not None
            yield {
                "kind": kind,
                "name": part.name,
                "setting": parameter.name,
                "value": value,
                "shipped": default,
                "weaker": parameter.stronger is not Stronger.TRIALS,
            }


def differs(parameter: Parameter, value: Any, enough: Any) -> bool:
    """Whether a value is less than what is enough, or may be."""
    if parameter.stronger is Stronger.TRIALS and parameter.default == 0:
        # Nothing set takes the scene's number, or all there are.
        return bool(value) and (not enough or value < enough)
    return parameter.is_weaker(value, enough)


_PLAYED = {
    "attack": "{name} was played with",
    "game": "the game {name} was dealt with",
    "scene": "the scene {name} was built with",
    "plan": "the plan sets",
}


_AT_ZERO = {
    "rounds": "the scene's own number",
    "targets": "all records",
    "references": "as many as each attack says",
}
"""What 0 means of a parameter of a game or a scene: the number comes from somewhere else."""


def words_of(
    departure: Mapping[str, Any], values: Sequence[str] = (), names: Sequence[str] = ()
) -> str:
    """Return a departure in words: ``lira was played with references = 2 (shipped: 64)``.

    Args:
        departure: one of a row.
        values: all that were played, in TOML, where there are several.
        names: of all attacks that were played so, where there are several.
    """
    played = _PLAYED[departure["kind"]].format(name=", ".join(names) or departure["name"])
    if len(names) > 1:
        played = played.replace(" was ", " were ")
    shipped = departure["shipped"]
    default = "none" if shipped is None else toml(shipped)
    if departure["kind"] in ("game", "scene") and default == "0":
        default = _AT_ZERO.get(departure["setting"], default)
    setting = setting_of(departure)
    if len(values) > 1:
        setting = f"{departure['setting']} = {', '.join(values[:-1])} and {values[-1]}"
    return f"{played} {setting} (shipped: {default})"


def setting_of(departure: Mapping[str, Any]) -> str:
    """Return the setting as a line of a plan or a limits file: ``references = 2``."""
    return f"{departure['setting']} = {toml(departure['value'])}"


def toml(value: Any) -> str:
    """Write a plain value as TOML does."""
    return json.dumps(value, ensure_ascii=False, default=str)


def weaker(departures: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return those that a limits file must accept before the row counts."""
    return [departure for departure in departures if departure["weaker"]]
