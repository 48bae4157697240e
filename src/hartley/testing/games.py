"""The rules that every game must keep."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hartley.core import Access, Attack, Data, Ensemble, Game, Modality, Model, Scene
from hartley.testing.checks import Check, expect, run_all
from hartley.testing.parameters import refuses_values_outside_its_ranges
from hartley.testing.shared_plays import FIRST, build_scene, few_rounds, game_scene, measured

NEAR = 0.8
"""Share of its ceiling that the best attack must read from a live scene."""


def check_game(game: Game, *, attacks: Sequence[Attack]) -> None:
    """Check a game; some of ``attacks`` must read nearly all bits of its live scene.

    Raises:
        CheckFailed: a rule is broken; the message has one line for each.
    """
    run_all(game_checks(attacks), game)


def game_checks(attacks: Sequence[Attack]) -> tuple[Check, ...]:
    """Return the checks of a game, given attacks that play it; controls show nothing of it."""
    attacks = [attack for attack in attacks if not attack.control]
    plain = tuple(Check(rule.__name__, rule) for rule in PLAIN_RULES)
    return plain + tuple(
        Check(rule.__name__, partial(rule, attacks=attacks)) for rule in ORACLE_RULES
    )


def says_what_it_is(game: Game) -> None:
    """A summary, a file of its own name in its class's folder, a line of help a parameter."""
    file = Path(inspect.getfile(game.play))
    expect(bool(game.summary), "no docstring")
    expect(file.stem == game.name, f"the file must be named {game.name}.py, got {file.name}")
    module = game.play.__module__
    if module.startswith("hartley.games."):
        place = f"hartley.games.{game.cls}.{game.name}"
        expect(module == place, f"the module must be {place}, got {module}")
    for parameter in game.parameters:
        expect(bool(parameter.help), f"parameter {parameter.name!r} has no line under Args:")


def deals_the_same_twice(game: Game) -> None:
    """One seed deals one secret, and enough of it to measure."""
    for modality in game.modalities:
        truths = [_truth(game, build_scene(game, "live", modality)) for _ in range(2)]
        expect(np.array_equal(truths[0], truths[1]), f"one seed, two secrets ({modality})")
        expect(
            len(truths[0]) >= 20, f"the live scene must have at least 20 uses, got {len(truths[0])}"
        )


def scenes_hold_what_it_requires(game: Game) -> None:
    """The live and the dead scene hold what the game requires."""
    for modality in game.modalities:
        for kind in ("live", "dead"):
            scene = game_scene(game, kind, modality)
            lacking = [name for name in game.requires if not scene.has(name)]
            expect(not lacking, f"the {kind} scene must hold {', '.join(lacking)}")


def has_an_oracle(game: Game, attacks: Sequence[Attack]) -> None:
    """The best of its attacks reads nearly all bits of the live scene.

    Whole plays show it, of one attack after the other: first of those that read most in a first
    few rounds, each at its light setting and then at its defaults.
    """
    first = {
        attack: measured(attack, "live", _modality(game, attack), light=True, rounds=FIRST)
        for attack in attacks
    }
    ranked = sorted(attacks, key=lambda attack: -first[attack].bits.value)
    best, ceiling = 0.0, float("inf")
    for attack, light in product(ranked, (True, False)):
        channel = measured(attack, "live", _modality(game, attack), light=light)
        best = max(best, channel.bits.value)
        ceiling = min(ceiling, channel.ceiling.value)
        if best >= NEAR * ceiling:
            return
    expect(False, f"the best attack reads {best:.3f} of {ceiling:.3f} bit")


def carries_its_usual_metrics(game: Game, attacks: Sequence[Attack]) -> None:
    """Every usual metric that it declares is there beside the bits."""
    for attack in attacks[:1]:
        channel = measured(attack, "live", _modality(game, attack), light=True, rounds=FIRST)
        lacking = [name for name in game.metrics if name not in channel.metrics]
        expect(not lacking, f"declares {', '.join(lacking)}, which no channel carries")


def _modality(game: Game, attack: Attack) -> Modality:
    return next(m for m in attack.modalities if m in game.modalities)


def hands_out_victims_as_attackers_may_see_them(game: Game, attacks: Sequence[Attack]) -> None:
    """Victims that it trains carry the training that an attacker knows, and the deployed access."""
    few = few_rounds(game)
    checked = []
    for attack, modality in product(attacks, game.modalities):
        scene, trained = _watched(game_scene(game, "live", modality))
        params = dict(attack.game_params)
        if modality not in attack.modalities or (modality, params) in checked:
            continue
        if scene.model is None or scene.lacking((*game.requires, *attack.requires)):
            continue
        checked.append((modality, params))
        deal = game(scene, np.random.default_rng(0), **params, **few)
        victims = [round_.view.source for round_ in deal.rounds] if trained else []
        for victim in victims:
            if isinstance(victim, Model):
                same = victim.fit is scene.model.fit
                expect(same, f"a victim carries another training ({modality})")
                missing = scene.model.offers & Access.TRAIN & ~victim.offers
                expect(not missing, f"a victim does not offer the training ({modality})")


def _watched(scene: Scene) -> tuple[Scene, list[int]]:
    """The scene, with a training of its model that can be recognized, and sizes of trainings."""
    owner, reference_fit = scene.fit, None if scene.model is None else scene.model.fit
    trained: list[int] = []

    def owners(data: Data, include: Any, seed: int) -> Ensemble:
        assert owner is not None
        trained.append(len(include))
        return owner(data, include, seed)

    def attackers(data: Data, include: Any, seed: int) -> Ensemble:
        assert reference_fit is not None
        return reference_fit(data, include, seed)

    model = scene.model
    if model is not None:
        model = model.with_(fit=None if reference_fit is None else attackers)
    return replace(scene, model=model, fit=None if owner is None else owners), trained


def _truth(game: Game, scene: Scene) -> Any:
    return np.concatenate([round_.truth for round_ in game(scene, np.random.default_rng(0)).rounds])


PLAIN_RULES = (
    says_what_it_is,
    refuses_values_outside_its_ranges,
    deals_the_same_twice,
    scenes_hold_what_it_requires,
)

ORACLE_RULES = (
    has_an_oracle,
    carries_its_usual_metrics,
    hands_out_victims_as_attackers_may_see_them,
)
