"""One cluster of a loop: every asset set to each dose, and rounds that are really run.

Three things are run, of one owner with secrets of their own: an untouched loop (the control),
rounds from a small start, and every leg alone with its asset set to each dose. What a leg takes is
only what it is handed. Seeds come from names, so nothing depends on the order of play.

In front of a defense the attackers of the legs first choose their settings, on owners of their own
that no cluster is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hartley.core import Asset, Data, Experiment, Model, Scene, Stage, spawn
from hartley.core.errors import WroteIntoView
from hartley.core.loop_setting import Left, Link, LoopSetting, LoopWorld
from hartley.engine.loop.loop_order import link_of, setting_of
from hartley.engine.loot import Means, loot_of
from hartley.engine.run.attack_process import Isolation

OWNERS = 4
"""Owners that settings are chosen on."""


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
    legs, seed = _legs(experiment, setting), experiment.root_seed
    world = setting.begin(scene, spawn(seed, "loop"))
    player = _Player(world, legs, seed, experiment.budget, isolated)
    first, rounds = order["path"][0], order["rounds"]

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


def choose_settings(
    experiment: Experiment, scene: Scene, *, isolated: Isolation | None = None
) -> list[dict[str, Any]]:
    """Let the attacker of each leg choose its setting, the other legs being played as ordered.

    The one that leaves most of the next asset beyond a dose of 0, in the mean over the doses and
    over ``OWNERS`` owners; ties go to the setting that is ordered, then to the one declared first.

    Args:
        experiment: of any cluster; ``loop["settings"]`` lists for each leg what is tried besides.
            Its root seed is that of these owners, which no cluster has.
        scene: behind its defenses.
        isolated: the processes of attacks that do not play in this one.

    Returns:
        Plain values, one row a leg: ``from``, ``to``, ``attack``; ``setting``, the parameters that
        were chosen; ``tried``, each setting with what it ``left``, or the ``reason`` why it could
        not be played; ``owners``.

    Raises:
        WroteIntoView: an attack changed what it was handed.
    """
    order, setting = experiment.loop, setting_of(scene)
    legs = _legs(experiment, setting)
    tables = [_tables(leg, others) for leg, others in zip(legs, order["settings"], strict=True)]
    lefts: list[list[list[float]]] = [[[] for _ in table] for table in tables]
    reasons: dict[tuple[int, int], str] = {}
    for k in range(OWNERS):
        seed = spawn(experiment.root_seed, "owner", k)
        world = setting.begin(scene, spawn(seed, "loop"))
        player = _Player(world, legs, seed, experiment.budget, isolated)
        first = order["path"][0]
        untouched = world.dosed(first, 0.0, player.rng("control"), {}, {})
        steps = player.rounds("control", untouched, 1)
        base = {step.leg.link.target: step.left.asset for step in steps}
        full = player.whole(setting.whole)
        for i, (leg, table) in enumerate(zip(legs, tables, strict=True)):
            source = leg.link.source
            doses = {}
            for dose in order["doses"] if len(table) > 1 else ():
                rng = player.rng(f"dose {dose!r}", source)
                doses[dose] = world.dosed(source, dose, rng, base, full)
            for j, params in enumerate(table):
                stage = replace(leg.stage, params={**leg.stage.params, **params})
                try:
                    shares = [
                        world.share(
                            leg.link.target,
                            player.go(_Leg(leg.link, stage), at_hand, f"dose {dose!r}")[0].asset,
                        )
                        for dose, at_hand in doses.items()
                    ]
                except WroteIntoView:
                    raise
                except Exception as error:
                    words = " ".join(str(error).split()) or "no message"
                    reasons.setdefault((i, j), f"{type(error).__name__}: {words}")
                    continue
                lefts[i][j] += [share - shares[0] for share in shares[1:]]
    return [
        _choice(leg, table, lefts[i], {j: why for (at, j), why in reasons.items() if at == i})
        for i, (leg, table) in enumerate(zip(legs, tables, strict=True))
    ]


def _legs(experiment: Experiment, setting: LoopSetting) -> list[_Leg]:
    path = experiment.loop["path"]
    return [
        _Leg(link_of(source, target, setting), stage)
        for source, target, stage in zip(path[:-1], path[1:], experiment.stages, strict=True)
    ]


def _tables(leg: _Leg, others: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The settings of a leg: the ordered one first, each with all that any of them sets."""
    names = dict.fromkeys(name for other in others for name in other)
    ordered = {name: leg.stage.params[name] for name in names}
    return [ordered, *({**ordered, **other} for other in others)]


def _choice(
    leg: _Leg,
    table: Sequence[Mapping[str, Any]],
    lefts: Sequence[Sequence[float]],
    reasons: Mapping[int, str],
) -> dict[str, Any]:
    tried: list[dict[str, Any]] = [
        {
            "setting": dict(params),
            "left": float(np.mean(lefts[j])) if lefts[j] and j not in reasons else None,
            "reason": reasons.get(j),
        }
        for j, params in enumerate(table)
    ]
    played = [row for row in tried if row["left"] is not None]
    best = max(played, key=lambda row: float(row["left"]), default=tried[0])
    return {
        "from": leg.link.source,
        "to": leg.link.target,
        "attack": leg.stage.attack,
        "setting": best["setting"],
        "tried": tried if len(table) > 1 else [],
        "owners": OWNERS,
    }


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
            records = aim.target if isinstance(aim.target, Data) else None
            victim = aim.target if isinstance(aim.target, Model) else None
            loot, spent = loot_of(
                (leg.stage,), aim.scene, records, means, victim=victim, aimed_at=place
            )
            loots.append(loot)
            queries += spent
        rng = self.rng(name, leg.link.source, leg.stage.attack)
        return self.world.left(leg.link, at_hand, loots, rng), queries
