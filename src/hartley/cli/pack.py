"""``hartley pack``: real data and weights, fetched once by ordinary package clients."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from hartley.cli.terminal import lively, note, print_json, print_table, say, show_progress

app = App(
    name="pack",
    help="List packs of real data and weights, or fetch one.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)


@app.command(name="list")
def list_(*, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """List the packs: what is in each, its size, its licence, and whether it is installed.

    Parameters
    ----------
    json
        Print one JSON document.
    """
    from hartley.core.errors import MissingPack
    from hartley.data.packs import catalogue, locate

    rows: list[dict[str, Any]] = []
    for pack in catalogue():
        try:
            where: str | None = str(locate(pack.name))
        except MissingPack:
            where = None
        rows.append(
            {
                "name": pack.name,
                "summary": pack.summary,
                "client": pack.client,
                "package": pack.package,
                "version": pack.version,
                "licence": pack.licence,
                "bytes": pack.size,
                "core": pack.core,
                "folder": where,
            }
        )
    if json:
        print_json(rows)
        return 0
    print_table(
        ("pack", "here", "core", "MB", "licence", "what is inside"),
        [
            (
                *(r["name"], "yes" if r["folder"] else "no", "core" if r["core"] else ""),
                *(f"{r['bytes'] / 1e6:.1f}", r["licence"], r["summary"]),
            )
            for r in rows
        ],
        numbers=(3,),
        drop=(2, 4),
    )
    return 0


@app.command
def get(
    *names: str,
    core: Annotated[bool, Parameter(negative="")] = False,
    source: Annotated[Path | None, Parameter(name="--from")] = None,
    trust: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Fetch packs that are not installed yet, and print the folder of each.

    Parameters
    ----------
    names
        The packs.
    core
        All core packs: those that the tests need.
    source
        A folder that holds the pack's data files already, to use instead of a download.
    trust
        Accept that folder even if its files differ from the pinned ones.
    """
    from hartley.core.errors import UsageError
    from hartley.data.packs import catalogue

    wanted = list(dict.fromkeys([*names, *(p.name for p in catalogue() if core and p.core)]))
    if not wanted:
        raise UsageError("name a pack to fetch, or say --core; see: hartley pack list")
    if source is not None and len(wanted) > 1:
        raise UsageError(
            f"--from replaces the download of one pack; name exactly one, got {len(wanted)}"
        )
    for name in wanted:
        _fetch(name, source, trust)
    return 0


def _fetch(name: str, source: Path | None, trust: bool) -> None:
    from hartley.data.packs import catalogue
    from hartley.data.packs import get as fetch

    licence = next((pack.licence for pack in catalogue() if pack.name == name), None)
    if licence:
        note(f"{name}: licence {licence}")
    shows_progress = lively(sys.stderr)

    def progress(so_far: int, expected: int) -> None:
        if shows_progress:
            show_progress(f"{so_far / 1e6:8.1f} of {expected / 1e6:.1f} MB")

    home = fetch(name, source=source, trust=trust, progress=progress)
    if shows_progress:
        note()
    say(home)
