"""Chains: the loot of one attack enters the scene of the next.

Loot enters by a *slot*. Poison enters the training records of every model that the scene trains; a
stolen model takes the place of the victim that it was stolen from. The first attack is aimed at
what the next game asks about (``Game.aim``, ``Game.targets``), so that both are about the same
records and victims. Which attack can follow which is checked before anything is played.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley import catalog
from hartley.channel.bounds.degenerate_intervals import mean_limits
from hartley.channel.compare import same_questions
from hartley.channel.log_gain import log_gain
from hartley.channel.measure import measure, point_of
from hartley.channel.trials.validate import measured_rows
from hartley.core import (
    AnswerForm,
    Asset,
    Attack,
    Data,
    Deal,
    Ensemble,
    Fit,
    Game,
    Loot,
    Model,
    Scene,
    Slot,
    Stage,
    Trials,
    spawn,
)
from hartley.core.code_digest import code_digest
from hartley.core.errors import RunError, UsageError, WroteIntoView
from hartley.engine.plan.parameters import checked, defaults, ruled
from hartley.engine.run.attack_process import Isolation
from hartley.engine.run.meter import Meter, seal
from hartley.engine.run.play import check_brief
from hartley.kit.cache import digest
from hartley.store.artifacts import Artifacts

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAKES: Mapping[Slot, Loot] = {
    Slot.TRAIN: Loot.POISON,
    Slot.PUBLIC: Loot.RECORDS,
    Slot.SOURCE: Loot.MODEL,
    Slot.PROMPT: Loot.TEXTS,
    Slot.MEMORY: Loot.TEXTS,
}
"""The kind of loot that each slot takes."""

TARGETS = 32
"""Records that a chain is aimed at, unless the plan gives their number."""


def stages_of(
    names: Sequence[str],
    slots: Sequence[str] = (),
    *,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    game_params: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Stage, ...]:
    """Return the stages of a chain, with every parameter and every link checked.

    Args:
        names: of the attacks, in order.
        slots: where each loot enters, one fewer than attacks; left out, the one slot that fits.
        params: parameters of the attacks, by name.
        game_params: parameters of their games, by name.

    Raises:
        UsageError: an unknown name or parameter, or an attack whose loot the next game cannot take.
    """
    if len(names) < 2:
        raise UsageError(f"a chain must have at least 2 attacks, got {len(names)}")
    if slots and len(slots) != len(names) - 1:
        raise UsageError(f"slots must be {len(names) - 1} names, got {len(slots)}")
    attacks: list[Attack] = [catalog.load("attack", name) for name in names]
    stages = []
    for k, attack in enumerate(attacks):
        values = (params or {}).get(attack.name, {})
        rules = ruled(
            attack.name, attack.game_params.items(), (game_params or {}).get(attack.game.name, {})
        )
        slot = None
        if k + 1 < len(attacks):
            slot = _slot(attack, attacks[k + 1], slots[k] if slots else "")
        stages.append(
            Stage(
                attack=attack.name,
                params=defaults(attack.parameters) | checked(attack, values),
                game=attack.game.name,
                game_params=defaults(attack.game.parameters) | checked(attack.game, rules),
                slot=slot,
            )
        )
    return tuple(stages)


def _slot(attack: Attack, after: Attack, name: str) -> Slot:
    """The slot by which the loot of one attack enters the game of the next."""
    link = f"{after.name} cannot follow {attack.name}"
    accepts = after.game.accepts
    open_ = [slot for slot in accepts if TAKES[slot] is attack.loot]
    if attack.game.aim is None:
        raise UsageError(
            f"{link}: the game {attack.game.name} cannot be aimed at the targets of another game"
        )
    if name and name not in set(Slot):
        raise UsageError(f"slot must be one of {', '.join(Slot)}, got {name!r}")
    if (name and Slot(name) not in open_) or not open_:
        listed = ", ".join(f"{slot} ({TAKES[slot]})" for slot in accepts) or "nothing"
        raise UsageError(
            f"{link}: its loot is {attack.loot}; the game {after.game.name} accepts {listed}"
        )
    return Slot(name) if name else open_[0]


def enter(scene: Scene, asset: Asset, slot: Slot) -> Scene:
    """Return the scene with an asset in one of its slots.

    Args:
        scene: of the next attack.
        asset: what the last attack brought home.
        slot: ``train`` adds labelled records to all training in the scene, the owner's and the
            attacker's; ``public`` adds records to those that the attacker owns; ``source`` puts a
            model in the place of the deployed one.

    Raises:
        UsageError: the asset is of another kind than the slot takes, or of another shape.
    """
    if slot is Slot.SOURCE:
        if not isinstance(asset, Model):
            raise UsageError(f"source must be a model, got {asset.name!r}")
        return _lineage(replace(scene, model=asset), asset)
    if not isinstance(asset, Data):
        raise UsageError(f"{slot} must be records, got the model {asset.name!r}")
    if slot is Slot.PUBLIC:
        owned = scene.extra.get("public")
        public = asset if owned is None else _together(owned, asset)
        return _lineage(replace(scene, extra={**scene.extra, "public": public}), asset)
    if slot is Slot.TRAIN:
        return _lineage(_poisoned(scene, asset), asset)
    raise UsageError(f"nothing can enter the slot {slot} of {scene.name} yet")


def _poisoned(scene: Scene, poison: Data) -> Scene:
    if scene.fit is None or poison.y is None:
        lack = "labels" if scene.fit is not None else "a pipeline to train"
        raise UsageError(f"poison needs {lack}; the scene is {scene.name}")

    def around(fit: Fit) -> Fit:
        def poisoned(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            everyone = np.ones((len(include), len(poison)), dtype=bool)
            return fit(_together(data, poison), np.concatenate([include, everyone], 1), seed)

        return poisoned

    fit = around(scene.fit)
    model = scene.model
    if model is not None:
        model = model.with_(fit=None if model.fit is None else around(model.fit))
        if scene.train is not None and scene.train.y is not None:
            everyone = np.ones((1, len(scene.train)), dtype=bool)
            victim = fit(scene.train, everyone, spawn(0, "poisoned", scene.name) & 0x7FFFFFFF)
            model = victim.member(0).with_(fit=model.fit, offers=model.offers)
    return replace(scene, fit=fit, model=model)


def _lineage(scene: Scene, asset: Asset) -> Scene:
    """The scene under a digest of its own, made from its old one and what entered it."""
    if isinstance(asset, Data):
        content: Any = [asset.x, asset.y]
    else:
        content = dict(asset.weights()) if asset.weights is not None else asset.name
    key = digest([scene.digest, list(asset.lineage), content])
    model = scene.model
    if model is not None:
        model = replace(model, lineage=(*model.lineage, *asset.lineage))
    return replace(scene, digest=key, model=model)


def _together(data: Data, more: Data) -> Data:
    if np.asarray(more.x).shape[1:] != np.asarray(data.x).shape[1:]:
        raise UsageError(
            f"records must have the shape {np.asarray(data.x).shape[1:]} of {data.name!r}, got "
            f"{np.asarray(more.x).shape[1:]}"
        )
    y = None if data.y is None or more.y is None else np.concatenate([data.y, more.y])
    x = np.concatenate([data.x, np.asarray(more.x, dtype=np.asarray(data.x).dtype)])
    return replace(data, x=x, y=y, lineage=(*data.lineage, *more.lineage))


def loot_of(
    stages: Sequence[Stage],
    scene: Scene,
    target: Asset,
    *,
    seed: int,
    budget: int | None = None,
    aimed_at: Any = (),
    artifacts: Artifacts | None = None,
    isolated: Isolation | None = None,
) -> tuple[Asset, int]:
    """Aim the attacks of a chain at one target, in order, and return the loot of the last.

    Args:
        stages: the attacks whose loot is wanted.
        scene: what they attack.
        target: records that the next game asks about, or a victim that it dealt.
        seed: of the chain.
        budget: queries that each attack may ask, or None.
        aimed_at: plain values that identify this target in the scene: the next game, its
            parameters, and the number of the victim.
        artifacts: where loot is kept; loot that is already there is not made again.
        isolated: the processes of attacks that do not play in this one.

    Returns:
        The asset, with the names of the attacks as its lineage, and what the last attack asked.

    Raises:
        RunError: an attack returned no asset.
    """
    key = _key(stages, scene, target, [seed, budget, aimed_at]) if artifacts else ""
    if artifacts and key and (stored := artifacts.get(key)) is not None:
        return stored, int(stored.facts.get("queries", 0))
    *before, stage = stages
    lineage: tuple[str, ...] = ()
    if before:
        asset, _ = loot_of(
            before,
            scene,
            target,
            seed=seed,
            budget=budget,
            aimed_at=aimed_at,
            artifacts=artifacts,
            isolated=isolated,
        )
        lineage = asset.lineage
        slot = before[-1].slot
        if slot is Slot.SOURCE:
            target = asset
        elif slot is not None:
            scene = enter(scene, asset, slot)
    attack: Attack = catalog.load("attack", stage.attack)
    game: Game = attack.game
    assert game.aim is not None  # checked when the chain was made
    rng = np.random.default_rng(spawn(seed, "chain", stage.attack, digest([aimed_at])))
    view = game.aim(scene, target, rng, **stage.game_params)
    check_brief(game, view)
    meter = Meter(budget)
    sealed = seal(view, attack.access, meter)
    process = None if isolated is None else isolated.of(attack)
    if process is None:
        outcome = attack(sealed, rng, **stage.params)
    else:
        process.begin(attack)
        outcome = process.play(sealed, rng, stage.params)
    asset_found = outcome.asset
    if written := meter.copies.written():
        raise WroteIntoView(
            f"{attack.name} must not change what it is handed, and wrote into {written[0]}"
        )
    if asset_found is None:
        raise RunError(f"{attack.name} must return an asset (Outcome.asset) in a chain")
    facts = {**asset_found.facts, "queries": meter.queries}
    names = (*lineage, *asset_found.lineage, attack.name)
    loot = replace(asset_found, lineage=names, facts=facts)
    if artifacts and key:
        artifacts.put(key, loot)
    return loot, meter.queries


def _key(stages: Sequence[Stage], scene: Scene, target: Asset, rest: Any) -> str:
    """The name of a loot among the artifacts; empty where the scene has no digest."""
    if not scene.digest:
        return ""
    aim: Any = [target.x, target.y] if isinstance(target, Data) else list(target.lineage)
    modules = [catalog.find("attack", stage.attack).module for stage in stages]
    plain = [[s.attack, dict(s.params), s.game, dict(s.game_params), str(s.slot)] for s in stages]
    code = code_digest("hartley.engine.chain", *modules)
    key = digest([plain, scene.digest, aim, rest, code])[:16]
    return "-".join([*(stage.attack for stage in stages), key])


def entered(
    stages: Sequence[Stage],
    scene: Scene,
    *,
    seed: int,
    budget: int | None = None,
    artifacts: Artifacts | None = None,
    isolated: Isolation | None = None,
) -> Scene:
    """Return the scene of a chain's last stage, with what the stages before it brought home.

    A stolen model enters later, once the victims are dealt (``held_instead``).
    """
    *before, last = stages
    if not before or before[-1].slot is Slot.SOURCE:
        return scene
    slot = before[-1].slot
    assert slot is not None
    game: Game = catalog.load("attack", last.attack).game
    if game.targets is None:
        raise UsageError(f"the game {game.name} names no targets that a chain can be aimed at")
    count = int(last.game_params.get("targets", 0)) or TARGETS
    asset, _ = loot_of(
        before,
        scene,
        game.targets(scene, count),
        seed=seed,
        budget=budget,
        artifacts=artifacts,
        isolated=isolated,
    )
    return enter(scene, asset, slot)


def held_instead(
    stages: Sequence[Stage],
    scene: Scene,
    deal: Deal,
    *,
    seed: int,
    budget: int | None = None,
    artifacts: Artifacts | None = None,
    isolated: Isolation | None = None,
) -> Deal:
    """Return a deal in which the attacker holds what was stolen from each victim, not the victim.

    The copy is a white box. Each victim was asked by the attack that copied it; in this deal it
    answers nobody.
    """
    *before, last = stages
    if not before or before[-1].slot is not Slot.SOURCE:
        return deal
    rounds, queries_sent = [], 0
    for index, round_ in enumerate(deal.rounds):
        victim = round_.view.source
        if not isinstance(victim, Model):
            raise UsageError("the slot source needs victims that are models, got data")
        stolen, queries = loot_of(
            before,
            scene,
            victim,
            seed=seed,
            budget=budget,
            aimed_at=[last.game, dict(last.game_params), index],
            artifacts=artifacts,
            isolated=isolated,
        )
        if not isinstance(stolen, Model):
            raise RunError(f"{before[-1].attack} must bring home a model, got {stolen.name!r}")
        queries_sent += queries
        rounds.append(replace(round_, view=replace(round_.view, source=stolen)))
    metrics = {**deal.metrics, "queries_to_copy": queries_sent / len(rounds)}
    return replace(deal, rounds=tuple(rounds), metrics=metrics)


RESAMPLES = 400
"""Bootstrap samples of the victims behind the interval of a ratio."""

FEWEST_VICTIMS = 8
"""Victims in each arm from which a gain has an interval."""


def gain(before: Trials, after: Trials, *, alpha: float = 0.05) -> dict[str, Any]:
    """Compare an attack at the end of a chain with the same attack alone, victim by victim.

    Both arms were dealt from one seed: the same secrets, and victims trained from the same first
    weights. Intervals resample whole victims, the same ones in both arms.

    Args:
        before: trials of the last attack alone.
        after: trials of the chain.
        alpha: error level of the intervals.

    Returns:
        ``bits``: difference of the bits per use, and ``ratio``: their quotient, each
        {value, low, high, n}, n the number of victims; ``auc``: mean difference of the victims'
        AUC with its t interval, for scores; ``log``: the gain as a logarithm, or as a difference
        where nothing is certified of the attack alone, with its p-values. A quotient is absent
        where the attack alone reads nothing, and intervals are where there are fewer than 8
        victims.
    """
    clean, chained = (measured_rows(trials) for trials in (before, after))
    read = [measure(trials).bits for trials in (clean, chained)]
    point = [bits.value for bits in read]
    victims = np.unique(clean.cluster if clean.cluster is not None else np.arange(len(clean)))
    gains: dict[str, Any] = {
        "bits": _interval(point[1] - point[0], alpha, len(victims)),
        "ratio": None,
        "auc": None,
        "log": _logarithm(
            clean,
            chained,
            (point[0], point[1]),
            read[0].lower,
            alpha=alpha,
            victims=len(victims),
        ),
    }
    if point[0] > 0:
        gains["ratio"] = _interval(point[1] / point[0], alpha, len(victims))
    if (
        clean.cluster is None
        or chained.cluster is None
        or not np.array_equal(clean.cluster, chained.cluster)
    ):
        return gains
    if len(victims) >= FEWEST_VICTIMS:
        rng = np.random.default_rng(spawn(before.seed, "gain", before.attack, before.scene))
        pairs = []
        for _ in range(RESAMPLES):
            sample = rng.choice(victims, len(victims))
            pairs.append([_point(trials, sample) for trials in (clean, chained)])
        reached = np.array(pairs)
        gains["bits"] |= _ends(reached[:, 1] - reached[:, 0], alpha)
        if gains["ratio"] is not None and (reached[:, 0] > 0).all():
            gains["ratio"] |= _ends(reached[:, 1] / reached[:, 0], alpha)
    if clean.spec.form is AnswerForm.SCORE and len(victims) > 1:
        gaps = np.array([_auc(chained, v) - _auc(clean, v) for v in victims])
        low, high = mean_limits(gaps, None, alpha, least=-1.0, most=1.0)
        gains["auc"] = {"value": float(gaps.mean()), "low": low, "high": high, "n": len(victims)}
    return gains


def _logarithm(
    clean: Trials,
    chained: Trials,
    point: tuple[float, float],
    certified: float | None,
    *,
    alpha: float,
    victims: int,
) -> dict[str, Any]:
    """The gain on a logarithmic scale where there is a quotient, with its p-values."""
    quotient = log_gain(
        clean,
        chained,
        point,
        certified=certified,
        paired=same_questions(clean, chained),
        alpha=alpha,
    )
    return {
        **{name: getattr(quotient, name) for name in ("scale", "value", "low", "high", "why")},
        "p_above": quotient.p_above,
        "p_below": quotient.p_below,
        "n": victims,
        "alpha": alpha,
    }


def _rows(trials: Trials, rows: NDArray[Any], cluster: NDArray[Any] | None = None) -> Trials:
    n = len(trials)
    columns = {
        f.name: np.asarray(value)[rows]
        for f in fields(trials)
        if (value := getattr(trials, f.name)) is not None
        and isinstance(value, np.ndarray)
        and len(value) == n
    }
    costs = {name: np.asarray(value)[rows] for name, value in trials.costs.items()}
    selected = replace(trials, **columns, costs=costs)
    return selected if cluster is None else replace(selected, cluster=cluster, trial=None)


def _point(trials: Trials, drawn: NDArray[Any]) -> float:
    """Bits of a resample of victims, by the measurement's own point."""
    assert trials.cluster is not None
    victim_rows = [np.flatnonzero(trials.cluster == victim) for victim in drawn]
    cluster = np.repeat(np.arange(len(victim_rows)), [len(rows) for rows in victim_rows])
    return point_of(_rows(trials, np.concatenate(victim_rows), cluster))


def _auc(trials: Trials, victim: int) -> float:
    rows = np.flatnonzero(trials.cluster == victim)
    truth, score = trials.truth[rows], trials.guess[rows]
    high, low = score[truth == 1], np.sort(score[truth == 0])
    if not len(high) or not len(low):
        return 0.5
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.mean() / (2 * len(low)))


def _interval(value: float, alpha: float, n: int) -> dict[str, Any]:
    return {"value": float(value), "low": None, "high": None, "n": n, "alpha": alpha}


def _ends(values: NDArray[Any], alpha: float) -> dict[str, float]:
    low, high = np.quantile(values, [alpha / 2, 1 - alpha / 2])
    return {"low": float(low), "high": float(high)}
