"""The work list: every row that a run will have, as an experiment or as a reason to skip it.

``expand`` is the only place where a plan becomes work. Names, parameters and whether
each attack fits the scene are checked here and nowhere else, before anything is played.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any

from hartley import catalog
from hartley.catalog import Entry
from hartley.core import Applied, Attack, Experiment, Knowledge, Scene, Stage
from hartley.core.code_digest import code_digest, library_versions
from hartley.core.errors import MissingExtra, UsageError
from hartley.core.taxonomy import Axis
from hartley.engine.chain import check_scene, control_of, open_access, stages_of
from hartley.engine.defend import fitting, unfit
from hartley.engine.loop.loop_order import Leg
from hartley.engine.loop.loop_order import described as loop_described
from hartley.engine.loop.loop_order import stages as loop_stages
from hartley.engine.plan.applicability import Obstacle, obstacle, unplayable
from hartley.engine.plan.ordered_defenses import check_fit
from hartley.engine.plan.parameters import checked, defaults, ruled
from hartley.engine.plan.plan import CHAINS, LOOP, Plan, scene_params, sweep
from hartley.engine.result.departures import departures_of
from hartley.engine.result.document import standing_of

SKIPPED, FAILED = "skipped", "failed"
PLAYER = "hartley.engine.run.player"
"""The module that plays experiments: its import closure is part of every digest of code."""
TRIED = 3
"""Settings that the attacker of a leg of a loop tries besides the one that is ordered."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """An experiment that is not played, and why.

    Attributes:
        experiment: what would have been played.
        cause: ``modality``, ``scene``, ``access``, ``plan``, ``install`` or ``adapts``; ``broken``
            where it should have been playable, which ends as a failed row.
        reason: in words.
    """

    experiment: Experiment
    cause: str
    reason: str

    @property
    def status(self) -> str:
        """How its row ends."""
        return FAILED if self.cause == "broken" else SKIPPED


Line = Experiment | Skipped


def expand(plan: Plan, scene: Scene) -> tuple[Line, ...]:
    """Return every row of a run: baseline rows first, then those behind each added defense.

    Raises:
        UsageError: a parameter that a part does not take, or an attack that cannot follow another.
    """
    bare = _bare(plan, scene)
    replicates = range(plan.replicates)
    # A plan of chains alone is about them: the other attacks are not even listed.
    alone = plan.only in ((CHAINS,), (LOOP,))
    stages = [] if alone else list(_stages(plan, scene))
    playable = [(entry, stage) for entry, stage, why_not in stages if why_not is None]
    # Attacks of one game next to each other, so that they share a deal and their reference models.
    axes = [str(axis) for axis in Axis]
    playable.sort(
        key=lambda pair: (axes.index(pair[0].axis), pair[0].game, str(pair[1].game_params))
    )
    lines: list[Line] = [
        replace(
            bare,
            stages=(stage,),
            knowledge=_of_deployed(entry, plan),
            replicate=k,
            sweep=_of_baseline(entry, stage, plan),
        )
        for k in replicates
        for entry, stage in playable
    ]
    lines += [
        Skipped(replace(bare, stages=(stage,)), why_not.cause, why_not.reason)
        for _, stage, why_not in stages
        if why_not is not None
    ]
    for pair in arms(plan, scene):
        lines += [line for line in pair if line not in lines]
    lines += _loop(plan, bare, scene)
    if plan.use or plan.deployed:
        lines.append(bare)
    for names in plan.use:
        lines += _behind(names, plan, scene, bare, playable)
    return tuple(_coded(lines))


def _bare(plan: Plan, scene: Scene) -> Experiment:
    """The experiment of a plan without stages: its scene behind what is deployed."""
    deployed = tuple(applied(name, plan, scene) for name in plan.deployed)
    return Experiment(
        scene=plan.scene,
        scene_params=scene_params(plan),
        seed=plan.seed,
        budget=plan.budget,
        alpha=plan.alpha,
        defenses=deployed,
        deployed=len(deployed),
    )


def arms(plan: Plan, scene: Scene) -> Iterator[tuple[Experiment, Experiment]]:
    """Yield each chain of a plan after what it is compared with, without their code.

    Both play the same attack on the same deals: alone or after the chain's control, and at the end
    of the chain.

    Raises:
        UsageError: attacks that cannot follow one another or be played on the scene, or a chain
            whose last attack cannot be played alone and that has no control.
    """
    for chain, replicate in product(plan.chains, range(plan.replicates)):
        # A chain's own tables win over the plan's, key by key; a sweep is for the attack alone.
        games = {
            name: {**plan.games.get(name, {}), **chain.games.get(name, {})}
            for name in {*plan.games, *chain.games}
        }
        single = {
            name: {k: v for k, v in table.items() if not isinstance(v, list)}
            for name, table in plan.attacks.items()
        }
        params = {
            name: {**single.get(name, {}), **chain.params.get(name, {})}
            for name in {*single, *chain.params}
        }
        stages = stages_of(chain.attacks, chain.slots, params=params, game_params=games)
        control = control_of(stages, chain.against, params=params, game_params=games)
        for each in (stages, control):
            check_scene(each, scene)
        last = catalog.find("attack", stages[-1].attack)
        if not unplayable(last, scene, open_access(stages)):
            _check_control(stages, control, unplayable(last, scene, open_access(control)))
        experiment = replace(
            _bare(plan, scene), knowledge=_of_deployed(last, plan), replicate=replicate
        )
        yield replace(experiment, stages=control), replace(experiment, stages=stages)


def _check_control(
    stages: Sequence[Stage], control: Sequence[Stage], obstacle: Obstacle | None
) -> None:
    """Refuse a chain that can be played where what it is compared with cannot.

    Raises:
        UsageError: the last attack cannot be played alone, so that the chain must have a control.
    """
    if obstacle is None or len(control) > 1:
        return
    loot = catalog.load("attack", stages[-2].attack).loot
    names = [e.name for e in catalog.entries("attack") if e.control and e.loot == str(loot)]
    word = names[0] if names else f"an attack that brings home a {loot}"
    raise UsageError(
        f"{control[-1].attack} cannot be played alone to compare with, so that the chain must have "
        f"a control (--against {word}): {obstacle.reason}"
    )


def _loop(plan: Plan, bare: Experiment, scene: Scene) -> Iterator[Experiment]:
    """The clusters of a loop: on the scene as it is deployed, and behind each added defense.

    Where there is a defense the attackers of the legs choose among the settings that they declare,
    in front of it and in front of none, so that both are compared at the attacker's best.

    Raises:
        UsageError: the loop does not close, legs cannot be where they are, or a defense cannot be
            put into the scene: a loop is compared defense by defense, and none is left out.
    """
    if plan.loop is None:
        return
    legs = loop_stages(plan.loop, scene)
    check_fit(plan.use, scene)
    order = plan.loop.dump()
    if plan.adaptive and (plan.use or plan.deployed):
        order["settings"] = [
            _settings(leg, given) for leg, given in zip(legs, plan.loop.every, strict=True)
        ]
    knowledge = Knowledge.ADAPTIVE if bare.defenses else Knowledge.NONE
    cluster = replace(bare, stages=legs, loop=order, knowledge=knowledge)
    behind = [cluster]
    for names in plan.use:
        added = tuple(applied(name, plan, scene) for name in names.split("+"))
        defenses = (*bare.defenses, *added)
        behind.append(
            replace(cluster, defenses=defenses, baseline=False, knowledge=Knowledge.ADAPTIVE)
        )
    for experiment, k in product(behind, range(plan.loop.clusters)):
        yield replace(experiment, replicate=k)


def applied(name: str, plan: Plan, scene: Scene) -> Applied:
    """Return a defense as a plan sets it, with all its parameters as they act on the scene.

    Raises:
        UsageError: a parameter that the defense does not take.
    """
    part = catalog.load("defense", name)
    values = checked(part, plan.defenses.get(name, {}))
    return Applied(name, part.settled(scene, defaults(part.parameters) | values))


def _behind(
    names: str,
    plan: Plan,
    scene: Scene,
    bare: Experiment,
    playable: Iterable[tuple[Entry, Stage]],
) -> Iterator[Line]:
    """The rows behind one defense, or behind several that are applied together."""
    added = tuple(applied(name, plan, scene) for name in names.split("+"))
    defended = replace(bare, defenses=(*bare.defenses, *added), baseline=False)
    parts = [catalog.load("defense", experiment.name) for experiment in added]
    if any(unfit(part, scene) for part in parts):
        return
    yield defended
    knowledges = (Knowledge.STATIC, Knowledge.ADAPTIVE) if plan.adaptive else (Knowledge.STATIC,)
    for replicate, (entry, stage) in product(range(plan.replicates), playable):
        claiming = [k for k, part in enumerate(parts) if part.covers(entry.game, scene.modality)]
        if not claiming and not plan.unclaimed:
            continue
        idle = [parts[k].idle_in(entry.game, added[k].params) for k in claiming]
        # Both kinds of attackers next to each other: they share the deal.
        for knowledge in knowledges:
            experiment = replace(
                defended, stages=(stage,), knowledge=knowledge, replicate=replicate
            )
            if idle and all(idle):
                yield Skipped(experiment, "scene", "; ".join(idle))
                continue
            if knowledge is not Knowledge.ADAPTIVE:
                yield replace(experiment, sweep=_of_baseline(entry, stage, plan))
                continue
            experiment = replace(experiment, sweep=swept(entry, stage, plan))
            if reason := unable_to_adapt(entry, experiment.sweep):
                yield Skipped(experiment, "adapts", reason)
            else:
                yield experiment


def _settings(stage: Stage, leg: Leg) -> list[dict[str, Any]]:
    """Return what the attacker of a leg tries besides its setting: the first that it declares."""
    return list(_others(catalog.find("attack", stage.attack), stage, leg.params))[:TRIED]


def swept(entry: Entry, stage: Stage, plan: Plan) -> tuple[dict[str, Any], ...]:
    """Return the settings that an adaptive attacker tries besides that of a stage.

    They are the combinations that the attack declares, without the parameters that the plan sets.
    """
    return _others(entry, stage, plan.attacks.get(entry.name, {}))


def _others(entry: Entry, stage: Stage, given: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    free = {name: list(values) for name, values in dict(entry.sweep).items() if name not in given}
    return tuple(
        setting
        for setting in sweep(free)
        if any(stage.params[name] != value for name, value in setting.items())
    )


def _of_baseline(entry: Entry, stage: Stage, plan: Plan) -> tuple[dict[str, Any], ...]:
    """The settings that attackers try who know of no added defense, and so tune without it."""
    return swept(entry, stage, plan) if plan.tuned_baseline and plan.use else ()


def unable_to_adapt(entry: Entry | Attack, settings: Sequence[Mapping[str, Any]]) -> str:
    """Return why an attack has no adaptive form, or an empty string.

    Args:
        entry: the attack.
        settings: those that it could be tuned to.
    """
    if entry.adapts or settings:
        return ""
    lack = "the plan sets what it would sweep" if entry.sweep else "it declares no sweep"
    return f"not adaptive: it neither reads the defenses nor trains reference models, and {lack}"


def _of_deployed(entry: Entry, plan: Plan) -> Knowledge:
    """What the attacker of a baseline row knows: of deployed defenses all that it can use.

    Baseline rows are tuned only where a plan says ``tuned_baseline``: a sweep is an answer to the
    defenses that a plan adds.
    """
    if not plan.deployed:
        return Knowledge.NONE
    return Knowledge.ADAPTIVE if entry.adapts else Knowledge.STATIC


def _stages(plan: Plan, scene: Scene) -> Iterator[tuple[Entry, Stage, Obstacle | None]]:
    """Every attack of the catalogue with each of its settings, and what prevents it."""
    for entry in catalog.entries("attack"):
        if entry.control and entry.name not in plan.only:
            continue
        why_not = obstacle(entry, scene, plan)
        part, why_not = (None, why_not) if why_not else _loaded(entry)
        for params in sweep(plan.attacks.get(entry.name, {})):
            rules = dict(plan.games.get(entry.game, {}))
            if part is None:
                yield entry, Stage(entry.name, params, entry.game, rules), why_not
                continue
            values = checked(part, params)
            rules = ruled(entry.name, entry.game_params, rules)
            stage = Stage(
                attack=entry.name,
                params=defaults(part.parameters) | values,
                game=entry.game,
                game_params=defaults(part.game.parameters) | checked(part.game, rules),
            )
            yield entry, stage, None


def _loaded(entry: Entry) -> tuple[Attack | None, Obstacle | None]:
    try:
        return catalog.load("attack", entry.name), None
    except MissingExtra as error:
        return None, Obstacle("install", str(error))
    except UsageError as error:
        return None, Obstacle("broken", str(error))


def _coded(lines: Iterable[Line]) -> Iterator[Line]:
    """Give each experiment the digest of all the code that it runs."""
    versions = " ".join(f"{name} {number}" for name, number in library_versions().items())
    digests: dict[tuple[str, ...], str] = {}
    for line in lines:
        if isinstance(line, Skipped):
            yield line
            continue
        modules = _modules(line)
        if modules not in digests:
            digests[modules] = code_digest(*modules)
        yield replace(line, code=f"{digests[modules]} {versions}")


def code_of(experiment: Experiment) -> str:
    """Return the digest of the code that would play an experiment here, with its libraries.

    Raises:
        HartleyError: a part that it names is not here.
    """
    (line,) = _coded([experiment])
    assert isinstance(line, Experiment)
    return line.code


def _modules(experiment: Experiment) -> tuple[str, ...]:
    """The modules of the engine and of every part that an experiment runs."""
    names = [("defense", defense.name) for defense in experiment.defenses]
    for stage in experiment.stages:
        names += [("attack", stage.attack), ("game", stage.game)]
    modules = [catalog.find(kind, name).module for kind, name in names]
    if scene := scene_module(experiment.scene):
        modules.append(scene)
    return (PLAYER, *sorted(set(modules)))


def batches(experiment: Experiment, looks: Sequence[int]) -> list[Experiment]:
    """Return the batches that an experiment of a plan with looks is played in, up to its look.

    Args:
        experiment: a row of the plan at a look (``plan.at_look``).
        looks: rounds at the looks until then.
    """
    stage = experiment.stages[-1]
    return [
        replace(
            experiment,
            batch=number,
            stages=(replace(stage, game_params={**stage.game_params, "rounds": later - before}),),
        )
        for number, (before, later) in enumerate(pairwise([0, *looks]), 1)
    ]


def scene_module(name: str) -> str:
    """The module of a scene's recipe; of a live or dead scene, its game's.

    Of a recipe in a user's own file none: its code is part of the scene's digest.
    """
    kind, _, rest = name.partition(":")
    if kind in {"live", "dead"} and rest:
        return catalog.find("game", rest.partition(":")[0]).module
    modules = {entry.name: entry.module for entry in catalog.entries("scene")}
    return modules.get(name, "")


def experiments(lines: Iterable[Line]) -> list[Experiment]:
    """Return what is to be played, of a work list."""
    return [line for line in lines if isinstance(line, Experiment)]


def standing(line: Line, scene: Scene, plan: Plan) -> dict[str, Any]:
    """Return the half of a row that is known before anything is played."""
    experiment = line.experiment if isinstance(line, Skipped) else line
    name = experiment.stages[-1].attack
    entry = next(e for e in catalog.entries("attack") if e.name == name)
    row = standing_of(entry, str(scene.modality), experiment)
    if not isinstance(line, Skipped):
        stages = row["experiment"]["stages"]
        row["departures"] = departures_of(
            stages, budget=experiment.budget, rounds=scene.settings.rounds
        )
    if experiment.baseline:
        return {**row, "baseline_id": None, "added": None}
    deployed = experiment.defenses[: len(plan.deployed)]
    baseline = replace(
        experiment, defenses=deployed, knowledge=_of_deployed(entry, plan), baseline=True
    )
    return {**row, "baseline_id": baseline.id, "added": added(experiment, plan)}


def added(experiment: Experiment, plan: Plan) -> str:
    """Return the names of the defenses that were added to those deployed, joined by ``+``."""
    return "+".join(defense.name for defense in experiment.defenses[len(plan.deployed) :])


def planned(lines: Sequence[Line], plan: Plan, scene: Scene) -> dict[str, Any]:
    """Return what the document needs to be assembled without a model or a part: plain values."""
    rows: list[dict[str, Any]] = []
    compared: dict[str, list[str]] = {}
    for control, chain in arms(plan, scene):
        compared.setdefault(chain.id, []).append(control.id)
    for line in lines:
        if isinstance(line, Skipped):
            row = standing(line, scene, plan)
            note = {"status": line.status, "reason": line.reason, "cause": line.cause}
            rows.append({"key": None, "standing": row, **note})
        elif line.loop:
            rows.append({"key": line.key, "loop": added(line, plan)})
        elif line.stages:
            row = {"key": line.key, "standing": standing(line, scene, plan)}
            against = list(dict.fromkeys(compared.get(line.id, ())))
            rows.append({**row, **({"against": against} if len(line.stages) > 1 else {})})
        else:
            rows.append({"key": line.key, "utility": added(line, plan)})
    declared = [_declared(names, plan, scene) for names in plan.use]
    loop = {} if plan.loop is None else {"loop": loop_described(plan.loop, scene)}
    plain: dict[str, Any] = json.loads(
        json.dumps({"rows": rows, "defenses": declared, "fitting": fitting(scene), **loop})
    )
    return plain


def _declared(names: str, plan: Plan, scene: Scene) -> dict[str, Any]:
    """Return what one or several defenses declare, for the document."""
    parts = [catalog.load("defense", name) for name in names.split("+")]
    entries = [catalog.find("defense", name) for name in names.split("+")]
    reasons = [reason for part in parts if (reason := unfit(part, scene))]
    settings = [applied(entry.name, plan, scene).params for entry in entries]
    replaced = getattr(scene.training, "replaced", None)
    notes = [
        replaced(part.requires, values) if replaced is not None else ""
        for part, values in zip(parts, settings, strict=True)
    ]
    return {
        "name": names,
        "term": "+".join(dict.fromkeys(entry.term for entry in entries)),
        "stage": "+".join(dict.fromkeys(entry.stage for entry in entries)),
        "paper": entries[0].paper if len(entries) == 1 else None,
        "summary": " ".join(entry.summary for entry in entries),
        "params": dict(settings[0])
        if len(entries) == 1
        else {entry.name: dict(values) for entry, values in zip(entries, settings, strict=True)},
        "protects": list(dict.fromkeys(game for part in parts for game in part.protects)),
        "reason": "; ".join(reasons) or None,
        "note": "" if reasons else "; ".join(filter(None, notes)),
    }
