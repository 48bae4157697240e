"""What every defence must keep to."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hartley.channel.measure import measure
from hartley.core import Access, Attack, Defense, Scene
from hartley.core.errors import HartleyError
from hartley.engine.play import play
from hartley.testing.checks import DEAD, Check, CheckFailed, expect, run_all
from hartley.testing.games import wire_of


def check_defense(defense: Defense, *, attacks: Sequence[Attack]) -> None:
    """Hold a defence against the rules on the wires of the games that ``attacks`` play.

    Raises:
        CheckFailed: with one line for each broken rule.
    """
    run_all(defense_checks(attacks), defense)


def defense_checks(attacks: Sequence[Attack]) -> tuple[Check, ...]:
    """The checks of a defence, closed over attacks that play the games it protects."""
    plain = tuple(Check(rule.__name__, rule) for rule in PLAIN_RULES)
    return plain + tuple(
        Check(rule.__name__, partial(rule, attacks=attacks)) for rule in ORACLE_RULES
    )


def says_what_it_is(defense: Defense) -> None:
    """A summary, a file of its own name, and a line of help for every parameter."""
    file = Path(inspect.getfile(defense.apply))
    expect(bool(defense.summary), "no docstring")
    expect(file.stem == defense.name, f"the file is {file.name}, the defence {defense.name}")
    module = defense.apply.__module__
    if module.startswith("hartley.defenses."):
        place = f"hartley.defenses.{defense.moves}.{defense.name}"
        expect(module == place, f"it stands in {module}, it says {place}")
    for one in defense.parameters:
        expect(bool(one.help), f"parameter {one.name!r} has no line under Args:")
    unknown = [n for n in defense.strongest if n not in {p.name for p in defense.parameters}]
    expect(not unknown, f"strongest names {', '.join(unknown)}, which is no parameter")


def returns_a_scene(defense: Defense, attacks: Sequence[Attack]) -> None:
    """It returns a scene that records it."""
    for attack, scene in _scenes(defense, attacks, "live"):
        shielded = defense(scene, _rng())
        expect(isinstance(shielded, Scene), f"returned a {type(shielded).__name__}")
        expect(
            [d.name for d in shielded.defenses]
            == [*(d.name for d in scene.defenses), defense.name],
            f"scene.defenses does not record it ({attack.game.name})",
        )


def repeats(defense: Defense, attacks: Sequence[Attack]) -> None:
    """One seed, one result."""
    for attack, scene in _scenes(defense, attacks, "live"):
        guesses = [play(attack, defense(scene, _rng()), seed=0).guess for _ in range(2)]
        expect(
            np.array_equal(guesses[0], guesses[1]), f"two runs with one seed differ ({attack.name})"
        )


def dead_stays_dead(defense: Defense, attacks: Sequence[Attack]) -> None:
    """It opens no channel where there was none."""
    for attack, scene in _scenes(defense, attacks, "dead"):
        heard = measure(play(attack, defense(scene, _rng()), seed=0))
        expect(
            (heard.bits.lower or 0.0) <= DEAD,
            f"{attack.name} reads {heard.bits.lower:.3f} bit from a defended dead wire",
        )


def narrows_a_live_wire(defense: Defense, attacks: Sequence[Attack]) -> None:
    """At its strongest setting some attack on a live wire loses bits."""
    for attack, scene in _scenes(defense, attacks, "live", every=True):
        before = measure(play(attack, scene, seed=0))
        after = measure(
            play(attack, defense(scene, _rng(), **defense.strongest), seed=0, knows="static")
        )
        if after.bits.value < before.bits.value - DEAD:
            return
    raise CheckFailed("at its strongest setting no attack on a live wire loses a bit")


def composes_twice(defense: Defense, attacks: Sequence[Attack]) -> None:
    """Applied twice, it still plays."""
    for attack, scene in _scenes(defense, attacks, "live"):
        twice = defense(defense(scene, _rng()), _rng())
        try:
            play(attack, twice, seed=0)
        except HartleyError as error:
            raise CheckFailed(f"applied twice, {attack.name} fails: {error}") from error


def _scenes(
    defense: Defense, attacks: Sequence[Attack], kind: str, *, every: bool = False
) -> list[tuple[Attack, Scene]]:
    """Attacks of the games it protects, lightest first, each with its wire; one a game is enough.

    What a defence does to training it does to every attack's reference models as well, so that the
    attacks which train none tell the same at a fraction of the time.
    """
    found: dict[str, list[tuple[Attack, Scene]]] = {}
    for attack in sorted(attacks, key=lambda a: (bool(a.needs & Access.TRAIN), a.name)):
        shared = [m for m in attack.fits if m in attack.game.fits and m in defense.fits]
        if attack.game.name not in defense.protects or not shared:
            continue
        scene = wire_of(attack.game, kind, shared[0])
        if all(scene.has(name) for name in defense.requires):
            found.setdefault(attack.game.name, []).append((attack, scene))
    expect(bool(found), "no wire of a game it protects holds what it requires")
    return [pair for pairs in found.values() for pair in (pairs if every else pairs[:1])]


def _rng() -> Any:
    return np.random.default_rng(0)


PLAIN_RULES = (says_what_it_is,)

ORACLE_RULES = (returns_a_scene, repeats, dead_stays_dead, narrows_a_live_wire, composes_twice)
