"""``hartley plan --power``: what it takes to settle the limits of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from hartley.cli.terminal import number, print_json, print_table, say
from hartley.core.errors import StoreError, UsageError

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
    store: Path = Path("runs"),
    json: Switch = False,
) -> int:
    """Say how many uses, clusters and processor seconds settle each limit of a plan.

    Parameters
    ----------
    plan
        A plan file (TOML) with a table [limits].
    power
        Simulate the measurement at growing numbers of victims. There is nothing else to plan yet.
    pilot
        A run of the plan's scene, small or large, to take the channels from: its name in the
        store, its folder, or latest. Default: the newest run of that scene.
    effect
        A channel to plan for, NAME=BITS, where NAME is what a limit may name: membership=0.04.
        Behind commas: uses (in a cluster), spread (of the bits between clusters), form, alphabet,
        role, seconds (of a cluster). Beside a pilot it replaces the bits measured. May be repeated.
    store
        The folder of all runs.
    json
        Print one JSON document.
    """
    from hartley.engine.plan.plan import read
    from hartley.engine.plan.power import forecast, parse_effect

    if not power:
        raise UsageError(
            "plan must be given --power, got nothing to compute; see: hartley plan --help"
        )
    ordered = read(Path(plan))
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
    from hartley.store import runs

    if pilot is not None:
        return folder_of(pilot, store)
    if effects:
        return None
    for row in runs(store) if store.is_dir() else ():
        if row["scene"] == scene and row["status"] not in ("damaged", "unfinished"):
            return store / str(row["id"])
    raise StoreError(
        f"power needs a finished run of the scene {scene!r} in {store}, got none; play a small "
        "one, choose its folder with --store, or give --effect"
    )
