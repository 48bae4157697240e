"""``hartley list``: every attack, defense, game, scene, plan, framework or run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from hartley import catalog
from hartley.cli.store_option import Store
from hartley.cli.terminal import note, print_json, print_table
from hartley.core.errors import StoreError, UsageError
from hartley.core.taxonomy import Modality

if TYPE_CHECKING:
    from hartley.reference.declared_defenses import Declared

WHAT = ("attacks", "defenses", "games", "scenes", "plans", "frameworks", "runs", "declared")

WIDEST = 100
"""Columns of a line, unless all is asked for."""

app = App(name="list")


@app.default
def list_(
    what: str | None = None,
    /,
    *,
    json: Annotated[bool, Parameter(negative="")] = False,
    matrix: Annotated[bool, Parameter(negative="")] = False,
    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), negative="")] = False,
    store: Store = Path("runs"),
    scene: str | None = None,
    status: str | None = None,
    check: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """List attacks, defenses, games, scenes, plans, frameworks, runs or the declared defenses.

    Parameters
    ----------
    what
        attacks, defenses, games, scenes, plans, frameworks, runs, or declared: the fifteen defenses
        that Hartley declares and where each is measured. All parts if left out.
    json
        Print one JSON document.
    matrix
        Print a table of class × modality instead: how many attacks and defenses each cell has.
    verbose
        Print all columns, and name the attacks of the matrix, or why a cell has none.
    store
        The folder of runs (for ``list runs``), a URL such as s3://BUCKET/PLACE, or
        postgresql://HOST/NAME, an index over many stores.
    scene
        Only runs of the scenes that match this pattern (for ``list runs``).
    status
        Only runs of this verdict in one word, or unfinished or damaged (for ``list runs``).
    check
        Compare the files of every run with their digests before it is listed (for ``list runs``);
        of a store that is listed for the first time, otherwise those of the newest 100.
    """
    if matrix:
        return _matrix(json=json, verbose=verbose)
    if what is not None and what not in WHAT and f"{what}s" not in WHAT:
        near = get_close_matches(what, WHAT, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"what to list must be one of {', '.join(WHAT)}, got {what!r}{hint}")
    what = what if what is None or what in WHAT else f"{what}s"
    others: dict[str | None, Callable[..., int]] = {
        "plans": _plans,
        "frameworks": _frameworks,
        "declared": _declared,
        "runs": partial(_runs, store, scene or "", status or "", check),
    }
    if what in others:
        return others[what](json=json)
    parts = catalog.entries(None if what is None else what.removesuffix("s"))
    if json:
        print_json([e.as_json() for e in parts])
        return 0
    classes = {e.name: e.cls for e in catalog.entries("game")}
    print_table(
        ("kind", "name", "class", "game", "axis", "term", "modalities", "what it does"),
        [
            (
                *(e.kind, e.name),
                e.cls or ", ".join(dict.fromkeys(classes.get(g, g) for g in e.protects)),
                e.game if e.kind == "attack" else "",
                *(e.axis.replace("_to_", "→"), e.term, _fits(e)),
                f"CANNOT BE USED: {e.error}" if e.error else e.summary,
            )
            for e in parts
        ],
        drop=(6, 5, 4, 2, 0),
        widest=None if verbose else WIDEST,
        uncut=[place for place, e in enumerate(parts) if e.error],
    )
    if what == "defenses":
        note("class: of the games that a defense protects; hartley show NAME lists these games")
    if what == "scenes":
        note("every game has two more: live:GAME leaks everything to it, dead:GAME leaks nothing")
    return 0


def _fits(entry: catalog.Entry) -> str:
    return "all" if len(entry.modalities) == len(Modality) else ", ".join(entry.modalities)


def _matrix(*, json: bool, verbose: bool) -> int:
    cells = catalog.matrix()
    if json:
        print_json({"cells": cells})
        return 0
    if not verbose:
        modalities = list(dict.fromkeys(cell["modality"] for cell in cells))
        counts = {
            (cell["class"], cell["modality"]): f"{len(cell['attacks'])} + {len(cell['defenses'])}"
            if cell["attacks"]
            else "–"
            for cell in cells
        }
        print_table(
            ("class", *modalities),
            [
                (name, *(counts.get((name, modality), "–") for modality in modalities))
                for name in dict.fromkeys(cell["class"] for cell in cells)
            ],
            widest=WIDEST,
        )
        note("attacks + defenses; -v names them, and says why a cell has none; hartley show NAME")
        note("says why a part leaves a modality out")
        return 0
    print_table(
        ("class", "modality", "attacks", "defenses", "why empty"),
        [
            (
                *(c["class"], c["modality"]),
                *(", ".join(c["attacks"]) or "–", ", ".join(c["defenses"]) or "–"),
                c["reason"] or "",
            )
            for c in cells
        ],
        drop=(3,),
    )
    return 0


def _frameworks(*, json: bool) -> int:
    from hartley.core.taxonomy import AXES, EDITION
    from hartley.reference import frameworks

    titles = frameworks.entries()
    rows = [
        {"class": name, **tag, "title": titles[tag["id"]].title if tag["id"] in titles else None}
        for name in AXES[EDITION]
        for tag in frameworks.tags(name)
    ]
    if json:
        print_json(rows)
        return 0
    print_table(
        ("class", "scheme", "edition", "id", "origin", "title"),
        [tuple(str(row[k] or "") for k in row) for row in rows],
    )
    return 0


def _declared(*, json: bool) -> int:
    """The fifteen declared defenses: the parts that have the role of each, by scene."""
    from dataclasses import asdict

    from hartley.reference.declared_defenses import ORIGIN, declared_defenses

    rows = declared_defenses()
    if json:
        print_json({"origin": ORIGIN, "defenses": [asdict(row) for row in rows]})
        return 0
    print_table(
        ("", "term", "defense", "scene: parts"),
        [
            (
                *(row.number, row.term, row.name),
                "; ".join(f"{scene}: {', '.join(parts)}" for scene, parts in row.forms.items())
                or f"open: {row.waits}",
            )
            for row in rows
        ],
    )
    note(f"{ORIGIN}; measured by hartley assess PLAN, where PLAN is one of:")
    for name, numbers in _measuring(rows).items():
        note(f"  {name}: {', '.join(numbers)}")
    return 0


def _measuring(rows: Sequence[Declared]) -> dict[str, list[str]]:
    """The plans of defenses that ship, with the numbers of the declared ones that each plays."""
    from hartley.cli.assess import plans
    from hartley.engine.plan.plan import parse

    numbers = {}
    for name, text in sorted(plans().items()):
        if name.partition("_")[0] == "defenses":
            plan = parse(text(), source=name)
            numbers[f"{name} ({plan.scene})"] = [
                row.number for row in rows if set(row.forms.get(plan.scene, ())) & set(plan.use)
            ]
    return numbers


def _plans(*, json: bool) -> int:
    """The plans that ship: the scene of each, and the first sentence of its comment."""
    from hartley.cli.assess import plans
    from hartley.engine.plan.plan import parse

    rows = []
    for name, text in sorted(plans().items()):
        body = text()
        comment = takewhile(lambda line: line.startswith("#"), body.splitlines())
        prose = " ".join(line.lstrip("# ") for line in comment)
        summary = prose.split(". ", 1)[0].rstrip(".")
        rows.append({"name": name, "scene": parse(body, source=name).scene, "summary": summary})
    if json:
        print_json(rows)
        return 0
    print_table(("plan", "scene", "what it does"), [tuple(row.values()) for row in rows])
    note("play one with: hartley assess NAME")
    return 0


def _verdict(run: Mapping[str, Any]) -> str:
    """Return a run's verdict in one word, with what it keeps by waivers and what is unread."""
    unread = "" if run.get("checked", True) else "files not compared yet"
    return ", ".join(filter(None, (str(run["status"]), run.get("waived"), unread)))


