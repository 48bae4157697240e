"""One cluster of a loop: every asset set to each dose, and rounds that are really run.

Three things are run, of one owner with secrets of their own: an untouched loop (the control),
rounds from a small start, and every leg alone with its asset set to each dose. What a leg takes is
only what it is handed. Seeds come from names, so nothing depends on the order of play.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hartley.core import Asset, Experiment, Scene, Stage, spawn
from hartley.core.loop_setting import Left, Link, LoopWorld
from hartley.engine.loop.loop_order import link_of, setting_of
from hartley.engine.loot import Means, loot_of
from hartley.engine.run.attack_process import Isolation


@dataclass(frozen=True, slots=True)
class _Leg:
    link: Link
    stage: Stage


def play_loop(
    experiment: Experiment, scene: Scene, *, isolated: Isolation | None = None
) -> dict[str, Any]:
    """Play one cluster.

    Args:
        experiment: its stages are the legs; ``loop`` says the assets, doses, start and rounds.
        scene: behind its defenses.
        isolated: the processes of attacks that do not play in this one.

    Returns:
        Plain values: ``doses``, one row for each leg and dose with the share of the asset that was
        set and of the one that was left; ``control`` and ``rounds``, the shares after each leg, and
        before the first; ``trace``, what each leg of the rounds did.

    Raises:
        RunError: an attack returned no asset.
    """
    order, setting = experiment.loop, setting_of(scene)
    path = order["path"]
    legs = [
        _Leg(link_of(source, target, setting), stage)
        for source, target, stage in zip(path[:-1], path[1:], experiment.stages, strict=True)
    ]
    seed, budget = experiment.root_seed, experiment.budget
    world = setting.begin(scene, spawn(seed, "loop"))
    player = _Player(world, legs, seed, budget, isolated)
    first, rounds = path[0], order["rounds"]

    untouched = world.dosed(first, 0.0, player.rng("control"), {}, {})
    base: dict[str, Asset] = {}
    control = [world.share(first, untouched)]
    for step in player.rounds("control", untouched, rounds):
        base[step.leg.link.target] = step.left.asset
        control.append(step.share)
    full = player.whole(setting.whole)
    start = world.dosed(first, order["start"], player.rng("start"), base, full)
    observed, trace = [world.share(first, start)], []
    for step in player.rounds("start", start, rounds):
        trace.append(
            {
                "round": step.round,
                "from": step.leg.link.source,
                "to": step.leg.link.target,
                "attack": step.leg.stage.attack,
                "before": observed[-1],
                "after": step.share,
                "queries": step.queries,
                "facts": dict(step.left.facts),
            }
        )
        observed.append(step.share)
    doses = []
    for leg in legs:
        for dose in order["doses"]:
            name = f"dose {dose!r}"
            source = leg.link.source
            rng = player.rng(name, source)
            at_hand = world.dosed(source, dose, rng, base, full)
            left, _ = player.go(leg, at_hand, name)
            doses.append(
                {
                    "from": source,
                    "to": leg.link.target,
                    "dose": dose,
                    "set": world.share(source, at_hand),
                    "left": world.share(leg.link.target, left.asset),
                }
            )
    return {"doses": doses, "control": control, "rounds": observed, "trace": trace}


@dataclass(frozen=True, slots=True)
class _Step:
    """One leg of one round."""

    round: int
    leg: _Leg
    left: Left
    share: float
    queries: int


@dataclass(frozen=True, slots=True)
class _Player:
    """Plays the legs of one cluster."""

    world: LoopWorld
    legs: Sequence[_Leg]
    seed: int
    budget: int | None
    isolated: Isolation | None

    def rng(self, *names: str) -> np.random.Generator:
        return np.random.default_rng(spawn(self.seed, "loop", *names))

    def rounds(self, arm: str, at_hand: Asset, rounds: int) -> Iterator[_Step]:
        """Go round the loop, each leg taking what the one before left."""
        for number in range(1, rounds + 1):
            for leg in self.legs:
                left, queries = self.go(leg, at_hand, f"{arm} {number}")
                at_hand = left.asset
                yield _Step(number, leg, left, self.world.share(leg.link.target, at_hand), queries)

    def whole(self, name: str) -> Mapping[str, Asset]:
        """Return what the loop makes of a wholly compromised asset, until it comes back to it."""
        at = next((k for k, leg in enumerate(self.legs) if leg.link.source == name), None)
        if at is None:
            return {}
        at_hand = self.world.dosed(name, 1.0, self.rng("whole"), {}, {})
        full = {name: at_hand}
        for leg in [*self.legs[at:], *self.legs[:at]][:-1]:
            left, _ = self.go(leg, at_hand, "whole")
            at_hand = full[leg.link.target] = left.asset
        return full

    def go(self, leg: _Leg, at_hand: Asset, name: str) -> tuple[Left, int]:
        """Play one leg on what it is handed; return what it leaves, and the queries it took."""
        means = Means(self.seed, self.budget, None, self.isolated)
        queries, loots = 0, []
        for index, aim in enumerate(self.world.aims(leg.link, at_hand)):
            place = ["loop", name, leg.link.source, index]
            loot, spent = loot_of((leg.stage,), aim.scene, aim.target, means, aimed_at=place)
            loots.append(loot)
            queries += spent
        rng = self.rng(name, leg.link.source, leg.stage.attack)
        return self.world.left(leg.link, at_hand, loots, rng), queries
