"""One cluster of a loop: every asset set to each dose, and rounds that are really run.

Three things are run, of one owner with secrets of their own: an untouched loop (the control),
rounds from a small start, and every leg alone with its asset set to each dose. What a leg takes is
only what it is handed. Where several legs lead to an asset, it is made of what all of them leave.
Seeds come from names, so nothing depends on the order of play.

In front of a defense the attackers of the legs first choose their settings, on owners of their own
that no cluster is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

import numpy as np

from hartley.core import Asset, Data, Experiment, Model, Scene, Stage, spawn
from hartley.core.errors import UsageError, WroteIntoView
from hartley.core.loop_setting import Left, Link, LoopSetting, LoopWorld
from hartley.engine.loop.loop_order import course, link_of, setting_of
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
        experiment: its stages are the legs; ``loop`` says the assets, chords, doses, start, rounds.
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
    path, chords = order["path"], order.get("chords", [])
    legs, seed = _legs(experiment, setting), experiment.root_seed
    world = setting.begin(scene, spawn(seed, "loop"))
    player = _Player(world, legs, len(path) - 1, seed, experiment.budget, isolated)
    first, steps = path[0], course(path, chords, order["rounds"])

    untouched = player.untouched_first(first)
    # Beside a chord, what was not reached must be there before it is.
    before = player.along(path[:-1], untouched, "before") if chords else {}
    base: dict[str, Asset] = {}
    control = [world.share(first, untouched)]
    for step in player.rounds("control", {first: untouched}, steps, before):
        base[step.asset] = step.at_hand
        control.append(step.share)
    full = player.whole(setting.whole)
    start = player.dosed(first, order["start"], "start", base, full)
    observed, trace = [world.share(first, start)], []
    for step in player.rounds("start", {first: start}, steps, before):
        for leg, left, share, queries in step.played:
            trace.append(
                {
                    "round": -(-step.number // (len(path) - 1)),
                    "step": step.number,
                    "from": leg.link.source,
                    "to": leg.link.target,
                    "attack": leg.stage.attack,
                    "before": share,
                    "after": step.share,
                    "queries": queries,
                    "facts": dict(left.facts),
                }
            )
        observed.append(step.share)
    doses = []
    for leg in legs:
        for dose in order["doses"]:
            name = f"dose {dose!r}"
            source, target = leg.link.source, leg.link.target
            at_hand = player.dosed(source, dose, name, base, full)
            left, _ = player.go(leg, at_hand, name)
            asset = player.with_the_others(leg, left, before)
            doses.append(
                {
                    "from": source,
                    "to": target,
                    "dose": dose,
                    "set": world.share(source, at_hand),
                    "left": world.share(target, asset),
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
        path = order["path"]
        player = _Player(world, legs, len(path) - 1, seed, experiment.budget, isolated)
        untouched = player.untouched_first(path[0])
        base: Mapping[str, Asset] = player.along(path, untouched, "control")
        full = player.whole(setting.whole)
        for i, (leg, table) in enumerate(zip(legs, tables, strict=True)):
            source = leg.link.source
            doses = {
                dose: player.dosed(source, dose, f"dose {dose!r}", base, full)
                for dose in (order["doses"] if len(table) > 1 else ())
            }
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
    """The legs of a loop, those of the ring first."""
    ways = [*pairwise(experiment.loop["path"]), *experiment.loop.get("chords", ())]
    return [
        _Leg(link_of(source, target, setting), stage)
        for (source, target), stage in zip(ways, experiment.stages, strict=True)
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
    """One asset that was made anew in one step.

    Attributes:
        number: of the step.
        asset, at_hand, share: its name, itself, and what the auditor reads of it.
        played: legs with what each left, the share of its source before, and its queries.
    """

    number: int
    asset: str
    at_hand: Asset
    share: float
    played: Sequence[tuple[_Leg, Left, float, int]]


@dataclass(frozen=True, slots=True)
class _Player:
    """Plays the legs of one cluster."""

    world: LoopWorld
    legs: Sequence[_Leg]
    ring: int
    seed: int
    budget: int | None
    isolated: Isolation | None
    still: dict[int, Left] = field(default_factory=dict)

    def rng(self, *names: str) -> np.random.Generator:
        return np.random.default_rng(spawn(self.seed, "loop", *names))

    def untouched_first(self, asset: str) -> Asset:
        """Return the asset that the loop begins with, untouched."""
        at_hand = self.world.dosed(asset, 0.0, self.rng("control"), {}, {})
        if at_hand is None:
            raise UsageError(
                f"a loop must begin with an asset that can be set by hand, not {asset}"
            )
        return at_hand

    def rounds(
        self,
        arm: str,
        at_hand: Mapping[str, Asset],
        steps: Sequence[tuple[int, str, tuple[str, ...]]],
        before: Mapping[str, Asset],
    ) -> Iterator[_Step]:
        """Go the course, each leg taking what its source was left as in the step before.

        An asset that several legs lead to is made of what all of them leave; those whose source was
        not reached take it as the ring leaves it untouched (``before``).
        """
        shares = {name: self.world.share(name, asset) for name, asset in at_hand.items()}
        for number, group in groupby(steps, key=itemgetter(0)):
            after: dict[str, Asset] = {}
            read: dict[str, float] = {}
            for _, asset, sources in group:
                played, parts = [], []
                for index, leg in enumerate(self.legs):
                    source = leg.link.source
                    if leg.link.target != asset:
                        continue
                    if source in sources:
                        left, queries = self.go(leg, at_hand[source], f"{arm} {number}")
                        played.append((leg, left, shares[source], queries))
                        parts.append(left.asset)
                    else:
                        parts.append(self.untouched(index, before).asset)
                after[asset] = self.joined(asset, parts, arm, str(number))
                read[asset] = self.world.share(asset, after[asset])
                yield _Step(number, asset, after[asset], read[asset], played)
            at_hand, shares = after, read

    def dosed(
        self,
        asset: str,
        share: float,
        name: str,
        base: Mapping[str, Asset],
        full: Mapping[str, Asset],
    ) -> Asset:
        """Return an asset at a dose: set by hand, or by its leg in the ring."""
        at_hand = self.world.dosed(asset, share, self.rng(name, asset), base, full)
        if at_hand is not None:
            return at_hand
        leg = next(leg for leg in self.legs[: self.ring] if leg.link.target == asset)
        left, _ = self.go(
            leg, self.dosed(leg.link.source, share, name, base, full), f"{name} for {asset}"
        )
        return left.asset

    def joined(self, asset: str, parts: Sequence[Asset], *names: str) -> Asset:
        """Return one asset of what the legs that lead to it left."""
        if len(parts) == 1:
            return parts[0]
        return self.world.joined(asset, parts, self.rng("joined", asset, *names))

    def with_the_others(self, leg: _Leg, left: Left, before: Mapping[str, Asset]) -> Asset:
        """Return the asset of what one leg left and of what the others leave of untouched ones."""
        parts = [
            left.asset if other is leg else self.untouched(index, before).asset
            for index, other in enumerate(self.legs)
            if other.link.target == leg.link.target
        ]
        return self.joined(leg.link.target, parts, "dose")

    def untouched(self, index: int, before: Mapping[str, Asset]) -> Left:
        """Return what a leg leaves of an untouched asset, played once."""
        if index not in self.still:
            leg = self.legs[index]
            self.still[index], _ = self.go(leg, before[leg.link.source], "untouched")
        return self.still[index]

    def whole(self, name: str) -> Mapping[str, Asset]:
        """Return what the ring makes of a wholly compromised asset, until it comes back to it."""
        ring = [leg.link.source for leg in self.legs[: self.ring]]
        if name not in ring:
            return {}
        at = ring.index(name)
        asset = self.world.dosed(name, 1.0, self.rng("whole"), {}, {})
        assert asset is not None, "the setting says that this one can be set"
        return self.along([*ring[at:], *ring[:at]], asset, "whole")

    def along(self, ring: Sequence[str], at_hand: Asset, name: str) -> dict[str, Asset]:
        """Return the assets of the ring, each made by its leg alone, from the first of them on."""
        assets = {ring[0]: at_hand}
        by_source = {leg.link.source: leg for leg in self.legs[: self.ring]}
        for source in ring[:-1]:
            left, _ = self.go(by_source[source], assets[source], name)
            assets[by_source[source].link.target] = left.asset
        return assets

    def go(self, leg: _Leg, at_hand: Asset, name: str) -> tuple[Left, int]:
        """Play one leg on what it is handed; return what it leaves, and the queries it took."""
        means = Means(self.seed, self.budget, None, self.isolated)
        queries, loots = 0, []
        for index, aim in enumerate(self.world.aims(leg.link, at_hand)):
            place = ["loop", name, leg.link.source, leg.link.target, index]
            records = aim.target if isinstance(aim.target, Data) else None
            victim = aim.target if isinstance(aim.target, Model) else None
            loot, spent = loot_of(
                (leg.stage,), aim.scene, records, means, victim=victim, aimed_at=place
            )
            loots.append(loot)
            queries += spent
        rng = self.rng(name, leg.link.source, leg.link.target, leg.stage.attack)
        return self.world.left(leg.link, at_hand, loots, rng), queries
