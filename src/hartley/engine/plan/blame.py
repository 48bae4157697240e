"""What a plan gets wrong: told before any work where the catalogue knows, else by the parts.

A misspelt name or a value of another type is told before anything is built. Some values only the
part itself can judge, once it meets the scene; when every row that such a table of the plan speaks
of fails on it, or every row of a game on the same words, the user's input is at fault and not the
run. Which of the two, the plan's value or the scene, only the part's own words can say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from hartley import catalog
from hartley.core.errors import MissingExtra, UsageError
from hartley.engine import build_scene
from hartley.engine.plan.applicability import left_out
from hartley.engine.plan.jobs import PLAY, Job
from hartley.engine.plan.parameters import checked, dealable
from hartley.engine.plan.plan import Plan


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


@dataclass(frozen=True, slots=True)
class Refused:
    """A part (its kind and name) that would not be played, and what it said, in one line."""

    kind: str
    name: str
    said: str


class Mistaken(UsageError):
    """What the user got wrong and only the parts could see: one line each.

    Attributes:
        lines: what to tell, each thing once.
        said: the parts' own words in them.
        document: the run document with what was measured beside; empty if nothing was played.
    """

    def __init__(self, refused: Sequence[Refused]) -> None:
        """Word the lines: what several parts say alike is told once, with all their names."""
        self.document: Mapping[str, Any] = {}
        alike: dict[str, dict[tuple[str, str], None]] = {}
        for one in refused:
            alike.setdefault(one.said, {})[one.kind, one.name] = None
        self.said = tuple(alike)
        self.lines = tuple(f"{_names(list(parts))}: {said}" for said, parts in alike.items())
        super().__init__("; ".join(self.lines))


def _names(parts: Sequence[tuple[str, str]]) -> str:
    """Name parts that were refused; whether their parameters or the scene did it, they say."""
    names = ", ".join(f"the {kind} {name!r}" for kind, name in parts)
    return f"{names} cannot be {'applied' if parts[0][0] == 'defense' else 'played'}"


def told(plan: Plan, jobs: Sequence[Job], blamed: Mapping[str, tuple[str, str]]) -> list[Refused]:
    """Return what the user got wrong: of the plan's tables, and of the scene.

    A table of the plan is at fault where a part of its kind refused every row that it speaks of.
    The scene is, or what the game is to be played with, where every row of a game fails on the
    same words.

    Args:
        plan: what was ordered.
        jobs: every job of the run.
        blamed: job → (kind of the part that refused it, what it said), of the rows that failed on
            a mistake of the user's.
    """
    found = []
    for kind, name, params, rows in _tables(plan, jobs):
        words = [blamed.get(job.key, ("", "")) for job in rows]
        if params and words and all(who == kind for who, _ in words):
            found.append(Refused(kind, name, _line(words[0][1])))
    bare = [job for job in jobs if job.task == PLAY and not job.defense]
    for game in dict.fromkeys(job.game for job in bare):
        rows = [job for job in bare if job.game == game]
        words = [blamed.get(job.key, ("", "")) for job in rows]
        said = _line(words[0][1])
        if not all(who and _line(text) == said for who, text in words):
            continue
        if said in {one.said for one in found if one.name in {game, *(j.attack for j in rows)}}:
            continue
        if any(who == "game" for who, _ in words):
            found.append(Refused("game", game, said))
        else:
            found.extend(Refused("attack", job.attack, said) for job in rows)
    return found


def _line(text: str) -> str:
    return " ".join(text.split())


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
