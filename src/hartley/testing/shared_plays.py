"""What conformance checks share: a game's live and dead scenes, their deals, and one play of each.

An attack is a reader of its scene and its deal: the engine freezes the arrays and meters the model.
So every part may be checked on the same ones, and the cost grows with the parts and not with their
product. A check that lets a part alter what it holds makes scenes and deals of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from hartley.channel.measure import measure
from hartley.core import Attack, Channel, Data, Deal, Game, Modality, Round, Scene, Trials, spawn
from hartley.core.brief import records_in
from hartley.engine.run.play import deal, play

ONE = 1
"""Rounds that show that a setting can be played."""
FEW = 2
"""Rounds for a claim that is not about bits: one seed, one answer; a budget; an untouched view."""
FIRST = 4
"""Rounds in which most live scenes show beyond doubt that bits are read, or lost."""
THIRD = 3
"""Where those do not show it, the share of a deal that often does: one of three rounds."""


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


def few_rounds(game: Game, rounds: int = FEW) -> dict[str, int]:
    """Return the game's parameters for a play of few rounds: as few as it can be played in."""
    declared = next((p for p in game.parameters if p.name == "rounds"), None)
    if declared is None:
        return {}
    return {"rounds": rounds if declared.range is None else int(max(rounds, declared.range.low))}


def _fewer(attack: Attack, rounds: int) -> int:
    """Return how many rounds are played, or 0 where as many are the whole deal."""
    size = few_rounds(attack.game, rounds).get("rounds", 0) if rounds else 0
    return 0 if 0 < _whole(attack) <= size else size


def _whole(attack: Attack) -> int:
    """Return the rounds of a whole deal, or 0 where the scene alone says how many there are."""
    whole = next((p.default for p in attack.game.parameters if p.name == "rounds"), 0)
    return int(attack.game_params.get("rounds", whole))


def third(attack: Attack) -> int:
    """Return a third of the rounds of a deal, or 0 for all where that is too few to say much."""
    rounds = -(-_whole(attack) // THIRD)
    return _fewer(attack, rounds) if rounds > FIRST else 0


def looks(attack: Attack) -> tuple[int, ...]:
    """Return how many rounds are played until they show a claim, from a few to 0 for all."""
    return tuple(dict.fromkeys((_fewer(attack, FIRST), third(attack), 0)))


def shared_deal(
    attack: Attack, kind: str, modality: Modality, seed: int = 0, *, rounds: int = 0
) -> Deal:
    """Return a deal on a live or dead scene, the same one for all attacks that are dealt alike.

    What an attack has spoilt in spite of the seal is made anew, for the next one.

    Args:
        attack: that plays it.
        kind: ``live`` or ``dead``.
        modality: of the scene.
        seed: of scene and deal.
        rounds: how many, of a game that deals in rounds, or 0 for the whole deal.
    """
    game, rounds = attack.game, _fewer(attack, rounds)
    settled = tuple(sorted(attack.game_params.items()))
    key = (game, settled, attack.requires, kind, modality, seed, rounds)
    if key in _deals and fingerprint(_deals[key][0].rounds) != _deals[key][1]:
        _deals.clear()
        game_scene.cache_clear()
    if key not in _deals:
        scene = game_scene(game, kind, modality, seed)
        size = {"rounds": rounds} if rounds else None
        table = deal(attack, scene, seed=seed, params=size)
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


class _Size(NamedTuple):
    """How much is played: at the light setting or not, and how many rounds, or 0 for all."""

    light: bool
    rounds: int


def played(
    attack: Attack,
    kind: str,
    modality: Modality,
    seed: int = 0,
    *,
    light: bool = False,
    rounds: int = 0,
) -> Trials:
    """Return the trials of one play on a live or dead scene.

    Args:
        attack: at its defaults, or at its light setting.
        kind: ``live`` or ``dead``.
        modality: of the scene.
        seed: of scene, deal and play.
        light: whether the light setting is enough.
        rounds: how many, of a game that deals in rounds, or 0 for the whole deal.
    """
    size = _Size(light and bool(attack.light), _fewer(attack, rounds))
    return _played(attack, kind, modality, seed, size)


@lru_cache(maxsize=1024)
def _played(attack: Attack, kind: str, modality: Modality, seed: int, size: _Size) -> Trials:
    table = shared_deal(attack, kind, modality, seed, rounds=size.rounds)
    scene = game_scene(attack.game, kind, modality, seed)
    params = attack.light if size.light else {}
    return play(attack, scene, seed=seed, dealt=table, params=params)


def measured(
    attack: Attack,
    kind: str,
    modality: Modality,
    seed: int = 0,
    *,
    light: bool = False,
    rounds: int = 0,
) -> Channel:
    """Return the channel that is measured from that play, with a null arm of one redraw."""
    size = _Size(light and bool(attack.light), _fewer(attack, rounds))
    return _measured(attack, kind, modality, seed, size)


@lru_cache(maxsize=1024)
def _measured(attack: Attack, kind: str, modality: Modality, seed: int, size: _Size) -> Channel:
    return measure(_played(attack, kind, modality, seed, size), redraws=1)
