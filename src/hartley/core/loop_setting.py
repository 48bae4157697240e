"""What a closed loop of attacks runs on: assets, the links between them, and how each is read.

A *loop* is a ring of attacks in which what one attack leaves is all that the next one takes;
further attacks may lead across it (chords). The scene says what its assets are and how the
compromised share of each is read, the same way in every round and at every dose; a plan says which
attack goes along each link.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np

    from hartley.core.assets import Asset
    from hartley.core.scene import Scene

    Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class LoopAsset:
    """One asset of a loop.

    Attributes:
        name: in a word.
        share: what its compromised share is a share of, as half a sentence.
        joins: whether it can be made of what several links leave (``LoopWorld.joined``).
    """

    name: str
    share: str
    joins: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """How one asset leads to the next.

    Attributes:
        source, target: names of assets.
        game: the game whose attacks go along it.
        how: what happens on it, in a sentence without a full stop.
    """

    source: str
    target: str
    game: str
    how: str


@dataclass(frozen=True, slots=True)
class Aim:
    """What one play of a link's attack is aimed at, for ``Game.aim``.

    Attributes:
        scene: the attacker's surroundings.
        target: the asset.
    """

    scene: Scene
    target: Asset


@dataclass(frozen=True, slots=True)
class Left:
    """What a link left.

    Attributes:
        asset: the next asset.
        facts: plain numbers for the trace, by name.
    """

    asset: Asset
    facts: dict[str, float] = field(default_factory=dict)


class LoopWorld(Protocol):
    """One cluster of a loop: an owner and an auditor with secrets of their own."""

    def dosed(
        self,
        asset: str,
        share: float,
        rng: Rng,
        base: Mapping[str, Asset],
        full: Mapping[str, Asset],
    ) -> Asset | None:
        """Return an asset of which a share is compromised, everything else being as it is.

        It is put together as the loop itself would leave it: a gain is about what comes round.

        Args:
            asset: its name.
            share: 0..1, in the mean over clusters where it can only be met in steps.
            rng: chooses which part.
            base: assets by name, as an untouched loop leaves them; empty before it was run.
            full: assets by name, as the loop leaves them of a wholly compromised one; empty where
                that one is asked for.

        Returns:
            The asset; None where nobody can set it by hand: then it is what the leg that leads to
            it in the ring makes of its source at that share.
        """

    def share(self, asset: str, at_hand: Asset) -> float:
        """Return the compromised share of an asset, 0..1, as the auditor reads it."""

    def aims(self, link: Link, at_hand: Asset) -> Sequence[Aim]:
        """Return what the attack of a link is aimed at, one for each play."""

    def left(self, link: Link, at_hand: Asset, loots: Sequence[Asset], rng: Rng) -> Left:
        """Return what a link leaves: what the owner or the attacker makes of the loots."""

    def joined(self, asset: str, parts: Sequence[Asset], rng: Rng) -> Asset:
        """Return one asset of what several links left of it, each having an equal part.

        Only of assets that declare ``joins``; a setting without such assets need not have it.
        """


@dataclass(frozen=True, slots=True)
class LoopSetting:
    """A part of scenes on which a loop can be run.

    Attributes:
        assets: all of them.
        links: between which of them attacks can lead, and the game of each.
        begin: (scene, seed) → one cluster. The scene may be behind defenses.
        whole: the asset that can be compromised wholly without any attack; what the loop makes of
            it are the other doses' material.
        story: the setting in a sentence or two.
    """

    assets: tuple[LoopAsset, ...]
    links: tuple[Link, ...]
    begin: Callable[[Scene, int], LoopWorld]
    whole: str
    story: str
