"""Play one attack on one scene: deal → act → pair. Truth joins here, never in the attack."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import (
    Access,
    AnswerForm,
    Asset,
    Attack,
    Bound,
    ChannelSpec,
    Data,
    Deal,
    Outcome,
    Received,
    Round,
    Scene,
    Trials,
    commitment,
    spawn,
)
from hartley.core.errors import RunError, UsageError
from hartley.engine.defend import ADAPTIVE, STATIC, as_static
from hartley.engine.plan.parameters import dealable, ruled
from hartley.engine.run.meter import Meter, seal
from hartley.engine.run.trial_columns import complete
from hartley.models.proofs import PRIVATE

if TYPE_CHECKING:
    from numpy.typing import NDArray


def deal(
    attack: Attack, scene: Scene, *, seed: int, params: Mapping[str, Any] | None = None
) -> Deal:
    """Deal the attack's game on a scene; the same seed deals the same secret to every attack.

    Raises:
        UsageError: a scene or parameters that the attack cannot be played with.
    """
    needed = dict.fromkeys((*attack.game.requires, *attack.requires))
    if lacking := scene.lacking(needed):
        raise UsageError(f"{attack.name}: the scene {scene.name} has no {', '.join(lacking)}")
    rng = np.random.default_rng(spawn(seed, "deal", attack.game.name, scene.name))
    rules = ruled(attack.name, attack.game_params.items(), params or {})
    dealable(attack.game, rules)
    return attack.game(scene, rng, **rules)


def play(
    attack: Attack,
    scene: Scene,
    *,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    game_params: Mapping[str, Any] | None = None,
    budget: int | None = None,
    alpha: float = 0.05,
    knowledge: str | None = None,
    undefended: Scene | None = None,
    dealt: Deal | None = None,
) -> Trials:
    """Play every round of a deal and pair what was sent with what was received.

    Args:
        attack: the attack.
        scene: what it attacks, with its defences in it.
        seed: the run's seed.
        params: the attack's own parameters.
        game_params: the game's parameters.
        budget: queries allowed over all rounds, or None.
        alpha: error level of the bounds that will be measured.
        knowledge: ``none``, ``static`` or ``adaptive``; if None, adaptive where the scene is
            defended and static where ``undefended`` is given.
        undefended: the scene before its defenses, for a static attacker, who trains there.
        dealt: a deal already made from ``deal`` on the same scene with the same seed, shared by
            several attacks and by both kinds of attackers.

    Raises:
        UsageError: a static attacker without the undefended scene, or another attacker with it.
        RuleError: the attack broke the rules.
        RunError: the attack answered with a wrong shape, NaN, or no loot where some is due.
    """
    known = knowledge or _knowledge(scene, undefended)
    if known == STATIC and undefended is None:
        raise UsageError(
            "undefended must be the scene before its defenses for a static attacker, got None"
        )
    if known != STATIC and undefended is not None:
        raise UsageError(f"knowledge must be {STATIC!r} where undefended is given, got {known!r}")
    table = dealt or deal(attack, scene, seed=seed, params=game_params)
    if undefended is not None:
        table = as_static(table, undefended)
    meter = Meter(budget)
    outcomes: list[Outcome] = []
    spent: list[dict[str, float]] = []
    for index, one in enumerate(table.rounds):
        started, asked = time.perf_counter(), meter.queries
        rng = np.random.default_rng(spawn(seed, attack.name, attack.game.name, index))
        outcomes.append(attack(seal(one.view, attack.access, meter), rng, **(params or {})))
        seconds = time.perf_counter() - started
        spent.append({"cost_queries": float(meter.queries - asked), "cost_s": seconds})
    _loot_is_due(attack, outcomes)
    received = _judge(attack, table, outcomes)
    truth = np.concatenate([one.truth for one in table.rounds])
    sizes = [len(one.truth) for one in table.rounds]
    alphabet = table.rounds[0].alphabet
    return Trials(
        spec=ChannelSpec(
            role=attack.game.role,
            form=attack.game.form,
            alphabet=alphabet,
            unit=table.unit or attack.game.unit,
            planted=table.planted,
            clustered=table.cluster,
            alpha=alpha,
            bounds=_bounds(scene, attack, table),
            seconds=sum(one["cost_s"] for one in spent),
            uses=meter.queries,
            budget=budget,
            commit=commitment(seed),
        ),
        truth=truth,
        guess=np.concatenate([r.guess for r in received]),
        reference=_joined([r.reference for r in received]),
        cluster=np.repeat(np.arange(len(sizes)), sizes),
        attack=attack.name,
        game=attack.game.name,
        scene=scene.name,
        params=dict(params or {}),
        seed=seed,
        fresh=meter.queries > 0,
        metrics={**_mean([r.metrics for r in received]), **table.metrics},
        metrics_by_round=_each([r.metrics for r in received]),
        cost=_mean([r.cost for r in received]),
        defenses=scene.defenses,
        knowledge=known,
        loot=_describe(outcomes[-1].asset),
        run_id=_identity(attack, scene, seed, params or {}, game_params or {}, budget, known),
        **complete(attack, table.rounds, received, spent),
    )


def _knowledge(scene: Scene, undefended: Scene | None) -> str:
    """What the attacker knows of the defenses, where the caller does not say."""
    if undefended is not None:
        return STATIC
    return ADAPTIVE if scene.defenses else "none"


def _identity(attack: Attack, scene: Scene, seed: int, *rest: Any) -> str:
    """What was played, in 16 hexadecimal digits; ``rest``: parameters, budget, knowledge."""
    stands = [[one.name, dict(one.params)] for one in scene.defenses]
    played = [scene.name, scene.digest, attack.game.name, attack.name, seed, stands, *rest]
    text = json.dumps(played, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _judge(attack: Attack, table: Deal, outcomes: Sequence[Outcome]) -> Sequence[Received]:
    if table.judge is not None:
        received = table.judge(table.rounds, outcomes)
    else:
        received = [_answer(attack, out) for out in outcomes]
    for one, got in zip(table.rounds, received, strict=True):
        _fits(attack, one, got)
    return received


def _answer(attack: Attack, outcome: Outcome) -> Received:
    if outcome.guess is None:
        raise RunError(f"{attack.name} returned no guess; {attack.game.name} asks one a question")
    return Received.of(outcome, np.asarray(outcome.guess))


def _fits(attack: Attack, one: Round, got: Received) -> None:
    m = len(one.truth)
    for name, column in (("guess", got.guess), ("reference", got.reference)):
        if column is None:
            continue
        if column.shape != (m,):
            raise RunError(f"{attack.name}: {name} has shape {column.shape}; {m} answers are due")
        if not np.isfinite(column.astype(np.float64)).all():
            raise RunError(f"{attack.name}: {name} has NaN or infinity")
    if attack.game.form is AnswerForm.SYMBOL and (
        (got.guess < -1).any() or (got.guess >= one.alphabet).any()
    ):
        raise RunError(f"{attack.name}: a symbol outside −1…{one.alphabet - 1}")
    if attack.game.form is AnswerForm.RANK and (
        (got.guess < 1).any() or (got.guess > one.alphabet).any()
    ):
        raise RunError(f"{attack.name}: a rank outside 1…{one.alphabet}")


def _bounds(scene: Scene, attack: Attack, table: Deal) -> tuple[Bound, ...]:
    """What is proved of the secrets that were dealt: by the scene of the game, or by the deal."""
    # A scene's bounds speak of the game's own unit, not of a group that shares a coin.
    own = () if table.unit else scene.bounds
    if not table.planted:
        # Privacy is proved against one record more or less, by coin. Who split the records himself
        # swaps them at the least, or drew no coin at all: nothing is proved of that.
        own = tuple(b for b in own if b.kind not in PRIVATE)
    both = (*own, *table.bounds)
    return tuple(b for b in both if not b.games or attack.game.name in b.games)


def _loot_is_due(attack: Attack, outcomes: Sequence[Outcome]) -> None:
    kinds: dict[str, type[Any]] = {"data": Data}
    for outcome in outcomes:
        if outcome.asset is None:
            raise RunError(f"{attack.name} returned no loot; {attack.game.name} is due one asset")
        due = kinds.get(attack.game.loot)
        if due is not None and not isinstance(outcome.asset, due):
            raise RunError(f"{attack.name}: the loot of {attack.game.name} is {attack.game.loot}")
        if attack.game.loot == "model" and isinstance(outcome.asset, Data):
            raise RunError(f"{attack.name}: the loot of {attack.game.name} is a model, not data")


def _describe(asset: Asset | None) -> str:
    if asset is None:
        return ""
    if isinstance(asset, Data):
        return f"data {asset.name!r}: {len(asset)} × {asset.role}"
    return f"model {asset.name!r} ({', '.join((asset.offers & ~Access.NOTHING).words)})"


def _joined(columns: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    present = [c for c in columns if c is not None]
    return np.concatenate(present) if len(present) == len(columns) and present else None


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean(values)) for name, values in _each(rows).items()}


def _each(rows: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, ...]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: tuple(float(row[name]) for row in rows if name in row) for name in names}
