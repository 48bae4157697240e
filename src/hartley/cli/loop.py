"""``hartley loop``: attacks in a ring, each taking what the one before leaves; does it grow?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from hartley.cli.own_model import NOT_SET
from hartley.cli.progress import watching
from hartley.cli.store_option import Store
from hartley.cli.terminal import (
    complain,
    note,
    number,
    print_json,
    print_table,
    quantity,
    say,
    say_hung,
    whole,
)
from hartley.core.errors import UsageError
from hartley.engine.loop.in_words import (
    MEANING,
    beside,
    cut_words,
    facts,
    null_or_bent,
    once_round,
    owner_by_owner,
    ring_of,
    rounds_say,
    settings_say,
    step_key,
    steps_of,
    verdict,
)

app = App(name="loop")

Switch = Annotated[bool, Parameter(negative="")]
Whole = Annotated[int | None, Parameter(converter=whole)]
Repeated = Annotated[list[str] | None, Parameter(consume_multiple=False, negative="")]
_USAGE, _UNSETTLED = 2, 3
SHIPPED = "loop"
"""The plan that is run where none is named."""


@app.default
def loop(
    plan: str = SHIPPED,
    /,
    *,
    scene: str | None = None,
    rounds: Whole = None,
    clusters: Whole = None,
    defend: Repeated = None,
    set_: Annotated[
        list[str] | None, Parameter(name="--set", consume_multiple=False, negative="")
    ] = None,
    seed: Whole = None,
    workers: Whole = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    isolate: Switch = False,
    store: Store = Path("runs"),
    fresh: Switch = False,
    json: Switch = False,
) -> int:
    """Run a closed loop of attacks: each takes what the one before leaves.

    Every asset is set to several doses to measure the gain of each leg, and rounds are really run
    beside what the gains predict. Exit code: 0 the loop was run, whether it grows or not; 2 a loop
    that cannot be run, said before anything is; 3 a part of it failed.

    Parameters
    ----------
    plan
        A plan with a table [loop], or the name of one that ships. Default: one loop through all
        four axes on digits.
    scene
        The scene, instead of that of the plan.
    rounds
        Times round the loop that are really run; 3 or more.
    clusters
        Independent owners with secrets of their own.
    defend
        A defense to run the loop behind as well, NAME or NAME:KEY=VALUE; may be repeated.
    set_
        A parameter of the scene, NAME=VALUE; may be repeated.
    seed
        Seed of every random choice.
    workers
        Number of worker processes. Default: one for each processor.
    time_limit
        Seconds that one cluster may take. Default: 6 hours.
    memory_limit
        GiB of memory that one cluster may hold. Default: 80 % of the machine's memory.
    isolate
        Play every attack in a process of its own. Attacks of plugins always do.
    store
        The folder of all runs, or a URL: s3://BUCKET/PLACE, sftp://HOST/PLACE and others.
    fresh
        Begin a new run even if there is one of the same command.
    json
        Print the run document on standard output.
    """
    from hartley.cli.assess import ordered_plan
    from hartley.engine.assess import Mistaken, assess
    from hartley.engine.plan.plan import LOOP

    ordered, source = ordered_plan(
        plan,
        scene,
        own_model=NOT_SET,
        set_=set_ or [],
        only=[LOOP],
        skip=[],
        seed=seed,
        workers=workers,
        time_limit=time_limit,
        memory_limit=memory_limit,
        isolate=isolate,
        defense=defend,
        defenses=True,
    )
    if ordered.loop is None:
        raise UsageError(f"the plan {plan} must have a table [loop], and has none")
    changed = replace(
        ordered.loop,
        rounds=ordered.loop.rounds if rounds is None else rounds,
        clusters=ordered.loop.clusters if clusters is None else clusters,
    )
    ordered = replace(ordered, loop=changed, name=ordered.name or SHIPPED)
    mistakes: tuple[str, ...] = ()
    try:
        with watching() as watch:
            document = assess(
                ordered,
                store=store,
                fresh=fresh,
                source=source,
                must_fit=ordered.use,
                watch=watch,
            )
    except Mistaken as mistake:
        document, mistakes = dict(mistake.document), mistake.lines
    if json:
        print_json(document)
    else:
        print_loops(document)
        from hartley.store import named

        run = document["id"]
        note(f"kept in {named(store)}/{run}; render it with: hartley report {run}")
    for line in mistakes:
        complain(line)
    if mistakes:
        return _USAGE
    whole_loops = all(one["clusters"] == one["ordered"] for one in document["loops"])
    return 0 if whole_loops else _UNSETTLED


def print_loops(document: Mapping[str, Any]) -> None:
    """Print the loops of a run: the picture, the gains, the rounds, and each defense beside it."""
    loops, scene = document["loops"], document["scene"]
    say(f"{scene['name']} ({scene['modality']}), seed {document['seed']}, run {document['id']}")
    say_hung("", loops[0]["story"])
    for one in loops:
        _print_loop(one)
    if len(loops) > 1:
        _print_beside(loops)


def _print_loop(one: Mapping[str, Any]) -> None:
    behind = f" behind {one['added'].replace('+', ' + ')}" if one["added"] else ""
    say()
    say(f"the loop{behind}, {one['clusters']} of {one['ordered']} clusters")
    if one["why"]:
        say(f"  no gains: {one['why']}")
        return
    _print_picture(one)
    if words := settings_say(one):
        say_hung("", words)
    share = f"{100 * (1 - one['alpha']):.3g}%"
    radius = one["radius"]
    say(
        f"{once_round(one)}: × {_times(one)}; that is ρ = {quantity(radius)} a leg, "
        f"P(ρ > 1) = {number(radius['grows'], 2)}: {verdict(one)}"
    )
    say_hung("", rounds_say(one))
    say_hung("", MEANING)
    say(f"intervals: {share}, over clusters; doses: {_doses(one)}")
    _print_cut(one)
    say()
    _print_rounds(one)


def _times(one: Mapping[str, Any]) -> str:
    return quantity({"value": one["gain"], "low": one["low"], "high": one["high"]})


def _doses(one: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{row['from']} {', '.join(number(point['dose'], 2) for point in row['points'])}"
        for row in one["gains"][: ring_of(one)]
    )


def _print_picture(one: Mapping[str, Any]) -> None:
    gains = {(row["from"], row["to"]): row for row in one["gains"]}
    ring = ring_of(one)
    lines = []
    for k, leg in enumerate(one["legs"]):
        row = gains[leg["from"], leg["to"]]
        name = leg["from"] if k < ring else f"{leg['from']} ─▶ {leg['to']} (across)"
        if k == ring:
            lines.append(f"  ╰──── {one['legs'][0]['from']}")
        lines.append(f"{'  ╭─▶ ' if k == 0 else '  │   ' if k < ring else '      '}{name}")
        axis, bar = leg["axis"].replace("_to_", " → "), "│" if k < ring else " "
        lines.append(f"  {bar}     │ {leg['attack']} ({leg['class']}, {axis}): {leg['how']}")
        lines.append(f"  {bar}     ▼ × {quantity(row)}{_words(row)}")
    if len(one["legs"]) == ring:
        lines.append(f"  ╰──── {one['legs'][0]['from']}")
    for line in lines:
        say(line)


def _words(row: Mapping[str, Any]) -> str:
    why = f": {row['why']}" if row["why"] else ""
    words = null_or_bent(row)
    return f", {words}{why}" if words else ""


def _print_cut(one: Mapping[str, Any]) -> None:
    if one["cut"] is not None:
        falls = ", ".join(
            f"{fall['from']} → {fall['to']} {number(fall['radius'], 2)}"
            for fall in one["cut"]["falls"]
        )
        say(f"ρ without a leg, each tried: {falls}")
    say(f"weakest cut: {cut_words(one)}")


def _print_rounds(one: Mapping[str, Any]) -> None:
    lines, trace = [], steps_of(one)
    for row in one["rounds"]:
        forecast = quantity({"value": row["predicted"], "low": row["low"], "high": row["high"]})
        steps = trace.get(step_key(row, row["asset"]), [])
        lines.append(
            (
                str(row["round"]) if row["leg"] else "start",
                " + ".join(step["attack"] for step in steps),
                row["asset"],
                number(row["share"]),
                number(row["control"]),
                forecast if row["predicted"] is not None else "–",
                beside(row),
                owner_by_owner(row) or "–",
                ", ".join(f"{name} {number(value, 1)}" for name, value in facts(steps)),
            )
        )
    columns = (
        *("round", "attack", "asset", "share", "untouched", "forecast of the excess"),
        *("beside it", "owner by owner", "what happened (means)"),
    )
    print_table(columns, lines, numbers=(0, 3, 4), drop=(8, 7))


def _print_beside(loops: Sequence[Mapping[str, Any]]) -> None:
    say()
    say("the loop without and behind each defense")
    lines = []
    for one in loops:
        if one["why"]:
            lines.append((one["added"] or "none", *["–"] * (len(one["legs"]) + 4)))
            continue
        cut = one["cut"]
        lines.append(
            (
                one["added"] or "none",
                *(quantity(row) for row in one["gains"]),
                _times(one),
                quantity(one["radius"]),
                number(one["radius"]["grows"], 2),
                quantity(one["change"]),
                " → ".join(cut["narrowest"]["edge"]) if cut else "–",
            )
        )
    legs = [f"{leg['from']} → {leg['to']}" for leg in loops[0]["legs"]]
    columns = (
        "defense",
        *legs,
        once_round(loops[0]),
        "ρ a leg",
        "P(ρ > 1)",
        "change in rounds",
        "narrowest",
    )
    print_table(columns, lines, numbers=(len(legs) + 3,))