def _runs(store: Path, scene: str, status: str, check: bool, *, json: bool) -> int:
    from hartley.store import runs
    from hartley.store.glance import runs_at_once
    from hartley.store.shared_index import is_index, listed

    if (store.exists() or store.is_symlink()) and not store.is_dir():
        raise StoreError(f"a store must be a folder, got {store}")
    if many := is_index(store):
        stored = listed(store, scene=scene, status=status)
    else:
        stored = [
            row
            # Whoever asks for a verdict must get all that have it: damage is not seen at a glance.
            for row in (runs(store) if check or status else runs_at_once(store))
            if (not scene or fnmatchcase(str(row.get("scene", "")), scene))
            and status in ("", row["status"])
        ]
    if json:
        print_json(stored)
        return 0
    print_table(
        ("run", "created", "scene", "status", *(["store"] if many else [])),
        [
            (
                *(r["id"], r.get("created", ""), r.get("scene", ""), _verdict(r)),
                *([r["store"]] if many else []),
            )
            for r in stored
        ],
    )
    for row in stored:
        if row["status"] != "damaged" and "reason" in row:
            note(row["reason"])
    if unread := sum(1 for row in stored if not row.get("checked", True)):
        note(
            f"of {unread} runs the verdict is the last line of their journals; --check compares "
            "their files, and each list those of 100 more"
        )
    return 0
