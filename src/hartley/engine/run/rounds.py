"""Let an attack act on the rounds of a deal: one after another, or on all of them in one call.

The rounds of a deal are often the same search on other numbers. An attack that can search in all of
them at once names a function of its module (``together``), which gets the views and the generators
of all rounds and returns an outcome for each. Every view has a meter of its own within that of the
play; the time is shared out equally. What serves all is counted in the round that asked for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hartley.core import Attack, Deal, Outcome, spawn
from hartley.core.errors import RunError
from hartley.engine.plan.parameters import defaults
from hartley.engine.run.attack_process import AttackProcess
from hartley.engine.run.meter import Meter, Spent, seal


def acted(
    attack: Attack,
    table: Deal,
    params: Mapping[str, Any],
    *,
    seed: int,
    meter: Meter,
    process: AttackProcess | None,
) -> tuple[list[Outcome], list[Spent]]:
    """Return the outcome of each round, and what it used.

    Args:
        attack: whose turn it is.
        table: the deal.
        params: of the attack, with its secrets.
        seed: of the run.
        meter: counts what is used, within its budget.
        process: where the attack plays if not here.

    Raises:
        RunError: the attack returned something else than outcomes.
    """
    if not attack.together:
        return _one_by_one(attack, table, params, seed=seed, meter=meter, process=process)
    meters = [Meter(copies=meter.copies, total=meter) for _ in table.rounds]
    began = meter.reading().seconds
    with meter.ledger.opened():
        views = [
            seal(round_.view, attack.access, of_round)
            for round_, of_round in zip(table.rounds, meters, strict=True)
        ]
        rngs = [_rng(seed, attack, index) for index in range(len(views))]
        settings = {**defaults(attack.parameters), **params}
        if process is None:
            outcomes = list(together(attack)(views, rngs, **settings))
        else:
            outcomes = process.play_all(views, rngs, settings)
    for outcome in outcomes:
        _check(attack, outcome)
    if len(outcomes) != len(views):
        raise RunError(
            f"{attack.name} must return an Outcome for each of {len(views)} rounds, got "
            f"{len(outcomes)}"
        )
    for of_round in meters:
        meter.cost += of_round.cost
    seconds = (meter.reading().seconds - began) / len(views)
    return outcomes, [replace(of_round.reading(), seconds=seconds) for of_round in meters]


def _one_by_one(
    attack: Attack,
    table: Deal,
    params: Mapping[str, Any],
    *,
    seed: int,
    meter: Meter,
    process: AttackProcess | None,
) -> tuple[list[Outcome], list[Spent]]:
    outcomes: list[Outcome] = []
    spent: list[Spent] = []
    for index, round_ in enumerate(table.rounds):
        before, rng = meter.reading(), _rng(seed, attack, index)
        with meter.ledger.opened():
            view = seal(round_.view, attack.access, meter)
            if process is None:
                outcome = attack(view, rng, **params)
            else:
                outcome = process.play(view, rng, dict(params))
        _check(attack, outcome)
        outcomes.append(outcome)
        spent.append(meter.reading().since(before))
    return outcomes, spent


def together(attack: Attack) -> Callable[..., Any]:
    """Return the function of the attack's module that plays all rounds."""
    function: Callable[..., Any] = vars(sys.modules[attack.run.__module__])[attack.together]
    return function


def _rng(seed: int, attack: Attack, index: int) -> np.random.Generator:
    return np.random.default_rng(spawn(seed, attack.name, attack.game.cls, index))


def _check(attack: Attack, outcome: Any) -> None:
    if not isinstance(outcome, Outcome):
        kind = type(outcome).__name__
        empty = isinstance(outcome, list | tuple | dict | str) and not outcome
        raise RunError(
            f"{attack.name} must return an Outcome, got {'an empty ' * bool(empty)}{kind}"
        )
