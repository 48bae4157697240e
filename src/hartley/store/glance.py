"""The list of runs at once: a row is read off the ends of a journal first, and checked after that.

To list a run, ``runs`` hashes its journal and its document: milliseconds for each, seconds for a
thousand. The first line of a journal holds the run's scene and time, its last one the verdict, and
each carries a digest of its own. A glance reads these two. Its row says ``checked: False``. A
program that goes on reads the whole run afterwards, in a thread; a command reads some of them whole
and says of which it did not.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

from hartley.core.errors import UsageError
from hartley.reference.schema import verdict_of, waived
from hartley.store.journal import JOURNAL, RUN, VERDICT, Journal, checked_line
from hartley.store.remote import spool_of
from hartley.store.run_index import Rows, read_index, state_of, write_index
from hartley.store.run_list import bring, newest_first, of_copy, row_of, run_folders, runs
from hartley.store.verdict_file import saved_verdict

END = 8192
"""Bytes of a journal's end that are read: its last lines, when they are about the whole run."""
WHOLE = 100
"""Runs that a command reads whole before it prints a list, which takes about a second."""
FRESH = 2.0
"""Seconds for which what a store at a URL said is not asked again."""


class Listing:
    """The list of a store for a program that asks again and again. Threads may share it.

    Args:
        store: the folder of all runs.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self._rows: Rows = {}
        self._unchecked: set[str] = set()
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._checker: threading.Thread | None = None
        self._remote = spool_of(store) is not None
        self._asked: dict[str, float] = {}
        self._listed: list[dict[str, Any]] = []

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of ``runs``; those that are yet to be checked have ``checked`` False.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._lock:
            if self._remote:
                if self._is_due(""):
                    self._listed = runs(self.store)
                return [dict(row) for row in self._listed]
            if not self._rows:
                self._rows = read_index(self.store)
            known, rows = self._rows, {}
            for folder in run_folders(self.store):
                name, state = folder.name, state_of(folder)
                if name not in known or known[name][0] != state:
                    rows[name] = state, glance(folder)
                    self._unchecked.add(name)
                else:
                    rows[name] = known[name]
            self._rows = rows
            self._unchecked &= rows.keys()
            if self._unchecked and (self._checker is None or not self._checker.is_alive()):
                self._checker = threading.Thread(target=self._check, daemon=True)
                self._checker.start()
            return newest_first(dict(row) for _, row in rows.values())

    def bring(self, run: str) -> None:
        """Fetch a run of a store at a URL, unless that was done a moment ago.

        Raises:
            StoreError: the store cannot be reached, or what it holds is damaged.
        """
        if self._remote:
            with self._lock:
                if self._is_due(run):
                    bring(self.store, run)

    def _is_due(self, what: str) -> bool:
        now = time.monotonic()
        if now - self._asked.get(what, -FRESH) < FRESH:
            return False
        self._asked[what] = now
        return True

    def settle(self) -> None:
        """Wait until every row is checked."""
        while (checker := self._checker) is not None and checker.is_alive():
            checker.join()

    def _check(self) -> None:
        while True:
            with self._lock:
                if not self._unchecked:
                    rows = dict(self._rows)
                    self._checker = None
                    break
                name = self._unchecked.pop()
            folder = self.store / name
            state = state_of(folder)
            row = row_of(folder)
            with self._lock:
                if name in self._rows:
                    self._rows[name] = state, row
        write_index(self.store, rows, {})


def runs_at_once(store: Path, *, whole: int = WHOLE) -> list[dict[str, Any]]:
    """Return the rows of ``runs``; where many changed, the older ones are glances.

    These have ``checked`` False, and are not kept: the next list reads more of them whole.

    Args:
        store: the folder of all runs.
        whole: changed runs that are read whole, the newest first.

    Raises:
        StoreError: the store cannot be read.
    """
    if spool_of(store) is not None:
        return runs(store)
    known, rows = read_index(store), {}
    for folder in run_folders(store):
        name, state = folder.name, state_of(folder)
        is_known = name in known and known[name][0] == state
        rows[name] = known[name] if is_known else (state, glance(folder))
    unread = newest_first(row for _, row in rows.values() if "checked" in row)
    for row in unread[:whole]:
        folder = store / row["id"]
        rows[folder.name] = state_of(folder), row_of(folder)
    read = {name: (state, row) for name, (state, row) in rows.items() if "checked" not in row}
    write_index(store, read, known)
    return newest_first(row for _, row in rows.values())


def glance(folder: Path) -> dict[str, Any]:
    """Return the row of one run, read off the ends of its journal.

    Where they do not say what it is, the whole run is read.
    """
    try:
        # Without waiting: a pipe in the place of a file would be read for ever.
        how = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
        with os.fdopen(os.open(folder / "journal.jsonl", how), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return row_of(folder)
            first = file.readline(END)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - END))
            last = file.read(END).split(b"\n")
        header = _line(first.rstrip(b"\n"))
        if header.get("schema") != JOURNAL:
            return row_of(folder)
        journal = Journal(header)
        cut = last.pop()
        for line in last[-3:]:
            record = _line(line)
            if record.get("job") in (RUN, VERDICT):
                journal.add(record, "")
        journal.ended = not cut and _line(last[-1]).get("job") in (RUN, VERDICT)
        return _row(folder, journal)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, UsageError):
        return row_of(folder)


def _line(line: bytes) -> dict[str, Any]:
    """Return a line that is as it was written; an empty record where it is not."""
    body, _ = checked_line(line)
    return dict(json.loads(body)) if body else {}


def _row(folder: Path, journal: Journal) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": folder.name,
        "created": str(journal.header.get("created", "")),
        "scene": str(journal.header["scene"]["name"]),
        "status": "unfinished",
        "checked": False,
    }
    if not os.path.lexists(folder / "run.json"):
        return row
    written = journal.records[RUN]
    if not journal.ended:
        return row_of(folder)
    row["status"] = str(written["verdict"])
    if (saved := saved_verdict(folder, journal)) is not None:
        row["status"] = verdict_of(saved)
        if exceptions := waived(saved):
            row["waived"] = exceptions
    of_copy(row, folder, str(written["run"]))
    return row
