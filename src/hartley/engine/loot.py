"""Play the attacks before the last one of a chain, and hand its attacker what they brought home.

An attack is aimed (``Game.aim``) at the records that the last game asks about (``Game.targets``),
once for the scene; or at a model: each victim that the last game dealt, or the deployed model where
that game deals none, or where an attack behind it is aimed at records. What is aimed once enters
the scene before victims are dealt, so that poison is in the training of those that are copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley import catalog
from hartley.core import (
    Access,
    Asset,
    Attack,
    Data,
    Deal,
    Game,
    Model,
    Outcome,
    PriorLoot,
    Received,
    Round,
    Scene,
    Slot,
    Stage,
    View,
    spawn,
)
from hartley.core.code_digest import code_digest
from hartley.core.errors import RunError, UsageError, WroteIntoView
from hartley.engine.chain import parted, per_victim
from hartley.engine.entering import enter, into_part, together
from hartley.engine.run.attack_process import Isolation
from hartley.engine.run.meter import Meter, seal
from hartley.engine.run.play import check_brief
from hartley.kit.cache import digest
from hartley.store.artifacts import Artifacts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.scene import Judge

TARGETS = 32
"""Records that a chain is aimed at, unless the plan gives their number."""


@dataclass(frozen=True, slots=True)
class Means:
    """What all attacks of a chain are played with.

    Attributes:
        seed: of the chain.
        budget: queries that each attack may ask, or None.
        artifacts: where loot is kept; loot that is already there is not made again.
        isolated: the processes of attacks that do not play in this one.
    """

    seed: int
    budget: int | None = None
    artifacts: Artifacts | None = None
    isolated: Isolation | None = None


def loot_of(
    stages: Sequence[Stage],
    scene: Scene,
    records: Data | None,
    means: Means,
    *,
    victim: Model | None = None,
    aimed_at: Any = (),
) -> tuple[Asset, int]:
    """Aim the attacks of a chain at their targets, in order, and return the loot of the last.

    Args:
        stages: the attacks whose loot is wanted.
        scene: what they attack.
        records: those that the last game asks about, for attacks that are aimed at records.
        means: what the attacks are played with.
        victim: a model that the last game dealt, for attacks that are aimed at a model; None aims
            them at the deployed model.
        aimed_at: plain values that identify this target in the scene: the next game, its
            parameters, and the number of the victim.

    Returns:
        The asset, with the names of the attacks as its lineage, and what the models that they are
        aimed at were asked for it, copies left out.

    Raises:
        RunError: an attack returned no asset.
    """
    artifacts = means.artifacts
    rest = [means.seed, means.budget, aimed_at]
    key = _key(stages, scene, (records, victim), rest) if artifacts else ""
    if artifacts and key and (stored := artifacts.get(key)) is not None:
        return stored, int(stored.facts.get("queries", 0))
    *before, stage = stages
    lineage: tuple[str, ...] = ()
    earlier, model = 0, victim
    if before:
        asset, earlier = loot_of(before, scene, records, means, victim=victim, aimed_at=aimed_at)
        lineage = asset.lineage
        slot = before[-1].slot
        if slot is Slot.SOURCE:
            assert isinstance(asset, Model)
            model = asset
        elif slot is not None:
            scene = enter(scene, asset, slot)
    attack: Attack = catalog.load("attack", stage.attack)
    game: Game = attack.game
    assert game.aim is not None  # checked when the chain was made
    rng = np.random.default_rng(spawn(means.seed, "chain", stage.attack, digest([aimed_at])))
    target = records if game.aims_at == "records" else scene.model if model is None else model
    aimed = game.aim(scene, target, rng, **stage.game_params)
    views = (aimed,) if isinstance(aimed, View) else aimed
    asset, queries = _played(attack, stage, views, rng, means)
    # What is asked of a copy is not asked of the victim that it was made from.
    queries = earlier if before and before[-1].slot is Slot.SOURCE else earlier + queries
    facts = {**asset.facts, "queries": queries}
    names = (*lineage, *asset.lineage, attack.name)
    loot = replace(asset, lineage=names, facts=facts)
    if artifacts and key:
        artifacts.put(key, loot)
    return loot, queries


def _played(
    attack: Attack,
    stage: Stage,
    views: Sequence[View[Any]],
    rng: np.random.Generator,
    means: Means,
) -> tuple[Asset, int]:
    """Play an attack on its views; return what it brings home from all of them, and its queries."""
    meter = Meter(means.budget)
    process = None if means.isolated is None else means.isolated.of(attack)
    if process is not None:
        process.begin(attack)
    assets: list[Asset] = []
    for view in views:
        check_brief(attack.game, view)
        sealed = seal(view, attack.access, meter)
        if process is not None:
            outcome = process.play(sealed, rng, stage.params)
        else:
            outcome = attack(sealed, rng, **stage.params)
        if written := meter.copies.written():
            raise WroteIntoView(
                f"{attack.name} must not change what it is handed, and wrote into {written[0]}"
            )
        if outcome.asset is None:
            raise RunError(f"{attack.name} must return an asset (Outcome.asset) in a chain")
        assets.append(outcome.asset)
    return _joined(attack, assets), meter.queries


def _joined(attack: Attack, assets: Sequence[Asset]) -> Asset:
    """Return what an attack brought home from several views as one asset."""
    asset, *rest = assets
    for more in rest:
        if not isinstance(asset, Data) or not isinstance(more, Data):
            raise RunError(f"{attack.name} must return records where it is aimed several times")
        asset = together(asset, replace(more, lineage=()))
    return asset


def _key(
    stages: Sequence[Stage], scene: Scene, targets: tuple[Data | None, Model | None], rest: Any
) -> str:
    """The name of a loot among the artifacts; empty where the scene has no digest."""
    if not scene.digest:
        return ""
    records, model = targets
    aim: Any = [
        None if records is None else [records.x, records.y],
        None if model is None else list(model.lineage),
    ]
    modules = [catalog.find("attack", stage.attack).module for stage in stages]
    plain = [[s.attack, dict(s.params), s.game, dict(s.game_params), str(s.slot)] for s in stages]
    code = code_digest("hartley.engine.loot", *modules)
    key = digest([plain, scene.digest, aim, rest, code])[:16]
    return "-".join([*(stage.attack for stage in stages), key])


def entered(
    stages: Sequence[Stage],
    scene: Scene,
    means: Means,
) -> Scene:
    """Return the scene of a chain's last stage, with what the stages before it brought home.

    A model and records for the attacker enter later, once the victims are dealt (``handed``), so
    that both arms of an edge are dealt alike. Records enter here where a part takes them.
    """
    once, each = parted(stages)
    if not once:
        return scene
    slot = once[-1].slot
    assert slot is not None
    if each:
        if slot is Slot.PUBLIC:
            return scene
        return enter(scene, _aimed_once(once, stages[-1], scene, means)[0], slot)
    if slot is Slot.PUBLIC and not any(hasattr(part, "entered") for part in scene.parts):
        return scene
    asset, _ = _aimed_once(once, stages[-1], scene, means)
    if slot is Slot.PUBLIC:
        return into_part(scene, asset, slot) or scene
    return enter(scene, asset, slot)


def _aimed_once(
    before: Sequence[Stage],
    last: Stage,
    scene: Scene,
    means: Means,
) -> tuple[Asset, int]:
    """Return the loot that is the same for all rounds, and what was asked for it."""
    game: Game = catalog.load("game", last.game)
    records = None
    if any(catalog.load("game", stage.game).aims_at == "records" for stage in before):
        assert game.targets is not None  # checked when the chain was made
        records = game.targets(scene, int(last.game_params.get("targets", 0)) or TARGETS)
    return loot_of(before, scene, records, means)


def handed(
    stages: Sequence[Stage],
    scene: Scene,
    deal: Deal,
    means: Means,
) -> Deal:
    """Return a deal in which the attacker has what the stages before the last one brought home.

    A model that was copied from a victim is held in its place: a white box that answers without
    limit, while the victim answers its attacker no more, and the judge alone. An attacker who may
    train models of the victim's recipe still may. Records join those that the attacker owns.

    Raises:
        UsageError: the rounds have no victims to copy, or hand their attacker no records.
    """
    *before, last = stages
    slot = before[-1].slot if before else None
    if slot not in (Slot.SOURCE, Slot.PUBLIC):
        return deal
    if per_victim(stages):
        loot = [
            _taken_from(stages, scene, round_, index, means)
            for index, round_ in enumerate(deal.rounds)
        ]
    else:
        once = _aimed_once(before, last, scene, means)
        if into_part(scene, once[0], slot) is not None:
            return deal  # it is in the scene already
        loot = [once] * len(deal.rounds)
    assets = [asset for asset, _ in loot]
    rounds = tuple(
        replace(round_, view=_with_loot(round_.view, asset, slot, before[-1].attack))
        for round_, asset in zip(deal.rounds, assets, strict=True)
    )
    metric = "queries_to_copy" if slot is Slot.SOURCE else "queries_for_loot"
    total = sum(queries for _, queries in loot)
    metrics = {**deal.metrics, metric: total / len(loot)}
    if per_victim(stages):
        attacks = (catalog.load("attack", stage.attack) for stage in parted(stages)[1])
        games = {attack.game.name: None for attack in attacks if attack.access}
        deal = replace(deal, prior=PriorLoot(total, tuple(games), slot is Slot.SOURCE))
    judge = deal.judge
    if before[-1].game == last.game and judge is not None:
        judge = _reading_both(judge, assets)
    return replace(deal, rounds=rounds, metrics=metrics, judge=judge)


def _taken_from(
    stages: Sequence[Stage],
    scene: Scene,
    round_: Round,
    index: int,
    means: Means,
) -> tuple[Asset, int]:
    """Return what is taken from the victim of one round, and what was asked for it."""
    last, victim = stages[-1], round_.view.source
    if not isinstance(victim, Model):
        raise UsageError(f"a chain into {last.game} needs victims that are models, got data")
    once, each = parted(stages)
    if once and once[-1].slot is Slot.PUBLIC:
        scene = enter(scene, _aimed_once(once, last, scene, means)[0], Slot.PUBLIC)
    aimed_at = [last.game, dict(last.game_params), index]
    return loot_of(each, scene, None, means, victim=victim, aimed_at=aimed_at)


def _with_loot(view: View[Any], asset: Asset, slot: Slot, attack: str) -> View[Any]:
    """Return a view with a model in the victim's place, or with more records of the attacker's.

    Records of a role that the brief has a field for are handed over by themselves.
    """
    victim = view.source
    if slot is Slot.SOURCE:
        if not isinstance(asset, Model) or not isinstance(victim, Model):
            raise RunError(f"{attack} must bring home a model, got {asset.name!r}")
        if victim.offers & Access.TRAIN and victim.fit is not None:
            asset = asset.with_(fit=victim.fit, offers=asset.offers | Access.TRAIN)
        return replace(view, source=asset)
    if not isinstance(asset, Data):
        raise RunError(f"{attack} must bring home records, got the model {asset.name!r}")
    known = {field.name for field in fields(view.brief)}
    if asset.role in known:
        return replace(view, brief=replace(view.brief, **{asset.role: asset}))
    if "public" in known:
        owned = view.brief.public
        public = asset if owned is None else together(owned, asset)
        return replace(view, brief=replace(view.brief, public=public))
    if isinstance(victim, Data):
        return replace(view, source=together(victim, asset))
    raise UsageError(f"the game hands its attacker no records that loot could join by {slot}")


def _reading_both(judge: Judge, assets: Sequence[Asset]) -> Judge:
    """Return a judge that also reads what the last attack was handed, as the column ``observed``.

    Both attacks play one game, so that the loot of both can be read: from the truth to what was
    handed on, and from there to the end, are two channels whose product estimates the chain.
    """

    def read(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        handed_on = judge(rounds, [Outcome(asset=asset) for asset in assets])
        return [
            replace(end, columns={**end.columns, "observed": _codes(middle, round_)})
            for end, middle, round_ in zip(judge(rounds, outcomes), handed_on, rounds, strict=True)
        ]

    return read


def _codes(received: Received, round_: Round) -> NDArray[np.int64]:
    """Return the symbols (m,) that were read, an erasure as one symbol more."""
    guess = np.asarray(received.guess, dtype=np.int64)
    return np.where(guess < 0, round_.alphabet, guess)
