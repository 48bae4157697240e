"""``hartley chain A B``: attacks in order, the loot of each entering the scene of the next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from hartley import catalog
from hartley.cli.own_model import NOT_SET, OwnModel, chosen_scene
from hartley.cli.print_edges import print_edges
from hartley.cli.progress import watching
from hartley.cli.set_option import settings
from hartley.cli.store_option import Store
from hartley.cli.terminal import (
    above_zero,
    complain,
    exit_code,
    note,
    print_channels,
    print_json,
    say,
    whole,
)
from hartley.core.errors import UnknownName, UsageError

app = App(name="chain")

Switch = Annotated[bool, Parameter(negative="")]
Whole = Annotated[int | None, Parameter(converter=whole)]
_USAGE = 2
Repeated = Annotated[list[str] | None, Parameter(consume_multiple=False, negative="")]


@app.default
def chain(
    *attacks: str,
    scene: str | None = None,
    own_model: OwnModel = NOT_SET,
    slot: Repeated = None,
    against: Repeated = None,
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
    """Play attacks in order, and report what the last one gains from those before it.

    The last attack is played twice, on the same secrets: alone, or after a control whose loot
    carries nothing of the victim, and at the end of the chain. Exit code: 0 both were measured,
    whether there is a gain or not; 2 a chain that cannot be played, said before anything is; 3 a
    row failed.

    Parameters
    ----------
    attacks
        Two attacks or more, in order: hartley chain mislabelled_copies lira --scene digits
    scene
        The scene to attack, where it is not a model of your own.
    slot
        Where the loot enters the next scene (train, public, source, prompt or memory); once for
        each link. Default: the slot that fits.
    against
        An attack of the control, once for each: hartley chain knockoff pgd --against surrogate.
        Default: the last attack alone.
    set_
        A parameter of a part, PART.NAME=VALUE, for example lira.references=16, membership.rounds=8
        or digits.epochs=30; may be repeated.
    seed
        Seed of every random choice.
    workers
        Number of worker processes. Default: one for each processor.
    time_limit
        Seconds that one job may take; its row fails. Default: 6 hours.
    memory_limit
        GiB of memory that one job may hold; the same. Default: 80 % of the machine's memory.
    isolate
        Play every attack in a process of its own, which never holds the truth. Attacks of plugins
        always do.
    store
        The folder of all runs, or a URL: s3://BUCKET/PLACE, sftp://HOST/PLACE and others.
    fresh
        Begin a new run even if there is one of the same command.
    json
        Print the run document on standard output.
    """
    from hartley.engine.assess import Mistaken, assess
    from hartley.engine.chain import control_of, stages_of
    from hartley.engine.plan.plan import CHAINS, Chain, Plan

    scene, params_of_model = chosen_scene(scene, own_model.settings())
    tables = _tables(settings(set_ or []), scene)
    if params_of_model:
        tables["scene"][scene] = {**tables["scene"].get(scene, {}), **params_of_model}
    values = {"params": tables["attack"], "game_params": tables["game"]}
    control_of(stages_of(attacks, slot or (), **values), against or (), **values)
    plan = Plan(
        scene=scene,
        name=f"chain-{'-'.join(attacks)}",
        only=(CHAINS,),
        seed=seed or 0,
        workers=workers,
        time_limit=above_zero("time-limit", time_limit),
        memory_limit=above_zero("memory-limit", memory_limit),
        isolate=isolate or None,
        scenes=tables["scene"],
        chains=(
            Chain(
                attacks,
                tuple(slot or ()),
                tuple(against or ()),
                params=tables["attack"],
                games=tables["game"],
            ),
        ),
    )
    mistakes: tuple[str, ...] = ()
    try:
        with watching() as watch:
            document = assess(plan, store=store, fresh=fresh, watch=watch)
    except Mistaken as mistake:
        document, mistakes = dict(mistake.document), mistake.lines
    if json:
        print_json(document)
    else:
        _print(document, store)
    for line in mistakes:
        complain(line)
    if mistakes:
        return _USAGE
    return exit_code(row for row in document["channels"] if row["status"] != "skipped")


def _tables(pairs: Mapping[str, Any], scene: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Settings by kind of part and by part; a name without a part is the scene's."""
    tables: dict[str, dict[str, dict[str, Any]]] = {"attack": {}, "game": {}, "scene": {}}
    for key, value in pairs.items():
        part, dot, name = key.partition(".")
        if not dot:
            part, name = scene, key
        kinds = [k for k in tables if any(e.name == part for e in catalog.entries(k))]
        if part == scene:
            kinds = ["scene"]
        if not kinds:
            names = {e.name for kind in tables for e in catalog.entries(kind)}
            raise UnknownName("part", part, names)
        if len(kinds) > 1:
            raise UsageError(
                f"--set {key}: {part} names several parts ({', '.join(kinds)}); rename one"
            )
        tables[kinds[0]].setdefault(part, {})[name] = value
    return tables


def _print(document: Mapping[str, Any], store: Path) -> None:
    from hartley.store import named

    rows = [row for row in document["channels"] if row["status"] != "skipped"]
    scene = document["scene"]
    say(f"{scene['name']} ({scene['modality']}), seed {document['seed']}, run {document['id']}")
    print_channels(rows)
    print_edges(document)
    note(
        f"kept in {named(store)}/{document['id']}; render it with: hartley report {document['id']}"
    )
