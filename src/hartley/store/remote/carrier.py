"""Carries runs between a spool and its store: a process beside the command that plays.

It alone speaks with the store, so that no connection or thread is in a process that forks workers,
and it sends what is finished while the command plays on. Where the command is killed it sends the
rest and ends. It reads one JSON object a line and answers each with one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hartley.core.errors import DamagedRun, HartleyError, StoreError
from hartley.store.disk import write_atomically
from hartley.store.journal import RUN, VERDICT, read_journal
from hartley.store.remote import lease
from hartley.store.remote.objects import Objects, reason
from hartley.store.remote.replica import (
    Continued,
    fetch,
    is_sent,
    journal_of,
    names_of,
    send,
)
from hartley.store.remote.segment import place
from hartley.store.remote.spool import Spool, spool_of
from hartley.store.run_index import TEXTS
from hartley.store.run_list import check_name, row_of

MARK = "hartley-store.json"
MARK_SCHEMA = "hartley.objects/1"
HEADS = "heads"
LISTED = ".heads.json"
"""The file of a spool with the rows of the store's list that were read already."""
SHOWN = 5.0
"""Seconds between two rows for the list while a run is played."""
TICK = 0.5
"""Seconds between two looks at a run that is played."""
ATTEMPTS, PAUSE = 4, 3.0
"""How often, and after how many seconds, the last of a run is sent again where that failed."""


@dataclass(slots=True)
class Holding:
    """A run that is written here.

    Attributes:
        generation: of its segments.
        known: names of its segments that this process knows of.
        looked: what the file system said of its journal when it was sent last.
        renewed: when its lease was written.
        unshown: whether anything was sent since then.
        listed_at: when its row for the list was written.
        trouble: why the last attempt to send failed; empty where it did not.
        again: when the next attempt is made.
        stopped: why nothing more is sent: another machine has continued the run.
    """

    generation: int
    known: set[str]
    looked: Any = None
    renewed: float = field(default_factory=time.monotonic)
    listed_at: float = 0.0
    unshown: bool = False
    trouble: str = ""
    again: float = 0.0
    stopped: str = ""


