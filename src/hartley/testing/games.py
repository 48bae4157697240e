"""What every game must keep to."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hartley.channel.measure import measure
from hartley.core import Access, Attack, Data, Ensemble, Game, Modality, Model, Scene, spawn
from hartley.engine.run.play import play
from hartley.testing.checks import Check, expect, run_all
from hartley.testing.parameters import refuses_values_outside_its_ranges

NEAR = 0.8
"""Share of its ceiling that the best attack must read from a live wire."""


def check_game(game: Game, *, attacks: Sequence[Attack]) -> None:
    """Hold a game against the rules; ``attacks`` are the oracles that must hear its live wire.

    Raises:
        CheckFailed: with one line for each broken rule.
    """
    run_all(game_checks(attacks), game)


def game_checks(attacks: Sequence[Attack]) -> tuple[Check, ...]:
    """The checks of a game, closed over its oracle attacks."""
    plain = tuple(Check(rule.__name__, rule) for rule in PLAIN_RULES)
    return plain + tuple(
        Check(rule.__name__, partial(rule, attacks=attacks)) for rule in ORACLE_RULES
    )


def says_what_it_is(game: Game) -> None:
    """A summary, a file of its own name in its class's folder, a line of help a parameter."""
    file = Path(inspect.getfile(game.play))
    expect(bool(game.summary), "no docstring")
    expect(file.stem == game.name, f"the file is {file.name}, the game {game.name}")
    module = game.play.__module__
    if module.startswith("hartley.games."):
        place = f"hartley.games.{game.cls}.{game.name}"
        expect(module == place, f"it is in {module}; its class says {place}")
    for one in game.parameters:
        expect(bool(one.help), f"parameter {one.name!r} has no line under Args:")


def deals_the_same_twice(game: Game) -> None:
    """One seed deals one secret, and enough of it to measure."""
    for modality in game.modalities:
        truths = [_truth(game, wire_of(game, "live", modality)) for _ in range(2)]
        expect(np.array_equal(truths[0], truths[1]), f"one seed, two secrets ({modality})")
        expect(len(truths[0]) >= 20, f"only {len(truths[0])} uses on the live wire")


def wires_hold_what_it_requires(game: Game) -> None:
    """Both wires carry what the game asks of a scene."""
    for modality in game.modalities:
        for kind in ("live", "dead"):
            scene = wire_of(game, kind, modality)
            lacking = [name for name in game.requires if not scene.has(name)]
            expect(not lacking, f"the {kind} wire lacks {', '.join(lacking)}")


def has_an_oracle(game: Game, attacks: Sequence[Attack]) -> None:
    """The best of its attacks reads the live wire near its ceiling."""
    best, ceiling = 0.0, float("inf")
    for attack in attacks:
        modality = next(m for m in attack.modalities if m in game.modalities)
        heard = measure(play(attack, wire_of(game, "live", modality), seed=0))
        best = max(best, heard.bits.value)
        ceiling = min(ceiling, heard.ceiling.value)
    expect(best >= NEAR * ceiling, f"the best attack reads {best:.3f} of {ceiling:.3f} bit")


def carries_its_usual_metrics(game: Game, attacks: Sequence[Attack]) -> None:
    """Every usual metric that it declares is there beside the bits."""
    for attack in attacks[:1]:
        modality = next(m for m in attack.modalities if m in game.modalities)
        heard = measure(play(attack, wire_of(game, "live", modality), seed=0))
        lacking = [name for name in game.metrics if name not in heard.metrics]
        expect(not lacking, f"declares {', '.join(lacking)}, which no channel carries")


def hands_out_victims_as_attackers_may_see_them(game: Game, attacks: Sequence[Attack]) -> None:
    """Victims that it trains carry the training that an attacker knows, and the deployed access."""
    few = {"rounds": 2} if any(p.name == "rounds" for p in game.parameters) else {}
    seen = []
    for attack, modality in product(attacks, game.modalities):
        scene, trained = _watched(wire_of(game, "live", modality))
        params = dict(attack.game_params)
        if modality not in attack.modalities or (modality, params) in seen:
            continue
        if scene.model is None or scene.lacking((*game.requires, *attack.requires)):
            continue
        seen.append((modality, params))
        deal = game(scene, np.random.default_rng(0), **params, **few)
        victims = [one.view.source for one in deal.rounds] if trained else []
        for victim in victims:
            if isinstance(victim, Model):
                same = victim.fit is scene.model.fit
                expect(same, f"a victim carries another training ({modality})")
                lost = scene.model.offers & Access.TRAIN & ~victim.offers
                expect(not lost, f"a victim does not offer the training ({modality})")


def _watched(scene: Scene) -> tuple[Scene, list[int]]:
    """The scene, whose deployed model's training is told from any other, and sizes of trainings."""
    owner, known = scene.fit, None if scene.model is None else scene.model.fit
    trained: list[int] = []

    def owners(data: Data, include: Any, seed: int) -> Ensemble:
        assert owner is not None
        trained.append(len(include))
        return owner(data, include, seed)

    def attackers(data: Data, include: Any, seed: int) -> Ensemble:
        assert known is not None
        return known(data, include, seed)

    model = scene.model
    if model is not None:
        model = model.with_(fit=None if known is None else attackers)
    return replace(scene, model=model, fit=None if owner is None else owners), trained


def _truth(game: Game, scene: Scene) -> Any:
    return np.concatenate([one.truth for one in game(scene, np.random.default_rng(0)).rounds])


def wire_of(game: Game, kind: str, modality: Modality) -> Scene:
    """The live or dead wire of a game, made with a fixed seed."""
    build = game.live if kind == "live" else game.dead
    # The name of a seed outlives the word: another one would be another scene.
    return build(modality, np.random.default_rng(spawn(0, "wire", game.cls, kind)))


PLAIN_RULES = (
    says_what_it_is,
    refuses_values_outside_its_ranges,
    deals_the_same_twice,
    wires_hold_what_it_requires,
)

ORACLE_RULES = (
    has_an_oracle,
    carries_its_usual_metrics,
    hands_out_victims_as_attackers_may_see_them,
)
