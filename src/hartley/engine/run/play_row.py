"""One attack on one scene, measured: ``hartley attack``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hartley import catalog
from hartley.core import Experiment, Stage
from hartley.core.errors import UsageError
from hartley.engine import build_scene
from hartley.engine.plan.applicability import of_other_records
from hartley.engine.plan.parameters import checked, defaults, ruled
from hartley.engine.result import document
from hartley.engine.run import fork_server
from hartley.engine.run.executor import Limits, OnNews, perform
from hartley.engine.run.player import DONE, Result
from hartley.engine.run.threads import one_thread


def play_row(
    attack: str,
    scene: str,
    *,
    params: Mapping[str, Any],
    game_params: Mapping[str, Any],
    scene_params: Mapping[str, Any] | None = None,
    seed: int = 0,
    budget: int | None = None,
    alpha: float = 0.05,
    isolate: bool | None = None,
    limits: Limits | None = None,
    on_news: OnNews = lambda _experiment, _news: None,
) -> dict[str, Any]:
    """Play and measure one attack on one scene, without a run folder.

    It is played in this process, or in a worker where this process may not play.

    ``on_news`` is called with news of the models that it trains.

    Returns:
        The row: measured, or skipped or failed with its reason.

    Raises:
        RunError: no worker process can be started.
        UsageError: an unknown name or parameter, or a value or a record that the game or the
            attack cannot be played with.
    """
    part = catalog.load("attack", attack)
    values = checked(part, params)
    rules = ruled(attack, part.game_params.items(), game_params)
    stage = Stage(
        attack=attack,
        params=defaults(part.parameters) | values,
        game=part.game.name,
        game_params=defaults(part.game.parameters) | checked(part.game, rules),
    )
    settings = dict(scene_params or {})
    experiment = Experiment(scene, settings, (stage,), seed=seed, budget=budget, alpha=alpha)
    modality = build_scene.declared_modality(scene)
    if modality is not None:  # so that nothing is built for an attack on other records
        other = of_other_records(part, part.game, scene, modality)
        if other is not None:
            build_scene.check(scene, settings)
            common = document.standing_of(catalog.find("attack", attack), str(modality), experiment)
            why = part.unfit.get(str(modality), "")
            reason = other.reason + (why and f", since {why}")
            return document.unmeasured(common, "skipped", reason, other.cause)
    one_thread()
    before = fork_server.holdings()
    built_scene = build_scene.build(scene, settings)
    results: list[Result] = []
    with fork_server.serving((scene, built_scene, settings), before) as server:
        perform(
            [experiment],
            workers=0,
            scene=built_scene,
            scene_params=settings,
            limits=limits or Limits(),
            isolate=isolate,
            server=server,
            started=lambda _experiment: None,
            finished=lambda _experiment, result: results.append(result),
            on_news=on_news,
        )
    (result,) = results
    if result.mistake:
        raise UsageError(f"{attack} on {scene}: {result.mistake}")
    common = document.standing_of(
        catalog.find("attack", attack), str(built_scene.modality), experiment
    )
    if result.status == DONE:
        return {**common, **result.row["row"]}
    note = result.note
    return document.unmeasured(common, result.status, note["reason"], note.get("cause"))