class Carrier:
    """Does what a command asks of a store.

    Args:
        spool: of the store.
    """

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.holdings: dict[str, Holding] = {}
        self._objects: Objects | None = None
        self._checked = False

    @property
    def objects(self) -> Objects:
        """The objects of the store, which is reached at the first use."""
        if self._objects is None:
            self._objects = Objects(self.spool.url)
        return self._objects

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do one thing; return its result, or ``{"error": why not}``."""
        try:
            done = getattr(self, f"do_{request['do']}")(**request.get("with", {}))
        except HartleyError as error:
            return {"error": str(error), "damaged": isinstance(error, DamagedRun)}
        except Exception as error:
            return {"error": f"cannot use {self.spool.url}: {reason(error)}"}
        return {"done": done}

    def do_check(self, write: bool) -> None:
        """Check that the store can be reached; make it where it is to be written.

        Raises:
            StoreError: it cannot, or the URL holds something else.
        """
        if self._checked:
            return
        content = self.objects.get([MARK]).get(MARK)
        if content is None:
            if not write:
                raise StoreError(
                    f"no store at {self.spool.url}: expected {MARK}; hartley assess makes one"
                )
            content = json.dumps({"schema": MARK_SCHEMA}).encode()
            self.objects.put(MARK, content)
        try:
            known = json.loads(content)["schema"] == MARK_SCHEMA
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise StoreError(
                f"{self.spool.url}/{MARK} must be of schema {MARK_SCHEMA!r}; another version of "
                "Hartley wrote it, or something else"
            )
        self._checked = True

    def do_list(self) -> list[dict[str, Any]]:
        """Return a row for each run of the store."""
        self.do_check(write=False)
        newest: dict[str, str] = {}
        for name in sorted(self.objects.list(HEADS)):
            run, mark, _ = name.partition("~")
            if mark:
                newest[run] = name
        known = self._listed()
        absent = [name for name in newest.values() if name not in known]
        contents = self.objects.get(f"{HEADS}/{name}" for name in absent)
        rows = {}
        for run, name in newest.items():
            row = known.get(name) or _row(run, contents.get(f"{HEADS}/{name}", b""))
            if row is not None:
                rows[name] = row
        if absent or rows.keys() != known.keys():
            content = json.dumps(rows).encode()
            with contextlib.suppress(StoreError):
                write_atomically(self.spool.folder / LISTED, content)
        return list(rows.values())

    def do_bring(self, run: str) -> list[str]:
        """Fetch a run, unless a process of this machine writes it now.

        Returns:
            What a person should know, in sentences.
        """
        from filelock import FileLock, Timeout

        self.do_check(write=False)
        check_name(run)
        folder = self.spool.folder / run
        if not names_of(self.objects, run):
            return []
        folder.mkdir(exist_ok=True)
        try:
            with FileLock(folder / ".lock").acquire(timeout=5):
                return fetch(self.objects, run, folder)
        except Timeout:
            return []  # what is played here is newer than what was sent

    def do_hold(self, run: str) -> list[str]:
        """Take the lease of a run and fetch it. The caller holds the lock of its folder.

        Returns:
            What a person should know, in sentences.
        """
        self.do_check(write=True)
        lease.claim(self.objects, run, self.spool.owner)
        try:
            notices = fetch(self.objects, run, self.spool.folder / run)
            known = names_of(self.objects, run)
        except BaseException:
            lease.release(self.objects, run, self.spool.owner)
            raise
        generation = 1 + max((place(name)[0] for name in known), default=0)
        self.holdings[run] = Holding(generation, set(known))
        return notices

    def do_release(self, run: str) -> None:
        """Send the rest of a run, and give its lease back.

        Raises:
            StoreError: not all of it could be sent.
        """
        holding = self.holdings[run]
        for attempt in range(ATTEMPTS):
            self._send(run, holding, last=True)
            if not holding.trouble or holding.stopped:
                break
            if attempt + 1 < ATTEMPTS:
                time.sleep(PAUSE)
        del self.holdings[run]
        lease.release(self.objects, run, self.spool.owner)
        if holding.stopped:
            raise StoreError(holding.stopped)
        if holding.trouble:
            raise StoreError(
                f"{holding.trouble}; everything that was played is kept in "
                f"{self.spool.folder / run}, and the same command sends the rest"
            )

    def tick(self) -> None:
        """Send what is new of the runs that are held, and renew their leases."""
        now = time.monotonic()
        for run, holding in self.holdings.items():
            if holding.stopped:
                continue
            if now - holding.renewed > lease.RENEWAL:
                holding.renewed = now
                with contextlib.suppress(StoreError):
                    lease.renew(self.objects, run, self.spool.owner)
            if now >= holding.again:
                self._send(run, holding)

    def _send(self, run: str, holding: Holding, *, last: bool = False) -> None:
        folder = self.spool.folder / run
        looked = _look(folder)
        if looked == holding.looked and not last:
            return
        try:
            holding.unshown |= send(self.objects, run, folder, holding.generation, holding.known)
            if holding.unshown and (last or time.monotonic() - holding.listed_at > SHOWN):
                self._show(run)
                holding.listed_at, holding.unshown = time.monotonic(), False
            holding.trouble, holding.looked = "", looked
        except Continued as error:
            holding.stopped = holding.trouble = str(error)
        except Exception as error:
            holding.trouble = (
                str(error) if isinstance(error, HartleyError) else f"cannot send: {reason(error)}"
            )
            holding.again = time.monotonic() + 5.0

    def _show(self, run: str) -> None:
        """Write the row of a run for the list, and remove the one before."""
        folder = self.spool.folder / run
        row = row_of(folder)
        if row["status"] == "damaged":
            return
        journal = read_journal(folder / "journal.jsonl", whole=False)
        facts = {
            "name": journal.header.get("name", ""),
            "inputs": str(journal.records.get(RUN, {}).get("inputs_sha256", "")),
            "opened": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "version": journal.header.get("version", ""),
        }
        before = [name for name in self.objects.list(HEADS) if name.startswith(f"{run}~")]
        number = 1 + int(max(before).rpartition("~")[2].partition(".")[0]) if before else 1
        if list(journal.records)[-1:] == [VERDICT] and before:  # a verdict is not a new start
            known = self.objects.get([f"{HEADS}/{max(before)}"])
            for content in known.values():
                facts["opened"] = (_row(run, content) or facts)["opened"]
        content = json.dumps({**row, **facts}).encode()
        self.objects.put(f"{HEADS}/{run}~{number:09}.json", content)
        for name in before:
            self.objects.remove(f"{HEADS}/{name}")

    def _listed(self) -> dict[str, dict[str, Any]]:
        try:
            rows = json.loads((self.spool.folder / LISTED).read_bytes())
            return {str(name): dict(row) for name, row in rows.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


def _look(folder: Path) -> list[Any]:
    """Return what changes with every change of a run that is sent."""
    states = []
    for name in ("journal.jsonl", "signature.json"):
        try:
            now = (folder / name).stat()
            states.append([now.st_ino, now.st_size, now.st_mtime_ns])
        except OSError:
            states.append([])
    return states


def _row(run: str, content: bytes) -> dict[str, Any] | None:
    """Return a row of the list; None where an object is none."""
    try:
        row = json.loads(content)
        texts = all(isinstance(row[key], str) for key in (*TEXTS, "name", "inputs", "opened"))
        return dict(row) if texts and row["id"] == run else None
    except (ValueError, KeyError, TypeError):
        return None


def unsent(folder: Path) -> bool:
    """Whether a folder of a spool has something that its store has not."""
    return bool(journal_of(folder)) and not is_sent(folder)


def main(folder: Path) -> int:
    """Answer the command that started this process, until it ends."""
    spool = spool_of(folder)
    if spool is None:
        return 2
    carrier, parent, rest = Carrier(spool), os.getppid(), b""
    while True:
        ready, _, _ = select.select([0], [], [], TICK if carrier.holdings else 5.0)
        piece = os.read(0, 65536) if ready else None
        if piece == b"" or os.getppid() != parent:
            break
        *lines, rest = (rest + (piece or b"")).split(b"\n")
        for line in lines:
            sys.stdout.write(json.dumps(carrier.answer(json.loads(line))) + "\n")
            sys.stdout.flush()
        carrier.tick()
    for run in list(carrier.holdings):  # the command was killed
        carrier.answer({"do": "release", "with": {"run": run}})
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
