"""Whether what a run played is enough for a pass, and what it played otherwise than it ships."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hartley import catalog
from hartley.core.parameters import Stronger
from hartley.engine.plan.own_scene import RECIPES
from hartley.engine.result.departures import (
    declared,
    departures_of,
    scene_departures,
    setting_of,
    toml,
    weaker,
    words_of,
)
from hartley.engine.result.least import ALPHA, Least

Row = Mapping[str, Any]

REMEDIED = ("install", "training")
"""Causes of a skipped row that the user can remedy: a limit does not pass without its attack,
unless the limits say which attacks are enough."""


def with_departures(row: Row) -> dict[str, Any]:
    """Return a row with its departures; those of an older run are worked out from its settings."""
    if row["status"] != "measured" or row.get("departures") is not None:
        return dict(row)
    stages = (row.get("experiment") or {}).get("stages") or ()
    return {**row, "departures": departures_of(stages)}


def _scene_of(document: Row) -> tuple[str, Row]:
    """The name of the scene of a run, and the parameters that its plan set."""
    plan = document.get("plan") or {}
    name = str(plan.get("scene") or (document.get("scene") or {}).get("name") or "")
    return name, (plan.get("scenes") or {}).get(name) or {}


def other_scene(document: Row, scene: Row | None) -> str:
    """Say why the scene of a run is not the one that the limits are about, or nothing."""
    name, params = _scene_of(document)
    if scene is None:
        lines = [*map(words_of, departures := weaker(scene_departures(name, params)))]
        if not lines:
            return ""
        table = ", ".join(map(setting_of, departures))
        return (
            f"{'; '.join(lines)}: limits that are about this scene must name it: "
            f"scene = {toml(name)}, [scenes.{name}] {table}"
        )
    # Limits that name their scene are about it as they set it, easier or harder.
    lines = _set_otherwise(name, params, scene)
    if not lines:
        return ""
    return f"the scene {name} was built with {', '.join(lines)} as the limits have it"


def unlike_scene(document: Row, other: Row) -> str:
    """Say in what the scene of a run is set otherwise than that of an earlier run, or nothing.

    A scene of the user's is the model of that release, however it is set; one that ships is a
    question, and with other settings it is another one.

    Args:
        document: the run.
        other: the earlier run.
    """
    name, params = _scene_of(document)
    entry = next((e for e in catalog.entries("scene") if e.name == name), None)
    if entry is None or entry.origin != "hartley" or name in RECIPES:
        return ""
    lines = _set_otherwise(name, params, _scene_of(other)[1])
    if not lines:
        return ""
    return f"the scene {name} was built with {', '.join(lines)} as in the earlier run"


def _set_otherwise(name: str, params: Row, scene: Row) -> list[str]:
    """Return the settings of a scene that differ, seeds apart."""
    recipe = declared("scene", name)
    defaults = {} if recipe is None else {p.name: p.default for p in recipe.parameters}
    idle = () if recipe is None else recipe.parameters
    names = {*params, *scene} - {p.name for p in idle if p.stronger is Stronger.NEITHER}
    return [
        f"{setting} = {toml(played)}, not {toml(stated)}"
        for setting in sorted(names)
        if (played := params.get(setting, defaults.get(setting)))
        != (stated := scene.get(setting, defaults.get(setting)))
    ]


def departures_in_words(document: Row) -> Iterator[str]:
    """Yield each departure of a run in words, once; ``document`` has baseline rows alone."""
    name, params = _scene_of(document)
    everything = list(scene_departures(name, params))
    plan = document.get("plan") or {}
    rows = document["channels"]
    alpha = max((alpha_of(r) for r in rows if r["status"] == "measured"), default=ALPHA)
    if alpha > ALPHA:
        yield f"the plan sets alpha = {alpha:g} (shipped: {ALPHA:g})"
    if deployed := plan.get("deployed"):
        yield f"defenses are part of what was judged: {', '.join(map(str, deployed))}"
    if skipped := _left_out(rows):
        yield f"the plan leaves out what fits the scene: {', '.join(skipped)}"
    if untrained := [row for row in rows if row.get("cause") == "training"]:
        names = ", ".join(dict.fromkeys(map(attack_of, untrained)))
        yield f"strong attacks are missing: {names}: {untrained[0]['reason']}"
    for row in rows:
        everything += row.get("departures") or ()
    yield from _together(everything)


def _together(departures: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield departures in words, those of attacks that a plan sets alike in one line."""
    values: dict[tuple[str, str, str, str], dict[str, Mapping[str, Any]]] = {}
    for departure in departures:
        where = (departure["kind"], departure["name"], departure["setting"])
        shipped = toml(departure["shipped"])
        values.setdefault((*where, shipped), {})[toml(departure["value"])] = departure
    alike: dict[tuple[str, str, str, tuple[str, ...]], list[Mapping[str, Any]]] = {}
    for (kind, name, setting, shipped), played in values.items():
        key = (kind, setting, shipped, (*played, "" if kind == "attack" else name))
        alike.setdefault(key, []).append(next(iter(played.values())))
    for (_, _, _, how), rows in alike.items():
        yield words_of(rows[0], how[:-1], [departure["name"] for departure in rows])


