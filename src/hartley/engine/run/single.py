"""Play and measure one attack on one scene, here and now, without a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hartley import catalog
from hartley.core.errors import UsageError
from hartley.engine import build_scene
from hartley.engine.plan.applicability import unplayable
from hartley.engine.plan.jobs import PLAY, Job
from hartley.engine.plan.parameters import checked, ruled
from hartley.engine.result import document
from hartley.engine.run import executor
from hartley.engine.run.player import DONE, SKIPPED, Player
from hartley.store.table import trials_from_bytes


def play_one(
    attack: str,
    scene: str,
    *,
    params: Mapping[str, Any],
    game_params: Mapping[str, Any],
    scene_params: Mapping[str, Any] | None = None,
    seed: int = 0,
    budget: int | None = None,
    alpha: float = 0.05,
) -> dict[str, Any]:
    """Return the row of one attack: measured, or skipped or failed with its reason.

    Raises:
        UsageError: an unknown name or parameter, a value or a record that the game or the attack
            cannot be played with, or a pack or dependency that is missing.
    """
    from hartley.channel.measure import measure

    entry = catalog.find("attack", attack)
    part = catalog.load("attack", attack)
    given = checked(f"attack {attack!r}", part.parameters, params)
    rules = checked(f"game {entry.game!r}", part.game.parameters, game_params)
    executor.one_thread()
    settings = dict(scene_params or {})
    built = build_scene.build(scene, settings)
    full = {p.name: p.default for p in part.parameters} | given
    stands = document.standing(entry, str(built.modality), full)
    if obstacle := unplayable(entry, built):
        return document.unmeasured(stands, SKIPPED, obstacle.reason, obstacle.cause)
    player = Player()
    player.hold(built, settings)
    job = Job(
        task=PLAY,
        scene=scene,
        scene_params=settings,
        attack=attack,
        params=given,
        game=entry.game,
        game_params=ruled(attack, entry.game_params, rules),
        seed=seed,
        budget=budget,
        alpha=alpha,
    )
    result = player.run(job)
    if result.mistake:
        raise UsageError(f"{attack} on {scene}: {result.mistake}")
    if result.status != DONE:
        note = result.note
        return document.unmeasured(stands, result.status, note["reason"], note.get("cause"))
    trials = trials_from_bytes(result.content)
    return document.measured(stands, trials, measure(trials))
