"""``hartley assess``: the whole audit of a scene."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from hartley.cli.own_model import NOT_SET, OwnModel
from hartley.cli.print_edges import print_edges
from hartley.cli.progress import watching
from hartley.cli.set_option import settings
from hartley.cli.several import Names
from hartley.cli.store_option import Store
from hartley.cli.terminal import (
    above_zero,
    complain,
    note,
    print_channels,
    print_defenses,
    print_departures,
    print_json,
    print_suspects,
    say,
    whole,
)
from hartley.core.errors import BadPlan, UnknownName, UsageError
from hartley.store import check_name

if TYPE_CHECKING:
    from hartley.engine.plan.plan import Plan

app = App(name="assess")

Switch = Annotated[bool, Parameter(negative="")]
Whole = Annotated[int | None, Parameter(converter=whole)]
_USAGE = 2


@app.default
def assess(
    plan: str | None = None,
    /,
    *,
    own_model: OwnModel = NOT_SET,
    scene: str | None = None,
    set_: Annotated[
        list[str] | None, Parameter(name="--set", consume_multiple=False, negative="")
    ] = None,
    only: Names = None,
    skip: Names = None,
    seed: Whole = None,
    executor: str | None = None,
    address: str | None = None,
    workers: Whole = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    isolate: Switch = False,
    store: Store = Path("runs"),
    defense: Annotated[list[str] | None, Parameter(consume_multiple=False, negative="")] = None,
    defenses: bool = True,
    run: str | None = None,
    fresh: Switch = False,
    index: str | None = None,
    remeasure: str | None = None,
    json: Switch = False,
    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), negative="")] = False,
) -> int:
    """Play every attack that fits a scene, measure each in bits, and judge the run.

    Each finished attack is stored at once: after a Ctrl-C or a crash, the same command continues.

    Parameters
    ----------
    plan
        A plan file (TOML), the name of a plan that ships with Hartley, such as demo, or a recipe
        in a Python file of yours: audit.py:scene.
    scene
        The scene to attack, instead of a plan; live:GAME leaks everything, dead:GAME nothing.
    set_
        A parameter of the scene, NAME=VALUE, for example opened=true; may be repeated.
    only
        Play only attacks, classes or axis:NAME that match this pattern; for several repeat it,
        or write commas between them.
    skip
        Do not play what matches this pattern; several as with --only.
    seed
        Seed of every random choice.
    executor
        Where to play: local, on this machine, or ray, on the machines of a Ray cluster. Default:
        that of the plan, else local.
    address
        The Ray cluster: local for one of this machine alone, auto for the one that runs here, or
        HOST:PORT of its head. Default: that of the plan, else local.
    workers
        Number of worker processes. Default: one for each processor.
    time_limit
        Seconds that one job may take; its row fails, and the run goes on. Default: 6 hours.
    memory_limit
        GiB of memory that one job may hold; the same. Default: 80 % of the machine's memory.
    isolate
        Play every attack in a process of its own, which never holds the truth. Attacks of plugins
        always do, unless the plan sets executor.isolate to false.
    store
        The folder of all runs, or a URL: s3://BUCKET/PLACE, sftp://HOST/PLACE and others.
    defense
        Also play behind this defense, NAME or NAME:KEY=VALUE,KEY=VALUE, such as dp_sgd:epsilon=8,
        by attackers who know it and by others; several that act together are joined by +; may be
        repeated. See: hartley list defenses.
    defenses
        Also play behind the plan's defenses.
    run
        Name of the run. Default: made from the plan and the scene.
    fresh
        Begin a new run even if there is one of the same plan and scene.
    index
        Also note the run in this index over many stores, postgresql://USER@HOST/NAME. Default:
        HARTLEY_INDEX.
    remeasure
        Measure the stored trials of this run again, without a model.
    json
        Print the run document on standard output.
    verbose
        Name also the attacks that do not fit the scene, with the reason of each.
    """
    from hartley.engine.plan.plan import EXECUTORS

    if executor is not None and executor not in EXECUTORS:
        raise UnknownName("executor", executor, EXECUTORS)
    if index is not None:
        os.environ["HARTLEY_INDEX"] = index
    if remeasure is not None:
        if plan is not None or scene is not None:
            raise UsageError(
                "--remeasure measures a stored run again; leave out the plan and --scene"
            )
        from hartley.engine.assess import remeasure as again

        folder = _folder(remeasure, store)
        return finish(again(folder), store, json=json, verbose=verbose) or _code_of_doubt(folder)
    ordered, source = ordered_plan(
        plan,
        scene,
        own_model=own_model,
        set_=set_,
        only=only,
        skip=skip,
        seed=seed,
        workers=workers,
        time_limit=time_limit,
        memory_limit=memory_limit,
        isolate=isolate,
        defense=defense,
        defenses=defenses,
    )
    ordered = _placed(ordered, executor, address)
    if run is not None:
        check_name(run)
    from hartley.engine.completed import completed, inputs_digest

    inputs = inputs_digest(ordered)
    if not fresh and (complete := completed(ordered, inputs, store=store, run=run)) is not None:
        with watching() as watch:
            watch("kept", {"run": complete["id"], "folder": store / complete["id"]})
        return finish(complete, store, json=json, verbose=verbose)
    from hartley.engine.assess import Mistaken
    from hartley.engine.assess import assess as run_plan

    try:
        with watching(verbose=verbose) as watch:
            document = run_plan(
                ordered,
                store=store,
                run=run,
                fresh=fresh,
                source=source,
                inputs=inputs,
                must_fit=ordered.use if defense or _is_of_own(ordered, source) else (),
                watch=watch,
            )
    except Mistaken as mistake:
        finish(mistake.document, store, json=json, verbose=verbose, without=mistake.refused)
        for line in mistake.lines:
            complain(line)
        return _USAGE
    return finish(document, store, json=json, verbose=verbose)


def _placed(plan: Plan, executor: str | None, address: str | None) -> Plan:
    """The plan, played where ``--executor`` and ``--address`` say.

    Raises:
        UsageError: an address without a cluster.
    """
    plan = replace(plan, executor=executor or plan.executor)
    if address is None:
        return plan
    if plan.executor != "ray":
        raise UsageError("--address must go with --executor ray, got it without")
    return replace(plan, address=address)


def _is_of_own(plan: Plan, source: str) -> bool:
    """Whether a plan of the user's is about their own model: its defenses were meant for it.

    A plan of many scenes may list defenses for others, as those that ship do.
    """
    from hartley.engine.plan.own_scene import RECIPES

    return bool(source) and plan.scene in RECIPES


def ordered_plan(
    plan: str | None,
    scene: str | None,
    *,
    own_model: OwnModel,
    set_: list[str] | None,
    only: list[str] | None,
    skip: list[str] | None,
    seed: int | None,
    workers: int | None,
    time_limit: float | None,
    memory_limit: float | None,
    isolate: bool,
    defense: list[str] | None,
    defenses: bool,
    plans: Mapping[str, bytes] | None = None,
) -> tuple[Plan, str]:
    """Return the plan that the flags of ``assess`` order, and its file, if any.

    Args:
        plan: a file, or the name of a plan that ships.
        scene: instead of that of the plan.
        own_model: instead of a scene.
        set_, only, skip, seed, workers, time_limit, memory_limit, isolate, defense, defenses:
            flags.
        plans: by file, what it held as the command began; other files are read now.

    Raises:
        UsageError: a plan that cannot be read, an unknown name, or a value that cannot be.
    """
    from hartley.engine.plan.plan import MOST_WORKERS

    ordered, source = _plan(plan, scene, own_model.settings(), plans or {})
    changes: dict[str, Any] = {
        "only": tuple(only) if only else None,
        "skip": tuple(skip) if skip else None,
        "seed": seed,
        "workers": workers,
        "time_limit": above_zero("time-limit", time_limit),
        "memory_limit": above_zero("memory-limit", memory_limit),
        "isolate": isolate or None,
        "use": None if defenses else (),
    }
    for name, value in {"seed": seed, "workers": workers}.items():
        if value is not None and value < 0:
            raise UsageError(f"--{name} must be at least 0, got {value}")
    if workers is not None and workers > MOST_WORKERS:
        raise UsageError(f"--workers must be at most {MOST_WORKERS}, got {workers}")
    ordered = replace(ordered, **{k: v for k, v in changes.items() if v is not None})
    if not defenses:
        # What the plan sets of defenses that are left out goes with them.
        deployed = {name for names in ordered.deployed for name in names.split("+")}
        tables = {k: v for k, v in ordered.defenses.items() if k in deployed}
        ordered = replace(ordered, defenses=tables)
    if defense:
        ordered = _defended(ordered, defense, defenses=defenses)
    if set_:
        scene_params = {**ordered.scenes.get(ordered.scene, {}), **settings(set_)}
        ordered = replace(ordered, scenes={**ordered.scenes, ordered.scene: scene_params})
    return ordered, source


def _defended(plan: Plan, ordered: list[str], *, defenses: bool) -> Plan:
    """The plan with the defenses of ``--defense`` besides its own.

    Raises:
        UsageError: a defense that cannot be read, or that the plan sets otherwise.
    """
    from hartley.engine.plan.ordered_defenses import parse_defenses

    if not defenses:
        raise UsageError("--defense must go without --no-defenses, got both")
    use, params = parse_defenses(ordered)
    for name, values in params.items():
        if plan.defenses.get(name, values) != values:
            raise UsageError(
                f"--defense {name} must be set once, got other values in [defenses.{name}]"
            )
    use = tuple(dict.fromkeys((*plan.use, *use)))
    return replace(plan, use=use, defenses={**plan.defenses, **params})


def finish(
    document: Mapping[str, Any],
    store: Path,
    *,
    json: bool,
    verbose: bool = False,
    without: frozenset[str] = frozenset(),
) -> int:
    """Print a run document, as JSON or for a person; return the exit code of its verdict.

    Rows whose ids are in ``without`` are not shown to a person: separate lines report them.
    """
    from hartley.engine.result.gate import EXIT
    from hartley.reference.schema import baseline_rows, verdict_of
    from hartley.report.format_numbers import meaning
    from hartley.report.summary import (
        limited,
        of_one_training,
        of_swapped_records,
        of_unlike_answers,
    )
    from hartley.store import named

    verdict = document["verdict"]
    if json:
        print_json(document)
        return EXIT[verdict["status"]]
    scene = document["scene"]
    say(f"{scene['name']} ({scene['modality']}), seed {document['seed']}, run {document['id']}")
    rows = [row for row in baseline_rows(document) if row["id"] not in without]
    print_channels(rows, verbose=verbose, scan=bool(document.get("suspects")))
    for words in (
        *of_one_training(document),
        *of_unlike_answers(document),
        *of_swapped_records(document),
    ):
        say(words)
    print_suspects(document)
    print_edges(document)
    print_defenses([row for row in document["defenses"] if not _refused(row, without)])
    say(f"verdict: {verdict_of(verdict)}")
    say(f"  meaning: {meaning(verdict)}")
    if words := limited(document):
        say(f"  {words}")
    hidden = [row["reason"] for row in document["channels"] if row["id"] in without]
    for reason in verdict["reasons"]:
        if not any(hidden_reason in reason for hidden_reason in hidden):
            say(f"  {reason}")
    print_departures(verdict.get("departures") or ())
    run = document["id"] + ("" if store == Path("runs") else f" --store {named(store)}")
    note(
        f"kept in {named(store)}/{document['id']}; render it with: hartley report {run}; "
        f"judge it with: hartley gate {run} --limits LIMITS.toml"
        + (f"; choose a defense with: hartley defend {run}" if document["defenses"] else "")
    )
    return EXIT[verdict["status"]]


def _code_of_doubt(folder: Path) -> int:
    """Return the exit code of a run that passed its own limits: 3 where nothing vouches for it."""
    from hartley.engine.result.gate import EXIT, INCONCLUSIVE
    from hartley.store import read_verified

    reading = read_verified(folder)
    if not reading.doubt or not reading.document["verdict"]["checks"]:
        return 0
    note(f"unverified: {reading.doubt}")
    return EXIT[INCONCLUSIVE]


def _refused(row: Mapping[str, Any], without: frozenset[str]) -> bool:
    """Whether nothing was measured behind a defense because its rows are left out."""
    residual = row["residual"].values()
    ids = {row_id for residual_row in residual for row_id in residual_row["rows"].values()}
    measured = any(
        residual_row[knowledge] for residual_row in residual for knowledge in ("static", "adaptive")
    )
    return bool(ids & without) and not measured


def _plan(
    plan: str | None, scene: str | None, files: Mapping[str, Any], contents: Mapping[str, bytes]
) -> tuple[Plan, str]:
    """The plan that the user means, and its file."""
    from hartley.engine.plan.plan import Plan, from_content, parse, read
    from hartley.targets.python_object import is_object

    if plan is None and scene is None and not files:
        raise UsageError(
            "assess needs a plan, a scene or a model: give a PLAN.toml, --scene NAME (see: hartley "
            "list scenes), your own --model with --train and --test, a data set with --records, or "
            "the plan that ships with Hartley: hartley assess demo"
        )
    if files or (plan is not None and is_object(plan)):
        return _own(plan, scene, files, contents)
    if plan is None:
        return Plan(scene=scene or ""), ""
    path, shipped = Path(plan), plans()
    if plan in contents:
        ordered, source = from_content(contents[plan], path), str(path.resolve())
    elif not path.exists() and plan in shipped:
        ordered, source = parse(shipped[plan](), source=f"plan {plan}"), ""
        ordered = replace(ordered, name=plan)
    elif not path.exists() and not plan.endswith(".toml"):
        raise UnknownName("plan", plan, shipped)
    else:
        ordered, source = read(path), str(path.resolve())
    if scene is not None:
        ordered = replace(ordered, scene=scene)
    if not ordered.scene and not source:
        raise UsageError(
            f"the plan {plan} is played on records of yours: --records DATA --target COLUMN "
            "--clean TRUSTED"
        )
    if not ordered.scene:
        raise BadPlan(f'{plan} must name a scene; add a line such as: scene = "digits"')
    return ordered, source


def _own(
    plan: str | None, scene: str | None, files: Mapping[str, Any], contents: Mapping[str, bytes]
) -> tuple[Plan, str]:
    """The plan of a user's own scene: of flags, or of a recipe in a file; and the plan's file."""
    from hartley.engine.plan.own_scene import own_scene
    from hartley.engine.plan.plan import Plan, from_content, read

    ships = plan is not None and not Path(plan).exists() and plan in plans()
    if scene is not None or (
        files and plan is not None and not plan.endswith(".toml") and not ships
    ):
        others = [plan] if scene is None else [f"--scene {scene}", *([plan] if plan else [])]
        flags = [f"--{flag}" for flag in files]
        raise UsageError(f"the scene must be given once, got {', '.join(map(str, others + flags))}")
    if not files:
        name = str(plan)
        return Plan(scene=name, name=Path(name.rpartition(":")[0]).stem), ""
    name, params = own_scene(files)
    if plan is None and name == "own_records":
        plan, ships = "scan", True
    if plan is None:
        title = Path(params.get("model") or params.get("items") or name).stem
        return Plan(scene=name, scenes={name: params}, name=title), ""
    if ships:
        title = Path(str(params.get("model") or params.get("records") or name)).stem
        return of_shipped(plan, name, params, title), ""
    ordered = from_content(contents[plan], Path(plan)) if plan in contents else read(Path(plan))
    if ordered.scene:
        raise UsageError(f"{plan} names the scene {ordered.scene!r} and the flags another one")
    return replace(ordered, scene=name, scenes={**ordered.scenes, name: params}), plan


def of_shipped(plan: str, scene: str, params: Mapping[str, Any], title: str) -> Plan:
    """Return a plan that ships, played on a user's own scene.

    Args:
        plan: its name.
        scene: in place of the plan's own, whose parameters go with it.
        params: of the scene.
        title: of the run.

    Raises:
        UsageError: the plan is for a scan of records and the scene is a model, or the other way; or
            it tunes a model, and the scene is asked through an endpoint.
    """
    from hartley.engine.plan.plan import parse

    if plan == "finetune" and params.get("endpoint"):
        raise UsageError(
            "the plan finetune must go with the folder of a model, got --endpoint, which is asked "
            "by chat alone and cannot be tuned; hartley assess jailbreak takes one"
        )
    if (plan == "scan") != (scene == "own_records"):
        needed = "--records" if plan == "scan" else "--model with --train and --test"
        raise UsageError(f"the plan {plan} must go with {needed}, got the flags of {scene}")
    ordered = parse(plans()[plan](), source=f"plan {plan}")
    return replace(ordered, scene=scene, scenes={scene: dict(params)}, name=f"{title}-{plan}")


def plans() -> dict[str, Callable[[], str]]:
    """Return the plans that ship with Hartley, by name."""
    from importlib.resources import files

    folder = files("hartley.scenes") / "plans"
    if not folder.is_dir():
        return {}
    return {
        item.name.removesuffix(".toml"): item.read_text
        for item in folder.iterdir()
        if item.name.endswith(".toml")
    }


def _folder(run: str, store: Path) -> Path:
    from hartley.cli.find_run import folder_of

    return folder_of(run, store)
