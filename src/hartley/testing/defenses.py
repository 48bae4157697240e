"""The rules that every defense must keep."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import (
    Access,
    AnswerForm,
    Attack,
    Deal,
    Defense,
    Modality,
    Model,
    Quantity,
    Role,
    Round,
    Scene,
)
from hartley.core.brief import adaptive_only
from hartley.core.errors import HartleyError
from hartley.core.scene import part_names
from hartley.engine.defend import as_static, defended
from hartley.engine.run.play import deal, play
from hartley.testing.checks import DEAD, Check, CheckFailed, expect, run_all
from hartley.testing.parameters import accepts, refuses_values_outside_its_ranges
from hartley.testing.shared_plays import FIRST, ONE, few_rounds, game_scene

FEW = 8
"""Victims where each has to be trained or answers for many records: enough to compare by."""


def check_defense(defense: Defense, *, attacks: Sequence[Attack]) -> None:
    """Check a defense on the live and dead scenes of the games that ``attacks`` play.

    What it claims of a game that none of them plays is not checked, nor is its excuse for that.

    Raises:
        CheckFailed: a rule is broken; the message has one line for each.
    """
    checks = defense_checks(attacks)
    idle = {f"narrows_{game}" for game in defense.protects} - {check.name for check in checks}
    excuses = {n: why for n, why in defense.expected_failures.items() if n not in idle}
    run_all(checks, replace(defense, expected_failures=excuses))


def defense_checks(attacks: Sequence[Attack]) -> tuple[Check, ...]:
    """Return the checks of a defense, given attacks that play the games it protects.

    One ``narrows_GAME`` for each game, so that a scene too coarse to show a defense is excused by
    name.
    """
    attacks = [attack for attack in attacks if not attack.control]
    plain = tuple(Check(rule.__name__, rule) for rule in PLAIN_RULES)
    oracle = tuple(Check(rule.__name__, partial(rule, attacks=attacks)) for rule in ORACLE_RULES)
    narrow = tuple(
        Check(f"narrows_{game}", partial(narrows_live_scenes, game=game, attacks=attacks))
        for game in dict.fromkeys(a.game.name for a in attacks)
    )
    return plain + oracle + narrow


def says_what_it_is(defense: Defense) -> None:
    """A summary, a file of its own name, and a line of help for every parameter."""
    file = Path(inspect.getfile(defense.apply))
    expect(bool(defense.summary), "no docstring")
    expect(file.stem == defense.name, f"the file must be named {defense.name}.py, got {file.name}")
    module = defense.apply.__module__
    if module.startswith("hartley.defenses."):
        place = f"hartley.defenses.{defense.term}.{defense.name}"
        expect(module == place, f"the module must be {place}, got {module}")
    for parameter in defense.parameters:
        expect(bool(parameter.help), f"parameter {parameter.name!r} has no line under Args:")
    accepts(defense, "strongest", dict(defense.strongest))


def protects_games(defense: Defense, attacks: Sequence[Attack]) -> None:
    """Every name in ``protects`` is a game's: of the catalogue, or one that the attacks play."""
    games = {entry.name: entry.cls for entry in catalog.entries("game") if entry.kind == "game"}
    games |= {attack.game.name: attack.game.cls for attack in attacks}
    mistake = catalog.protects_mistake(defense.protects, games)
    expect(not mistake, mistake)


def returns_a_scene(defense: Defense, attacks: Sequence[Attack]) -> None:
    """It returns a scene, and leaves the record of itself to the engine."""
    for attack, scene in _scenes(defense, attacks, "live"):
        after = defense(scene, np.random.default_rng(0))
        expect(isinstance(after, Scene), f"it must return a Scene, got {type(after).__name__}")
        expect(
            after.defenses == scene.defenses and after.digest == scene.digest,
            f"it writes into scene.defenses or scene.digest ({attack.game.name})",
        )


def repeats(defense: Defense, attacks: Sequence[Attack]) -> None:
    """One seed, one result."""
    for attack, scene in _scenes(defense, attacks, "live"):
        first, again = (
            play(attack, after, seed=0, params=attack.light, dealt=table)
            for after, table in (_defended(defense, attack, scene), _anew(defense, attack, scene))
        )
        same = np.array_equal(first.guess, again.guess)
        expect(same, f"two runs with one seed differ ({attack.name})")


def _anew(defense: Defense, attack: Attack, scene: Scene) -> tuple[Scene, Deal]:
    """A scene behind a defense at its defaults, and a deal of few rounds on it."""
    after = defended(scene, defense)
    return after, deal(attack, after, seed=0, params=few_rounds(attack.game))


def _defended(defense: Defense, attack: Attack, scene: Scene) -> tuple[Scene, Deal]:
    """The same for all checks of one defense: what trains behind it is trained once."""
    pair: tuple[Scene, Deal] = _of_one_defense(
        (defense, attack), scene, lambda: _anew(defense, attack, scene)
    )
    return pair


