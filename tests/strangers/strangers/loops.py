"""A loop whose gains are known: three assets of coins, and legs that carry a share of them on.

Any two of them may be joined, so that a loop may have chords.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from hartley.core import (
    Access,
    AnswerForm,
    Axis,
    Data,
    Flow,
    Modality,
    Outcome,
    Role,
    Scene,
    Term,
    View,
    attack,
    defense,
    game,
    recipe,
)
from hartley.core.loop_setting import Aim, Left, Link, LoopAsset, LoopSetting

COINS = 256


def _coins(x):
    return Data("coins", Modality.TABULAR, np.asarray(x, np.float32).reshape(-1, 1))


@dataclass(frozen=True)
class CoinBrief:
    """What whoever carries coins knows.

    Attributes:
        question: the coins.
    """

    question: Data


def _none(modality, rng):
    return Scene(name="coins", modality=modality)


def aim(scene, target, rng, **_):
    """Hand out the coins."""
    return View(source=target, brief=CoinBrief(target))


@game(
    axis=Axis.DATA_TO_DATA,
    flow=Flow.ACTION,
    role=Role.JAM,
    form=AnswerForm.SYMBOL,
    unit="coin",
    live=_none,
    dead=_none,
    brief=CoinBrief,
    modalities=(Modality.TABULAR,),
    aim=aim,
)
def coins(scene, rng):
    """Not played: its attacks are legs of a loop."""
    raise NotImplementedError


@attack(
    game=coins,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.TABULAR,),
    paper="hartley",
)
def carries(view, rng, *, gain: float = 1.0):
    """Turn each coin with a chance of gain times the share of those handed in.

    Args:
        gain: the true one.
    """
    chance = min(1.0, gain * float(view.data.x.mean()))
    return Outcome(asset=_coins(rng.random(COINS) < chance))


@attack(
    game=coins,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.TABULAR,),
    paper="hartley",
    sweep={"force": (2, 3, 4, 0)},
)
def pushes(view, rng, *, gain: float = 0.5, force: int = 1):
    """Carry coins with a force that multiplies the gain; above 2 the purse tears.

    Args:
        gain: the true one at force 1.
        force: how hard.
    """
    if force > 2:
        raise ValueError("the purse is torn")
    return carries(view, rng, gain=gain * force)


@dataclass(frozen=True)
class Tape:
    """A part: of two coins that come back one sticks."""


@defense(
    term=Term.NOISE,
    stage="data",
    protects=("coins",),
    modalities=(Modality.TABULAR,),
    paper="hartley",
    strongest={},
)
def tape(scene, rng):
    """Put tape into the last purse."""
    return scene.with_part(Tape())


@dataclass(frozen=True)
class World:
    """One purse.

    Attributes:
        taped: whether every second coin that comes back sticks.
    """

    taped: bool

    def dosed(self, asset, share, rng, base, full):
        """Turn that share."""
        assert share == 0 or full or not base
        return _coins(rng.permutation(COINS) < round(share * COINS))

    def share(self, asset, at_hand):
        """Count the coins that are turned."""
        return float(at_hand.x.mean())

    def aims(self, link, at_hand):
        """Hand over the coins and nothing else."""
        return (Aim(Scene(name="coins", modality=Modality.TABULAR), at_hand),)

    def left(self, link, at_hand, loots, rng):
        """Keep the coins."""
        x = loots[0].x
        if self.taped and link.target == "one":
            x = x * (rng.random(x.shape) < 0.5)
        return Left(_coins(x), {"turned": float(x.sum())})

    def joined(self, asset, parts, rng):
        """Turn as many coins as all parts have turned."""
        turned = min(COINS, sum(int(part.x.sum()) for part in parts))
        return _coins(rng.permutation(COINS) < turned)


@recipe(modality=Modality.TABULAR)
def purses():
    """Three purses, each of which leads to both others."""
    names = ("one", "two", "three")
    setting = LoopSetting(
        assets=tuple(LoopAsset(name, "of its coins", joins=True) for name in names),
        links=tuple(
            Link(source, target, "coins", "coins are carried on")
            for source, target in permutations(names, 2)
        ),
        begin=lambda scene, seed: World(scene.find(Tape) is not None),
        whole="one",
        story="Coins go round.",
    )
    return Scene(name="purses", modality=Modality.TABULAR, digest="purses", parts=(setting,))
