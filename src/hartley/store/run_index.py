"""What the list of runs knows of folders that have not changed since it last read them.

To list a run is to hold its journal and its document against their digests, which are hundreds of
kilobytes. A store of many runs keeps the rows in a file, ``.index.json``, each under what the file
system says of the files that it was read off: their places, sizes and times of change, which no
program sets. It is a memory of the list alone: what judges, compares or renders a run reads it.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from hartley.core.errors import StoreError
from hartley.store.disk import as_bytes, write_atomically

FILE = ".index.json"
SCHEMA = "hartley.index/1"
MANY = 50
"""Runs from which the file is worth its writing."""
SETTLED = 2.0
"""Seconds since the last change: what changes again within one tick of a clock looks unchanged."""
READ = ("journal.jsonl", "run.json", "verdict.json")
"""The files of a run that its row is read off."""

TEXTS = ("created", "scene", "status")
"""What a row of a sound run says in words."""

Rows = dict[str, tuple[list[Any], dict[str, Any]]]
"""By a run's name: what the file system says of its files, and its row."""


def state_of(folder: Path) -> list[Any]:
    """Return what changes with every change of the files of a run; None for one that is absent."""
    states: list[Any] = []
    for name in READ:
        try:
            now = os.lstat(f"{folder}/{name}")
        except OSError:
            states.append(None)
        else:
            states.append([now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns])
    return states


def read_index(store: Path) -> Rows:
    """Return the rows that were kept; none where the file is absent or is not such a file."""
    try:
        content = json.loads((store / FILE).read_bytes())
        if content["schema"] != SCHEMA:
            return {}
        return {
            name: (state, row)
            for name, (state, row) in content["runs"].items()
            if row["id"] == name and all(isinstance(row[key], str) for key in TEXTS)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def write_index(store: Path, rows: Rows, before: Rows) -> None:
    """Keep the rows of runs that are sound and did not change a moment ago, where there are many.

    A store that cannot be written keeps none.

    Args:
        store: the folder of all runs.
        rows: of all runs.
        before: those that are kept already.
    """
    if len(rows) < MANY:
        return
    latest = (time.time() - SETTLED) * 1e9
    runs = {
        name: (state, row)
        for name, (state, row) in rows.items()
        if row["status"] != "damaged" and all(file[-1] < latest for file in state if file)
    }
    if runs != before:
        _write(store, runs)


def keep_row(store: Path, run: str, state: list[Any], row: dict[str, Any]) -> None:
    """Keep the row of one run, which the writer of its last change has just closed."""
    rows = read_index(store)
    if row["status"] != "damaged" and rows.get(run) != (state, row):
        _write(store, {**rows, run: (state, row)})


def _write(store: Path, runs: Rows) -> None:
    content = as_bytes(json.dumps({"schema": SCHEMA, "runs": runs}, separators=(",", ":")))
    with contextlib.suppress(StoreError, OSError):
        write_atomically(store / FILE, content)
