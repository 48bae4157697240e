"""Play one attack on one scene: deal → act → pair. Truth joins here, never in the attack."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley import catalog
from hartley.core import (
    Access,
    AnswerForm,
    Asset,
    Attack,
    Bound,
    ChannelSpec,
    Data,
    Deal,
    Game,
    Knowledge,
    Outcome,
    PriorLoot,
    Received,
    Round,
    Scene,
    Trials,
    View,
    commitment,
    spawn,
)
from hartley.core.costs import billed
from hartley.core.errors import RunError, UsageError, WroteIntoView, did_you_mean
from hartley.core.parameters import from_environment
from hartley.engine import build_scene
from hartley.engine.defend import as_static
from hartley.engine.plan.applicability import unplayable
from hartley.engine.plan.parameters import checked, defaults, ruled
from hartley.engine.run.attack_process import Isolation, isolation
from hartley.engine.run.meter import Meter, by_column, by_judge, by_unit, with_shared
from hartley.engine.run.private_copies import Copies
from hartley.engine.run.rounds import acted
from hartley.engine.run.trial_columns import complete
from hartley.kit.shared_work import SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray


def deal(
    attack: Attack, scene: Scene, *, seed: int, params: Mapping[str, Any] | None = None
) -> Deal:
    """Deal the attack's game on a scene; the same seed deals the same secret to every attack.

    Raises:
        UsageError: a scene or parameters that the attack cannot be played with.
        RunError: the game did not return a deal of rounds.
    """
    needed = dict.fromkeys((*attack.game.requires, *attack.requires))
    if lacking := scene.lacking(needed):
        raise UsageError(f"{attack.name}: the scene {scene.name} has no {', '.join(lacking)}")
    rng = np.random.default_rng(spawn(seed, "deal", attack.game.cls, scene.name))
    rules = ruled(attack.name, attack.game_params.items(), params or {})
    dealt = attack.game(scene, rng, **rules)
    _check_deal(attack.game, dealt)
    for round_ in dealt.rounds:
        check_brief(attack.game, round_.view)
    return dealt


def _check_deal(game: Game, dealt: Any) -> None:
    """Check that a game returned a deal of rounds, each with a truth for every question.

    Raises:
        RunError: it returned something else; the message says what is expected.
    """
    if not isinstance(dealt, Deal):
        raise RunError(f"the game {game.name} must return a Deal, got {_kind(dealt)}")
    if not isinstance(dealt.rounds, Sequence) or not dealt.rounds:
        raise RunError(
            f"the game {game.name}: rounds of its Deal must be a tuple of at least one Round, "
            f"got {_kind(dealt.rounds)}"
        )
    for round_ in dealt.rounds:
        if not isinstance(round_, Round):
            raise RunError(
                f"the game {game.name}: rounds of its Deal must be Rounds, got {_kind(round_)}"
            )
        if np.ndim(round_.truth) != 1:
            raise RunError(
                f"the game {game.name}: truth of a Round must have shape (m,), one integer a "
                f"question, got shape {np.shape(round_.truth)}"
            )
        truth = np.asarray(round_.truth)
        most = round_.alphabet - 1
        if game.form is not AnswerForm.RANK and ((truth < 0) | (truth > most)).any():
            odd = truth[(truth < 0) | (truth > most)][0]
            cure = f"; for more symbols give their number: Round(…, alphabet={odd + 1} or more)"
            raise RunError(
                f"the game {game.name}: truth of a Round must be from 0 to {most}, its alphabet of "
                f"{most + 1} symbols, got {odd}{cure if odd > most else ''}"
            )


def _kind(value: Any) -> str:
    empty = isinstance(value, Sequence) and not value
    return f"an empty {type(value).__name__}" if empty else type(value).__name__


def check_brief(game: Game, view: View[Any]) -> None:
    """Check that a view carries what its game declares.

    Raises:
        RunError: its brief is of another type.
    """
    if not isinstance(view.brief, game.brief):
        kind = type(view.brief).__name__
        raise RunError(f"{game.name}: the brief must be a {game.brief.__name__}, got {kind}")


def play(
    attack: Attack | str,
    scene: Scene | str,
    *,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    game_params: Mapping[str, Any] | None = None,
    budget: int | None = None,
    alpha: float = 0.05,
    knowledge: Knowledge | str | None = None,
    undefended: Scene | None = None,
    dealt: Deal | None = None,
    isolate: bool | None = None,
    **settings: Any,
) -> Trials:
    """Play an attack on a scene: ``hartley.play("lira", scene, references=16)``.

    The command line and plans use the same function, with the same checks.

    Args:
        attack: an attack or its name.
        scene: what it attacks, with its defenses in it; or the name of a scene.
        seed: the run's seed.
        params: the attack's own parameters, where a name is taken by an argument of this function.
        game_params: the game's parameters.
        budget: queries allowed over all rounds, or None.
        alpha: error level of the bounds that will be measured.
        knowledge: ``none``, ``static`` or ``adaptive``; by default adaptive where the scene holds
            defenses, and static where ``undefended`` is given.
        undefended: the scene before its defenses, for a static attacker, who trains there.
        dealt: a deal already made from ``deal`` on the same scene with the same seed, shared by
            several attacks and by both kinds of attackers.
        isolate: whether the attack plays in a process of its own, which never holds the truth. By
            default a plugin's attack does if it is given by its name; one that is given as an
            object is the caller's own code.
        settings: the attack's own parameters.

    Returns:
        The trials, for ``hartley.measure``.

    Raises:
        UnknownName: there is no attack or scene of that name.
        UsageError: a parameter that the attack or its game does not take, a scene that cannot
            carry the attack, or a static attacker without the undefended scene.
        RuleError: the attack broke the rules.
        RunError: the attack returned a wrong shape, NaN, or no asset.
    """
    checked_parts = checked_play(attack, scene, {**(params or {}), **settings}, game_params or {})
    if isolate is None and not isinstance(attack, str):
        isolate = False
    with isolation(isolate) as isolated:
        return play_rounds(
            *checked_parts,
            seed=seed,
            budget=budget,
            alpha=alpha,
            knowledge=knowledge,
            undefended=undefended,
            dealt=dealt,
            isolated=isolated,
        ).trials


def checked_play(
    attack: Attack | str,
    scene: Scene | str,
    params: Mapping[str, Any],
    game_params: Mapping[str, Any],
) -> tuple[Attack, Scene, dict[str, Any], dict[str, Any]]:
    """Return the parts by name, and their parameters in the declared types.

    Raises:
        UsageError: an unknown name, a parameter that is not taken, or an unplayable scene.
    """
    part = catalog.load("attack", attack) if isinstance(attack, str) else attack
    built_scene = build_scene.build(scene) if isinstance(scene, str) else scene
    for value, kind, name in ((part, Attack, "attack"), (built_scene, Scene, "scene")):
        if not isinstance(value, kind):
            raise UsageError(
                f"{name} must be a {kind.__name__} or its name, got {type(value).__name__}"
            )
    values = checked(part, params)
    rules = checked(part.game, game_params)
    if obstacle := unplayable(part, built_scene):
        raise UsageError(f"{part.name} cannot be played: {obstacle.reason}")
    return part, built_scene, values, rules


@dataclass(frozen=True, slots=True)
class Played:
    """What one attack brought: trials, and one asset a round."""

    trials: Trials
    loot: tuple[Asset, ...]


def play_rounds(
    attack: Attack,
    scene: Scene,
    params: Mapping[str, Any],
    game_params: Mapping[str, Any],
    *,
    seed: int,
    budget: int | None = None,
    alpha: float = 0.05,
    knowledge: Knowledge | str | None = None,
    undefended: Scene | None = None,
    dealt: Deal | None = None,
    isolated: Isolation | None = None,
) -> Played:
    """Play every round of a deal and pair what was sent with what was received.

    Its arguments are those of ``play``, checked already; ``isolated`` holds the processes of
    attacks that do not play in this one.

    Raises:
        RuleError: the attack broke the rules.
        RunError: the attack returned a wrong shape, NaN, or no asset.
    """
    attacker = _knowledge(knowledge, scene, undefended)
    if (attacker is Knowledge.STATIC) != (undefended is not None):
        raise UsageError(
            "undefended must be the scene before its defenses for a static attacker, and for no "
            f"other, got {type(undefended).__name__} where knowledge is {attacker}"
        )
    table = dealt or deal(attack, scene, seed=seed, params=game_params)
    if undefended is not None:
        table = as_static(table, undefended)
    secrets = from_environment(attack.parameters)
    meter = Meter(budget)
    process = None if isolated is None else isolated.of(attack)
    if process is not None:
        process.begin(attack)
    truths = [np.array(dealt.truth) for dealt in table.rounds]
    try:
        outcomes, spent = acted(
            attack, table, {**params, **secrets}, seed=seed, meter=meter, process=process
        )
    finally:
        check_untouched(attack, table, truths, meter.copies)
    spent = with_shared(spent, meter.ledger)
    _check_real(attack, outcomes)
    _check_loot(attack, outcomes)
    with billed() as judging:
        received = _judge(attack, table, outcomes)
    spent = [
        replace(s, seconds=s.seconds + r.seconds) for s, r in zip(spent, received, strict=True)
    ]
    truth = np.concatenate([dealt.truth for dealt in table.rounds])
    sizes = [len(dealt.truth) for dealt in table.rounds]
    groups = table.groups or range(len(sizes))
    alphabet = table.rounds[0].alphabet
    # A default that a plan spells out is the same setting as one that a caller leaves out.
    given = defaults(attack.parameters) | dict(params)
    rules = {**defaults(attack.game.parameters), **attack.game_params, **game_params}
    trials = Trials(
        spec=ChannelSpec(
            role=attack.game.role,
            form=attack.game.form,
            alphabet=alphabet,
            unit=table.unit or attack.game.unit,
            planted=table.planted,
            clustered=table.cluster or any(r.dependent for r in received),
            alpha=alpha,
            bounds=_bounds(scene, attack, table, meter.queries),
            judge=table.judge_rates,
            seconds=sum(cost.seconds for cost in spent),
            uses=meter.queries,
            budget=budget,
            commit=commitment(seed),
        ),
        truth=truth,
        guess=np.concatenate([r.guess for r in received]),
        reference=_joined([r.reference for r in received]),
        cluster=np.repeat(np.array(groups), sizes),
        attack=attack.name,
        game=attack.game.name,
        cls=attack.game.cls,
        scene=scene.name,
        params=dict(params),
        seed=seed,
        queried=meter.queries > 0,
        shared_seconds={name: shared[SECONDS] for name, shared in meter.ledger.shared().items()},
        metrics={**_mean([r.metrics for r in received]), **table.metrics},
        metrics_by_round=_grouped([r.metrics for r in received], groups),
        cost={
            **_mean([r.cost for r in received]),
            **_mean(by_unit(spent)),
            **by_judge(judging, len(table.rounds)),
        },
        defenses=scene.defenses,
        knowledge=str(attacker),
        loot=_describe(outcomes[-1].asset),
        sources=table.sources,
        pictures=next((r.pictures for r in received if r.pictures), ()),
        outbreaks=tuple(r.outbreak for r in received if r.outbreak is not None),
        run_id=_identity(attack, scene, seed, given, rules, budget, str(attacker)),
        **complete(attack, table.rounds, received, by_column(spent)),
    )
    return Played(trials, tuple(out.asset for out in outcomes if out.asset is not None))


def check_untouched(
    attack: Attack, table: Deal, truths: Sequence[NDArray[Any]], copies: Copies
) -> None:
    """Check that an attack changed neither its copies nor what they were made from.

    Args:
        attack: that was played.
        table: what was dealt.
        truths: its truths, one array a round, as they were before.
        copies: what the attack was handed.

    Raises:
        WroteIntoView: it did; the message names what.
    """
    written = copies.written()
    written += [
        f"the truth of round {index}"
        for index, (round_, truth) in enumerate(zip(table.rounds, truths, strict=True))
        if not np.array_equal(round_.truth, truth)
    ]
    if written:
        more = f" and {len(written) - 1} more" if len(written) > 1 else ""
        raise WroteIntoView(
            f"{attack.name} must not change what it is handed, and wrote into {written[0]}{more}"
        )


def _knowledge(given: Knowledge | str | None, scene: Scene, undefended: Scene | None) -> Knowledge:
    """Return the attacker's knowledge of the defenses: the caller's, else the scene's default."""
    if given:
        if given not in {*Knowledge}:
            names = [*map(str, Knowledge)]
            raise UsageError(
                f"knowledge must be {', '.join(names[:-1])} or {names[-1]}, got {given!r}"
                f"{did_you_mean(str(given), names)}"
            )
        return Knowledge(given)
    if undefended is not None:
        return Knowledge.STATIC
    return Knowledge.ADAPTIVE if scene.defenses else Knowledge.NONE