def dead_stays_dead(defense: Defense, attacks: Sequence[Attack]) -> None:
    """It opens no channel where there was none."""
    for attack, scene in _scenes(defense, attacks, "dead"):
        trials = play(attack, defended(scene, defense), seed=0, params=attack.light)
        bits = measure(trials, redraws=1).bits
        expect(
            (bits.lower or 0.0) <= DEAD,
            f"{attack.name} reads {bits.lower:.3f} bit from a defended dead scene",
        )


def static_and_adaptive_share_victims(defense: Defense, attacks: Sequence[Attack]) -> None:
    """Both kinds of attackers meet the same secrets and victims, and static ones see no defense."""
    for attack, scene in _scenes(defense, attacks, "live"):
        _, adaptive = _defended(defense, attack, scene)
        static = as_static(adaptive, scene)
        for static_round, adaptive_round in zip(static.rounds, adaptive.rounds, strict=True):
            differs = _not_shared(static_round, adaptive_round, scene)
            expect(not differs, f"{differs} ({attack.game.name})")


def _not_shared(static: Round, adaptive: Round, undefended: Scene) -> str:
    """What of a round differs between the attackers and should not, or the other way round."""
    brief = static.view.brief
    if not np.array_equal(static.truth, adaptive.truth):
        return "the static attacker is asked for another secret"
    leaked = [f for f in adaptive_only(brief) if getattr(brief, f.name) is not f.default]
    if static.view.defenses or leaked:
        return "the static attacker sees the defense"
    static_model, adaptive_model = static.view.source, adaptive.view.source
    if not isinstance(static_model, Model) or not isinstance(adaptive_model, Model):
        return "" if static_model is adaptive_model else "the static attacker holds another source"
    if adaptive_model.fit is not None and static_model.fit is not getattr(
        undefended.model, "fit", None
    ):
        return "the static attacker trains behind the defense"
    public = getattr(adaptive.view.brief, "public", None)
    sources = (undefended.train, undefended.holdout, public)
    records = next((data.x[:FEW] for data in sources if data is not None), None)
    if records is not None and not np.array_equal(
        static_model.query(records), adaptive_model.query(records)
    ):
        return "the victim answers the two attackers differently"
    return ""


def narrows_live_scenes(defense: Defense, attacks: Sequence[Attack], *, game: str) -> None:
    """At its strongest setting some attack loses bits, on each live scene that it claims."""
    for modality in dict.fromkeys(m for a in attacks if a.game.name == game for m in a.modalities):
        pairs = _pairs(defense, attacks, "live", game, modality)
        claimed = modality in defense.modalities and defense.covers(game, modality)
        expect(
            bool(pairs) or not claimed, f"no scene of {game} in {modality} holds what it requires"
        )
        # What breaks up a pattern that items share shows where there is one.
        if any(attack.game.alike is not None for attack, _ in pairs):
            pairs += _pairs(defense, attacks, "alike", game, modality)
        expect(
            not pairs or any(_narrowed(defense, *pair) for pair in pairs),
            f"at its strongest setting no attack on {game} loses a bit on the live scene of "
            f"{modality}",
        )


def _narrowed(defense: Defense, attack: Attack, scene: Scene) -> bool:
    """Whether bits are lost: in a first few rounds where they show it, else in the whole play.

    Few rounds show it where bits are certified without the defense, and a third is lost behind it.
    """
    after = _strongest(defense, scene)
    owner, now = scene.training, after.training
    # A defense that changes how the owner trains is compared with the owner's own training, not
    # with the table that a live scene has instead of a trained net: any net knows less than that.
    trainer = owner if owner is not None and now is not owner else None
    before = scene if trainer is None else replace(scene, fit=trainer.fit)

    def dealt_on(played_scene: Scene, kind: str, size: dict[str, Any]) -> Deal:
        """Attacks that are dealt alike meet the same victims."""
        rules = sorted({**attack.game_params, **size}.items())
        dealt: Deal = _of_one_defense(
            (defense, kind, attack.game, *rules),
            scene,
            lambda: deal(attack, played_scene, seed=0, params=size),
        )
        return dealt

    def residual(size: dict[str, Any]) -> tuple[float, Any]:
        trials = play(
            attack,
            after,
            seed=0,
            params=attack.light,
            dealt=dealt_on(after, "strongest", size),
            undefended=scene,
        )
        return measure(trials, redraws=1).bits.value, trials.guess

    def undefended(size: dict[str, Any]) -> tuple[Quantity, Any]:
        """Many defenses need them."""
        key = (attack.run, scene.name, scene.modality, trainer is not None, *size.values())
        if key not in _bare:
            dealt = dealt_on(before, "bare" if trainer is None else "trained", size)
            trials = play(attack, before, seed=0, params=attack.light, dealt=dealt)
            _bare[key] = measure(trials, redraws=1).bits, trials.guess
        return _bare[key]

    if few_rounds(attack.game):
        first = few_rounds(attack.game, FIRST)
        bits, answers = undefended(first)
        if (bits.lower or 0.0) > DEAD:
            left, behind = residual(first)
            if left < bits.value * 2 / 3:
                return True
            if attack.game.role is Role.INJECT and np.array_equal(answers, behind):
                return False  # no input came out otherwise, where there was something to lose
    few = {"rounds": FEW} if trainer is not None or attack.game.form is AnswerForm.SCORE else {}
    return residual(few)[0] < undefended(few)[0].value - DEAD


