"""Find a stored run by its name, its folder, or the path of its document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hartley.core.errors import StoreError, UnknownName


def folder_of(run: str, store: Path) -> Path:
    """Return the folder of a run.

    Args:
        run: its id in the store, its folder, the path of its run.json, or ``latest``.
        store: the folder of all runs.

    Raises:
        UnknownName: no such run; offers the nearest.
        StoreError: there are no runs at all.
    """
    for path in (Path(run), store / run):
        if path.is_dir() and any((path / name).exists() for name in ("run.json", "journal.jsonl")):
            return path
        if path.is_file():
            return path.parent
    from hartley.store import runs

    run_ids: list[str] = [row["id"] for row in runs(store)] if store.is_dir() else []
    if run == "latest" and run_ids:
        return store / run_ids[0]
    if not run_ids:
        raise StoreError(
            f"no run named {run!r}: {store} holds no runs; choose its folder with --store"
        )
    raise UnknownName("run", run, run_ids)


def read(run: str, store: Path) -> dict[str, Any]:
    """Return a run document by the name, the folder or the path of the run.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    from hartley.store import read_run

    path = Path(run)
    return read_run(path if path.is_file() else folder_of(run, store))
