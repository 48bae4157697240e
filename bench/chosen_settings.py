"""What an adaptive attacker chooses: settings tried on rounds that are not measured.

The engine's own rule (``hartley.engine.run.tuning``) for the benches that play rows by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hartley.core import Attack, Deal, Scene
from hartley.engine.plan.plan import sweep as combinations
from hartley.engine.run.play import deal
from hartley.engine.run.tuning import Tuned, tuned, tuning_params, tuning_seed


def chosen(
    scene: Scene,
    part: Attack,
    size: Mapping[str, Any],
    seed: int,
    *,
    dealt: Deal | None = None,
    among: Sequence[str] = (),
) -> Tuned:
    """Return the setting of an attack that reads the most bits on rounds of their own.

    Args:
        scene: behind the defenses that the attacker knows.
        part: the attack; one without a sweep has its usual setting.
        size: parameters of the game as it is measured.
        seed: of the run.
        dealt: the deal that is measured, where there is one.
        among: ``name=value``: of the declared settings those with these values are tried.
    """
    params = {p.name: p.default for p in part.parameters}
    if not part.sweep:
        return Tuned(params, {"setting": {}})
    few = tuning_params(part, size, dealt or deal(part, scene, seed=seed, params=size))
    settings = [*combinations({name: list(values) for name, values in part.sweep.items()})]
    wanted = dict(text.split("=", 1) for text in among)
    settings = [
        setting
        for setting in settings
        if all(str(setting[name]) == value for name, value in wanted.items() if name in setting)
    ]
    its_seed = tuning_seed(seed)
    return tuned(
        part,
        scene,
        params,
        tuple(settings),
        few,
        dealt=deal(part, scene, seed=its_seed, params=few),
        seed=its_seed,
        budget=None,
        alpha=0.05,
    )
