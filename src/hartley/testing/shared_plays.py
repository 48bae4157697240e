"""What conformance checks share: a game's live and dead scenes, their deals, and one play of each.

An attack is a reader of its scene and its deal: the engine freezes the arrays and meters the model.
So every part may be checked on the same ones, and the cost grows with the parts and not with their
product. A check that lets a part alter what it holds makes scenes and deals of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from functools import lru_cache

import numpy as np

from hartley.channel.measure import measure
from hartley.core import Attack, Channel, Data, Deal, Game, Modality, Round, Scene, Trials, spawn
from hartley.core.brief import records_in
from hartley.engine.run.play import deal, play

FEW = 2
"""Rounds for a claim that is not about bits: one seed, one answer; a budget; an untouched view."""


def build_scene(game: Game, kind: str, modality: Modality, seed: int = 0) -> Scene:
    """Build the ``live``, the ``dead`` or the ``alike`` scene of a game, from a fixed seed."""
    build = {"live": game.live, "dead": game.dead, "alike": game.alike}[kind]
    assert build is not None, f"{game.name} has no scene {kind}"
    # The name of a seed outlives the word: another one would be another scene.
    return build(modality, np.random.default_rng(spawn(seed, "wire", game.cls, kind)))


@lru_cache(maxsize=512)
def game_scene(game: Game, kind: str, modality: Modality, seed: int = 0) -> Scene:
    """Return the ``live`` or the ``dead`` scene of a game, the same one every time."""
    return build_scene(game, kind, modality, seed)


def few_rounds(game: Game) -> dict[str, int]:
    """Return the game's parameters for a play of few rounds."""
    return {"rounds": FEW} if any(p.name == "rounds" for p in game.parameters) else {}


def shared_deal(
    attack: Attack, kind: str, modality: Modality, seed: int = 0, *, few: bool = False
) -> Deal:
    """Return a deal on a live or dead scene, the same one for all attacks that are dealt alike.

    What an attack has spoilt in spite of the seal is made anew, for the next one.
    """
    game = attack.game
    settled = tuple(sorted(attack.game_params.items()))
    key = (game, settled, attack.requires, kind, modality, seed, few)
    if key in _deals and fingerprint(_deals[key][0].rounds) != _deals[key][1]:
        _deals.clear()
        game_scene.cache_clear()
    if key not in _deals:
        scene = game_scene(game, kind, modality, seed)
        table = deal(attack, scene, seed=seed, params=few_rounds(game) if few else None)
        _deals[key] = (table, fingerprint(table.rounds))
    return _deals[key][0]


_deals: dict[Hashable, tuple[Deal, bytes]] = {}


def fingerprint(rounds: Iterable[Round]) -> bytes:
    """Return a digest of all records that the views of some rounds hold."""
    state = hashlib.sha256()
    for round_ in rounds:
        for data in (round_.view.source, *records_in(round_.view.brief)):
            if isinstance(data, Data):
                for records in (data.x, data.y, data.edges):
                    array = np.asarray(records)
                    plain = array.dtype != object
                    state.update(array.tobytes() if plain else repr(array.tolist()).encode())
    return state.digest()


def played(
    attack: Attack, kind: str, modality: Modality, seed: int = 0, *, light: bool = False
) -> Trials:
    """Return the trials of one play of the whole deal on a live or dead scene.

    Args:
        attack: at its defaults, or at its light setting.
        kind: ``live`` or ``dead``.
        modality: of the scene.
        seed: of scene, deal and play.
        light: whether the light setting is enough.
    """
    return _played(attack, kind, modality, seed, light and bool(attack.light))


@lru_cache(maxsize=1024)
def _played(attack: Attack, kind: str, modality: Modality, seed: int, light: bool) -> Trials:
    table = shared_deal(attack, kind, modality, seed)
    scene, params = game_scene(attack.game, kind, modality, seed), attack.light if light else {}
    return play(attack, scene, seed=seed, dealt=table, params=params)


def measured(
    attack: Attack, kind: str, modality: Modality, seed: int = 0, *, light: bool = False
) -> Channel:
    """Return the channel that is measured from that play, with a null arm of one redraw."""
    return _measured(attack, kind, modality, seed, light and bool(attack.light))


@lru_cache(maxsize=1024)
def _measured(attack: Attack, kind: str, modality: Modality, seed: int, light: bool) -> Channel:
    return measure(_played(attack, kind, modality, seed, light), redraws=1)