_bare: dict[Any, tuple[Quantity, Any]] = {}


def _strongest(defense: Defense, scene: Scene) -> Scene:
    """The scene behind the defense at its strongest setting: what trains there is trained once."""
    after: Scene = _of_one_defense(
        (defense,), scene, lambda: defended(scene, defense, defense.strongest)
    )
    return after


def _of_one_defense(key: tuple[Any, ...], scene: Scene, make: Callable[[], Any]) -> Any:
    """Return what was made of a scene for a key that begins with a defense.

    Only the last defense's is kept. Scenes of several games have one name, so that a scene counts
    as the same only where it is the same object, which is kept with what was made of it.
    """
    place = (*key, id(scene))
    if place not in _behind:
        for other in [other for other in _behind if other[0] is not key[0]]:
            del _behind[other]
        _behind[place] = (scene, make())
    return _behind[place][1]


_behind: dict[tuple[Any, ...], tuple[Scene, Any]] = {}


def composes_twice(defense: Defense, attacks: Sequence[Attack]) -> None:
    """Applied twice, it still plays."""
    for attack, scene in _scenes(defense, attacks, "live"):
        twice = defended(_defended(defense, attack, scene)[0], defense)
        one = few_rounds(attack.game, ONE)
        try:
            play(attack, twice, seed=0, params=attack.light, game_params=one)
        except HartleyError as error:
            raise CheckFailed(f"applied twice, {attack.name} fails: {error}") from error


def _scenes(defense: Defense, attacks: Sequence[Attack], kind: str) -> list[tuple[Attack, Scene]]:
    """The lightest attack on each game it protects, with the scene of the first modality."""
    scenes: dict[str, tuple[Attack, Scene]] = {}
    ordered = sorted(attacks, key=_weight)
    for game, modality in dict.fromkeys((a.game.name, m) for a in ordered for m in a.modalities):
        if game not in scenes and (pairs := _pairs(defense, attacks, kind, game, modality)):
            scenes[game] = pairs[0]
    expect(bool(scenes), "no scene of a game it protects holds what it requires")
    return list(scenes.values())


def _weight(attack: Attack) -> tuple[bool, bool, bool, str]:
    """Sort attacks by what a play of them costs, as far as they declare it.

    What a defense does to training it does to the reference models of every attack as well, so that
    the attacks without reference models show the same in a fraction of the time. A light setting is
    declared where a play at the defaults takes long. Attacks that see labels alone ask many times
    as many questions as those that see scores.
    """
    dear = Access.TRAIN | Access.WEIGHTS | Access.GRADIENTS
    labels = not attack.access & ~Access.LABELS
    return bool(attack.access & dear), bool(attack.light), labels, attack.name


def _pairs(
    defense: Defense, attacks: Sequence[Attack], kind: str, game: str, modality: Modality
) -> list[tuple[Attack, Scene]]:
    """Attacks on one game in one modality that it claims, lightest first, each with its scene."""
    fitting = [
        attack
        for attack in sorted(attacks, key=_weight)
        if attack.game.name == game
        and modality in attack.modalities
        and modality in attack.game.modalities
        and defense.covers(game, modality)
    ]
    if not fitting:
        return []
    scene = _lent(game_scene(fitting[0].game, kind, modality), defense, attacks, kind)
    complete = all(scene.has(name) for name in defense.requires)
    return [(attack, scene) for attack in fitting] if complete else []


def _lent(scene: Scene, defense: Defense, attacks: Sequence[Attack], kind: str) -> Scene:
    """The scene with further parts that the defense changes, and this game does not read."""
    for game in {a.game.name: a.game for a in attacks}.values():
        lacking = {name for name in defense.requires if not scene.has(name)} & {*game.requires}
        if lacking and scene.modality in game.modalities:
            for part in game_scene(game, kind, scene.modality).parts:
                if lacking & {*part_names(type(part))}:
                    scene = scene.with_part(part)
    return scene


PLAIN_RULES = (says_what_it_is, refuses_values_outside_its_ranges)

ORACLE_RULES = (
    protects_games,
    returns_a_scene,
    repeats,
    dead_stays_dead,
    composes_twice,
    static_and_adaptive_share_victims,
)