def _identity(attack: Attack, scene: Scene, seed: int, *rest: Any) -> str:
    """Return a digest of what was played; ``rest`` are parameters, budget and knowledge."""
    defenses = [[applied.name, dict(applied.params)] for applied in scene.defenses]
    identity = [scene.name, scene.digest, attack.game.name, attack.name, seed, defenses, *rest]
    text = json.dumps(identity, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _judge(attack: Attack, table: Deal, outcomes: Sequence[Outcome]) -> Sequence[Received]:
    if table.judge is not None:
        received = table.judge(table.rounds, outcomes)
    else:
        received = [_answer(attack, out) for out in outcomes]
    for round_, outcome in zip(table.rounds, received, strict=True):
        _fits(attack, round_, outcome)
    return received


def _answer(attack: Attack, outcome: Outcome) -> Received:
    if outcome.guess is None:
        raise RunError(
            f"{attack.name} must return a guess for each question of the game {attack.game.name}"
        )
    return Received.of(outcome, np.asarray(outcome.guess))


def _fits(attack: Attack, one: Round, got: Received) -> None:
    m = len(one.truth)
    for name, column in (("guess", got.guess), ("reference", got.reference)):
        if column is None:
            continue
        if column.shape != (m,):
            raise RunError(f"{attack.name}: {name} must have shape {(m,)}, got {column.shape}")
        if column.dtype.kind not in "biuf":
            raise RunError(f"{attack.name}: {name} must be real numbers, got type {column.dtype}")
        if not np.isfinite(column.astype(np.float64)).all():
            cure = "; only the order of scores counts: answer a finite number beyond all others"
            raise RunError(
                f"{attack.name}: {name} must be finite, got NaN or infinity"
                + (cure if attack.game.form is AnswerForm.SCORE else "")
            )
    if attack.game.form is AnswerForm.SCORE:
        return
    ranks = attack.game.form is AnswerForm.RANK
    least, most = (1, one.alphabet) if ranks else (-1, one.alphabet - 1)
    odd = got.guess[(got.guess < least) | (got.guess > most)]
    if len(odd):
        kind = "ranks" if ranks else "symbols"
        raise RunError(f"{attack.name}: {kind} must be from {least} to {most}, got {odd[0]}")


def _bounds(scene: Scene, attack: Attack, table: Deal, queries: int) -> tuple[Bound, ...]:
    """Return the bounds on the secrets that were dealt: those of the scene and of the deal.

    Args:
        scene: with what was proved of it.
        attack: the last one.
        table: what was dealt.
        queries: of this attack.
    """
    # The bounds of a scene are per unit of the game, not per group of units with one secret.
    of_scene = () if table.unit else scene.bounds
    if not table.planted:
        # Privacy is proved for one record more or less, drawn at random. An owner who split the
        # records swaps them at least, or drew nothing at random: the proof does not apply.
        of_scene = tuple(b for b in of_scene if not b.private)
    bounds = (*of_scene, *table.bounds)
    bounds = tuple(b for b in bounds if not b.games or attack.game.name in b.games)
    if table.prior is None:
        return bounds
    return tuple(b for bound in bounds for b in _beside(bound, table.prior, queries))


def _beside(bound: Bound, prior: PriorLoot, queries: int) -> tuple[Bound, ...]:
    """Return a bound on what is read where the attacker holds something of the victims before.

    Privacy that is proved of the training is of all that is made of the model. A bound by the
    number of answers counts those that the attacks before were given as well, and none of a copy;
    no bound is left where they were given more than answers.
    """
    if bound.private and "membership" in bound.games:
        return (bound,)
    if bound.games and not set(prior.games) <= set(bound.games):
        return ()
    if bound.kind != "alphabet":
        return (bound,)
    total = prior.queries + (0 if prior.copies else queries)
    return (replace(bound, params={**bound.params, "queries": float(total)}),)


def _check_real(attack: Attack, outcomes: Sequence[Outcome]) -> None:
    """Refuse complex numbers before a judge takes the real part of them."""
    for outcome in outcomes:
        for name in ("guess", "posterior"):
            kind = getattr(getattr(outcome, name), "dtype", None)
            if kind is not None and getattr(kind, "kind", "") == "c":
                raise RunError(f"{attack.name}: {name} must be real numbers, got type {kind}")


def _check_loot(attack: Attack, outcomes: Sequence[Outcome]) -> None:
    kinds: dict[str, type[Any]] = {"data": Data}
    for outcome in outcomes:
        if outcome.asset is None:
            raise RunError(
                f"{attack.name} must return an asset (Outcome.asset) in the game {attack.game.name}"
            )
        kind = kinds.get(attack.game.loot)
        if kind is not None and not isinstance(outcome.asset, kind):
            raise RunError(
                f"{attack.name}: the asset must be {attack.game.loot} in the game "
                f"{attack.game.name}, got {type(outcome.asset).__name__}"
            )
        if attack.game.loot == "model" and isinstance(outcome.asset, Data):
            raise RunError(
                f"{attack.name}: the asset must be a model in the game {attack.game.name}, got Data"
            )


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


def _grouped(
    rows: Sequence[Mapping[str, float]], groups: Sequence[int]
) -> dict[str, tuple[float, ...]]:
    """Return the means over each cluster of rounds, which are the independent ones."""
    clusters: dict[int, list[Mapping[str, float]]] = {}
    for row, group in zip(rows, groups, strict=True):
        clusters.setdefault(group, []).append(row)
    return _each([_mean(some) for some in clusters.values()])


def _each(rows: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, ...]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: tuple(float(row[name]) for row in rows if name in row) for name in names}
