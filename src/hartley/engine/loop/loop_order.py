"""What a plan orders of a loop: a ring of legs, chords, doses, rounds, clusters, all checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hartley import catalog
from hartley.core import Attack, Scene, Stage
from hartley.core.errors import HartleyError, UsageError
from hartley.core.loop_setting import Link, LoopSetting
from hartley.engine.plan.parameters import checked, defaults, ruled
from hartley.infotheory.loops import FEWEST_CLUSTERS, FEWEST_DOSES

FEWEST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Leg:
    """One attack of a loop, as a plan lists it.

    Attributes:
        source, target: the assets that it leads from and to.
        attack: its name.
        params, game: parameters of the attack and of its game.
    """

    source: str
    target: str
    attack: str
    params: Mapping[str, Any] = field(default_factory=dict)
    game: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoopOrder:
    """The table ``[loop]`` of a plan.

    Attributes:
        legs: the ring, in order; each takes what the one before leaves, and the first what the last
            leaves.
        chords: further legs between assets of the ring, so that there is more than one way round.
        start: compromised share of the first leg's asset in round 0.
        doses: shares to which each asset is set in turn, in any order; 0 among them.
        rounds: times round the loop that are really run.
        clusters: independent owners with secrets of their own.
    """

    legs: tuple[Leg, ...]
    start: float = 0.125
    doses: tuple[float, ...] = (0.0, 0.125, 0.25, 0.5)
    rounds: int = 4
    clusters: int = 16
    chords: tuple[Leg, ...] = ()

    @property
    def every(self) -> tuple[Leg, ...]:
        """All legs, those of the ring first."""
        return (*self.legs, *self.chords)

    def dump(self) -> dict[str, Any]:
        """Return what one cluster depends on, as plain values."""
        across = [[leg.source, leg.target] for leg in self.chords]
        return {
            **({"chords": across} if across else {}),
            "path": [*(leg.source for leg in self.legs), self.legs[-1].target],
            "start": self.start,
            "doses": sorted(self.doses),  # the first is the untouched one
            "rounds": self.rounds,
        }


def check_numbers(order: LoopOrder) -> None:
    """Check doses, rounds, clusters and the start.

    Raises:
        UsageError: too few of them, or a share outside 0..1.
    """
    doses = sorted({*order.doses})
    if len(doses) < FEWEST_DOSES or len(doses) < len(order.doses):
        raise UsageError(
            f"loop.doses must be {FEWEST_DOSES} or more different shares, got "
            f"{_listed(order.doses)}: two say nothing about saturation"
        )
    if doses[0] != 0 or doses[-1] > 1:
        raise UsageError(f"loop.doses must be from 0, to at most 1, got {_listed(order.doses)}")
    if not 0 < order.start <= 1:
        raise UsageError(f"loop.start must be above 0 and at most 1, got {order.start:g}")
    if order.rounds < FEWEST_ROUNDS:
        raise UsageError(
            f"loop.rounds must be {FEWEST_ROUNDS} or more, to compare with a forecast, got "
            f"{order.rounds}"
        )
    if order.clusters < FEWEST_CLUSTERS:
        raise UsageError(
            f"loop.clusters must be {FEWEST_CLUSTERS} or more, for intervals, got {order.clusters}"
        )


def check_ring(legs: Sequence[Leg]) -> None:
    """Check that each leg takes what the one before leaves, and the first what the last leaves.

    Raises:
        UsageError: there is a gap, or an asset is passed twice.
    """
    if not legs:
        raise UsageError("loop.legs must be a ring of attacks, got none")
    gaps = [
        f"{one.attack} leaves {one.target}, and {other.attack} takes {other.source}"
        for one, other in pairwise((*legs, legs[0]))
        if one.target != other.source
    ]
    if gaps:
        raise UsageError(f"the loop must close: {'; '.join(gaps)}")
    sources = [leg.source for leg in legs]
    if twice := sorted({name for name in sources if sources.count(name) > 1}):
        raise UsageError(f"a loop must pass each asset once, got {', '.join(twice)} twice")


def check_chords(order: LoopOrder) -> None:
    """Check that each chord joins two assets of the ring that no other leg joins in its direction.

    Raises:
        UsageError: one does not.
    """
    ring = [leg.source for leg in order.legs]
    joined = {(leg.source, leg.target) for leg in order.legs}
    for leg in order.chords:
        for name in (leg.source, leg.target):
            if name not in ring:
                raise UsageError(
                    f"loop.chords must join assets of the ring ({', '.join(ring)}), got {name!r}"
                )
        if (leg.source, leg.target) in joined:
            raise UsageError(
                f"a loop must have one leg from {leg.source} to {leg.target}, got two, whose gains "
                "cannot be separated"
            )
        joined.add((leg.source, leg.target))


def course(
    path: Sequence[str], chords: Sequence[Sequence[str]], rounds: int
) -> list[tuple[int, str, tuple[str, ...]]]:
    """Return what is made anew after the start: (step, asset, compromised sources), in order.

    In each step every leg whose source was reached takes what that source was left as in the step
    before. Of a plain ring that is one leg a step. The asset that the ring itself has come to is
    the last of its step.

    Args:
        path: assets of the ring, the first again at the end.
        chords: (from, to) of each.
        rounds: times round the ring.
    """
    legs = [*pairwise(path), *((one, other) for one, other in chords)]
    ring = path[:-1]
    reached, rows = {path[0]}, []
    for step in range(1, rounds * len(ring) + 1):
        turn = step % len(ring)
        after = []
        for asset in (*ring[turn + 1 :], *ring[: turn + 1]):
            sources = tuple(i for i, j in legs if j == asset and i in reached)
            if sources:
                after.append(asset)
                rows.append((step, asset, sources))
        reached = set(after)
    return rows


def setting_of(scene: Scene) -> LoopSetting:
    """Return what loops run on in a scene.

    Raises:
        UsageError: the scene has no setting.
    """
    setting = scene.find(LoopSetting)
    if setting is None:
        raise UsageError(
            f"the scene {scene.name} must say what the assets of a loop are, and does not; digits "
            "does"
        )
    return setting


def stages(order: LoopOrder, scene: Scene) -> tuple[Stage, ...]:
    """Return the legs as stages, with every name, parameter and link checked.

    Raises:
        UsageError: the loop does not close, or legs cannot be where they are; each with its reason.

    Those of the ring come first.
    """
    check_numbers(order)
    check_ring(order.legs)
    check_chords(order)
    setting, faults, out = setting_of(scene), [], []
    joins = {asset.name for asset in setting.assets if asset.joins}
    for leg in order.chords:
        if leg.target not in joins:
            faults.append(
                f"{leg.source} → {leg.target}: {leg.target} cannot be made of what two legs leave; "
                f"{', '.join(sorted(joins)) or 'no asset'} can"
            )
    for leg in order.every:
        try:
            out.append(_stage(leg, setting, scene))
        except HartleyError as error:
            faults.append(f"{leg.source} → {leg.target}: {error}")
    if faults:
        raise UsageError(f"the loop cannot be run: {'; '.join(faults)}")
    return tuple(out)


def described(order: LoopOrder, scene: Scene) -> dict[str, Any]:
    """Return what the document says of a loop besides its numbers, as plain values."""
    setting = setting_of(scene)
    shares = {asset.name: asset.share for asset in setting.assets}
    legs = []
    for leg in order.every:
        entry = catalog.find("attack", leg.attack)
        link = link_of(leg.source, leg.target, setting)
        legs.append(
            {
                "from": leg.source,
                "to": leg.target,
                "attack": leg.attack,
                "axis": str(entry.axis),
                "class": entry.cls,
                "how": link.how,
            }
        )
    return {
        **order.dump(),
        "clusters": order.clusters,
        "legs": legs,
        "assets": [{"name": leg.source, "share": shares[leg.source]} for leg in order.legs],
        "story": setting.story,
    }


def link_of(source: str, target: str, setting: LoopSetting) -> Link:
    """Return the link between two assets.

    Raises:
        UsageError: an unknown asset, or nothing leads from one to the other.
    """
    names = [asset.name for asset in setting.assets]
    for name in (source, target):
        if name not in names:
            raise UsageError(f"an asset must be one of {', '.join(names)}, got {name!r}")
    for link in setting.links:
        if (link.source, link.target) == (source, target):
            return link
    onward = [link.target for link in setting.links if link.source == source]
    raise UsageError(f"{source} leads to {', '.join(onward) or 'nothing'}, not to {target}")


def _stage(leg: Leg, setting: LoopSetting, scene: Scene) -> Stage:
    link = link_of(leg.source, leg.target, setting)
    part: Attack = catalog.load("attack", leg.attack)
    if part.game.name != link.game:
        fitting = [
            entry.name
            for entry in catalog.entries("attack")
            if entry.game == link.game and str(scene.modality) in entry.modalities
        ]
        raise UsageError(
            f"the attack must play {link.game} ({', '.join(fitting)}), and {leg.attack} plays "
            f"{part.game.name}"
        )
    if part.game.aim is None:
        raise UsageError(f"the game {link.game} cannot be aimed at the asset of a loop")
    if scene.modality not in part.modalities:
        raise UsageError(
            f"{leg.attack} plays {', '.join(part.modalities)}, and {scene.name} is {scene.modality}"
        )
    rules = ruled(part.name, part.game_params.items(), leg.game)
    return Stage(
        attack=part.name,
        params=defaults(part.parameters) | checked(part, leg.params),
        game=part.game.name,
        game_params=defaults(part.game.parameters) | checked(part.game, rules),
    )


def _listed(doses: Sequence[float]) -> str:
    return ", ".join(f"{dose:g}" for dose in doses) or "none"
