"""``hartley plan``: what a plan costs, or with ``--power`` what it takes to settle its limits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from hartley.cli.several import Names
from hartley.cli.store_option import Store
from hartley.cli.terminal import number, print_json, print_table, say, whole
from hartley.core.errors import StoreError, UsageError

if TYPE_CHECKING:
    from hartley.engine.plan.plan import Plan

app = App(name="plan")

Switch = Annotated[bool, Parameter(negative="")]


@app.default
def plan(
    plan: str,
    /,
    *,
    power: Switch = False,
    pilot: str | None = None,
    effect: Annotated[list[str] | None, Parameter(consume_multiple=False, negative="")] = None,
    scene: str | None = None,
    only: Names = None,
    skip: Names = None,
    workers: Annotated[int | None, Parameter(converter=whole)] = None,
    store: Store = Path("runs"),
    json: Switch = False,
) -> int:
    """Say what a plan costs before it is played; with --power, what settles its limits.

    Parameters
    ----------
    plan
        A plan file (TOML), or the name of a plan that ships, such as defenses. --power needs one
        with a table [limits].
    power
        Simulate the measurement at growing numbers of victims: how many uses, clusters and
        processor seconds settle each limit.
    pilot
        With --power: a run of the plan's scene, small or large, to take the channels from: its
        name in the store, its folder, or latest. Default: the newest run of that scene.
    effect
        With --power: a channel to plan for, NAME=BITS, where NAME is what a limit may name:
        membership=0.04. Behind commas: uses (in a cluster), spread (of the bits between clusters),
        form, alphabet, role, seconds (of a cluster). Beside a pilot it replaces the bits measured.
        May be repeated.
    scene
        In place of the plan's scene, as for assess; so are the next three.
    only
        Play only attacks, classes or axis:NAME that match this pattern; for several repeat it,
        or write commas between them.
    skip
        Do not play what matches this pattern; several as with --only.
    workers
        Number of worker processes. Default: one for each processor.
    store
        The folder of all runs, or a URL: s3://BUCKET/PLACE, sftp://HOST/PLACE and others.
    json
        Print one JSON document.
    """
    if not power:
        if pilot is not None or effect:
            raise UsageError("--pilot and --effect must go with --power, got none")
        return _cost(_ordered(plan, scene, only, skip, workers), store, json=json)
    given = {"--scene": scene, "--only": only, "--skip": skip, "--workers": workers}
    if flags := [flag for flag, value in given.items() if value is not None]:
        raise UsageError(f"--power must go without {', '.join(flags)}: it plans a whole file")
    from hartley.engine.plan.plan import read
    from hartley.engine.plan.power import forecast, parse_effect

    ships = not Path(plan).exists() and not plan.endswith(".toml")
    ordered = _ordered(plan, None, None, None, None) if ships else read(Path(plan))
    effects = dict(parse_effect(text) for text in effect or ())
    result = forecast(ordered, _pilot(pilot, store, ordered.scene, effects), effects)
    if json:
        print_json(result)
        return 0
    columns = ("measured", "planned") if result["pilot"] else ("planned",)
    source = f"the pilot {result['pilot']}" if result["pilot"] else "declared effects"
    say(f"{plan}: from {source}; each number settles its row in {result['chance']:.0%} of runs")
    print_table(
        ("limit", "attack", *columns, "at", "ends as", "clusters", "uses", "pilot", "note"),
        [_row(line, measured=bool(result["pilot"])) for line in result["rows"]],
        numbers=tuple(i for i in range(2, len(columns) + 7) if i != len(columns) + 3),
        drop=(len(columns) + 6,),
    )
    if any(line["shifted"] for line in result["rows"]):
        say("planned: measured, moved towards the limit since the pilot may have erred")
    for line in result["not_planned"]:
        say(f"not planned: {line['limit']} ({line['reason']})")
    if result["tests"] > 1:
        say(f"over is planned at the level of all {result['tests']} checks")
    if ordered.looks:
        say(f"planned at the level of one of {len(ordered.looks)} looks: {result['alpha']:.4g}")
    if result["cpu_seconds"] is not None:
        say(f"processor seconds of such a run: {number(result['cpu_seconds'], 1)}")
    return 0


def _ordered(
    name: str,
    scene: str | None,
    only: list[str] | None,
    skip: list[str] | None,
    workers: int | None,
) -> Plan:
    from hartley.cli.assess import ordered_plan
    from hartley.cli.own_model import NOT_SET

    ordered, _ = ordered_plan(
        name,
        scene,
        own_model=NOT_SET,
        set_=None,
        only=only,
        skip=skip,
        seed=None,
        workers=workers,
        time_limit=None,
        memory_limit=None,
        isolate=False,
        defense=None,
        defenses=True,
    )
    return ordered


def _cost(ordered: Plan, store: Path, *, json: bool) -> int:
    from hartley.engine import build_scene
    from hartley.engine.plan.check_plan import check_parameters
    from hartley.engine.plan.cost import plan_cost
    from hartley.engine.plan.plan import check_names, scene_params
    from hartley.engine.run import executor

    check_names(ordered)
    check_parameters(ordered)
    params = scene_params(ordered)
    build_scene.check(ordered.scene, params)
    count = executor.cores() if ordered.workers is None else ordered.workers
    cost = plan_cost(ordered, build_scene.build(ordered.scene, params), store)
    seconds = cost["cpu_seconds"]
    cost |= {
        "workers": max(1, count),
        "wall_seconds": None if seconds is None else round(seconds / max(1, count), 1),
    }
    if json:
        print_json(cost)
    else:
        _print_cost(cost)
    return 0


def _print_cost(cost: Mapping[str, Any]) -> None:
    from hartley.channel.readouts.information import FEW_CLUSTERS
    from hartley.program.progress import duration

    jobs = cost["jobs"]
    count, behind = cost["attacks"], cost["defenses"]
    say(
        f"{cost['plan'] or cost['scene']}: {cost['scene']}, {count} "
        f"{'attack, chain or loop' if count == 1 else 'attacks, chains or loops'}, "
        f"{behind} {'defense or set' if behind == 1 else 'defenses or sets'} of them, "
        f"{jobs['all']} job{'' if jobs['all'] == 1 else 's'}"
    )
    kinds = {
        "baseline": "before added defenses",
        "static": "by attackers who do not know the defense",
        "adaptive": "by attackers who do",
        "utility": "of utility",
    }
    if behind:
        parts = [f"{jobs[kind]} {words}" for kind, words in kinds.items() if jobs[kind]]
        say(f"  {', '.join(parts)}")
    if cost["settings"] > 1:
        say(f"  at most {cost['settings']} settings tried in a row, each on other rounds")
    if cost["few"]:
        games = ", ".join(f"{game} {count}" for game, count in cost["few"].items())
        say(f"  fewer than {FEW_CLUSTERS} victims, so that intervals are not over them: {games}")
    if cost["cpu_seconds"] is None:
        say("  no run of these jobs is known, so that nothing can be said of their time")
        return
    say(
        f"processor time: about {duration(cost['cpu_seconds'])}; with {cost['workers']} "
        f"worker{'' if cost['workers'] == 1 else 's'} on free processors about "
        f"{duration(cost['wall_seconds'])}"
    )
    words = {
        "earlier": "as in earlier runs of the store",
        "shipped": "as on the machine of the run that ships with the plan",
        "judged": "judged by jobs like them",
    }
    known = [
        f"{cost['known_by'][key]} {text}" for key, text in words.items() if cost["known_by"][key]
    ]
    say(f"  jobs: {', '.join(known)}")


def _row(line: Mapping[str, Any], *, measured: bool) -> tuple[str, ...]:
    notes = [line["reason"] or ""]
    if line.get("simulated") is False:
        notes.append("extrapolated")
    return (
        line["limit"],
        line["attack"],
        *([number((line["measured"] or {}).get("point"), 4)] if measured else []),
        number(line["planned"], 4),
        number(line["at"], 4),
        line["side"] or "–",
        "–" if line.get("clusters") is None else str(line["clusters"]),
        "–" if line.get("uses") is None else str(line["uses"]),
        "–" if line["pilot_clusters"] is None else str(line["pilot_clusters"]),
        "; ".join(note for note in notes if note),
    )


def _pilot(pilot: str | None, store: Path, scene: str, effects: Mapping[str, Any]) -> Path | None:
    from hartley.cli.find_run import folder_of
    from hartley.store import named, runs

    if pilot is not None:
        return folder_of(pilot, store)
    if effects:
        return None
    for row in runs(store) if store.is_dir() else ():
        if row["scene"] == scene and row["status"] not in ("damaged", "unfinished"):
            return folder_of(str(row["id"]), store)
    raise StoreError(
        f"power needs a finished run of the scene {scene!r} in {named(store)}, got none; play a "
        "small one, choose its folder with --store, or give --effect"
    )