def _left_out(rows: Iterable[Row]) -> list[str]:
    """The attacks that the plan leaves out of those that the scene could carry."""
    out = [row for row in rows if row["status"] == "skipped" and row.get("cause") == "plan"]
    return list(dict.fromkeys(attack_of(row) for row in out))


def attack_of(row: Row) -> str:
    """The name of the attack of a row, whatever the row is labelled; empty for a chain."""
    stages = (row.get("experiment") or {}).get("stages") or ()
    if len(stages) > 1:
        return ""
    return str(stages[0]["attack"] if stages else row["attack"])


def spared(row: Row, needed: set[str]) -> bool:
    """Whether an attack that could not be played is not among those that are enough."""
    return bool(needed) and row.get("cause") in REMEDIED and attack_of(row) not in needed


def absent_attacks(rows: Sequence[Row], needed: set[str], subject: str, document: Row) -> str:
    """Say which attacks were not measured although a pass needs them, or nothing."""
    measured = {attack_of(row) for row in rows if row["status"] == "measured"}
    if needed:
        others = {attack_of(row): row for row in rows}
        absent = [
            f"{name} ({others[name].get('reason') if name in others else 'not in this run'})"
            for name in sorted(needed - measured)
        ]
        return f"the limits ask for {', '.join(absent)}, not measured" if absent else ""
    absent = [name for name in _left_out(rows) if name not in measured]
    chains_alone = (document.get("plan") or {}).get("only") == ["chains"]
    if chains_alone and not subject.startswith("attack:"):
        absent.append("every attack that is not in a chain")
    if not absent:
        return ""
    enough = toml(sorted(measured - {""}))
    return (
        f"the plan leaves out {', '.join(absent)}; play what the scene can carry, or state which "
        f"attacks are enough, such as [limits.least] attacks = {enough}"
    )


def loose_alpha(row: Row, least: Least) -> str:
    """Say that the interval of a row has a larger error level than a pass may have, or nothing."""
    if (alpha := alpha_of(row)) <= least.alpha * (1 + 1e-9):
        return ""
    return f"its interval is at alpha = {alpha:g}, and a pass needs at most {least.alpha:g}"


def shortfalls(rows: Sequence[Row], needed: set[str], least: Least) -> dict[str, str]:
    """Return by row why it does not count as its attack, where no other row of the attack does.

    A row at the end of a chain counts as none: the attack is also measured alone.
    """
    by_attack: dict[str, dict[str, str]] = {}
    for row in rows:
        name = attack_of(row)
        if row["status"] == "measured" and name and (not needed or name in needed):
            by_attack.setdefault(name, {})[row["id"]] = _shortfall(row, least)
    return {
        row_id: reason
        for reasons in by_attack.values()
        if all(reasons.values())
        for row_id, reason in reasons.items()
    }


def _shortfall(row: Row, least: Least) -> str:
    """Say what a row lacks of what counts, or nothing."""
    unmet = [*least.unmet(row)]
    if unmet:
        return f"{'; '.join(unmet)}, as the limits ask"
    open_ = [d for d in weaker(row.get("departures") or ()) if not least.accepts(d)]
    if not open_:
        return ""
    table = "; ".join(dict.fromkeys(map(setting_of, open_)))
    return (
        f"{', '.join(map(words_of, open_))}; play it as shipped, or state that this is enough: "
        f"[limits.least] {table}"
    )


def alpha_of(row: Row) -> float:
    """Return the error level of the bounds of a row; rows of version 1 state none."""
    return float((row.get("bits") or {}).get("alpha") or ALPHA)
