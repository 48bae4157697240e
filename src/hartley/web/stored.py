"""The runs of a store as the pages read them: nothing is written, and no link is followed out."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hartley.core.errors import DamagedRun, StoreError, UsageError
from hartley.engine.result.doubtful import doubtful
from hartley.store import read_run, read_verified, saved_verdict
from hartley.store.glance import Listing
from hartley.store.journal import PLAN, Journal, read_journal
from hartley.store.row_trials import Load, trials_by_row
from hartley.store.run_index import state_of
from hartley.store.run_list import LATEST
from hartley.store.signing import signature_in_words
from hartley.store.verify import Reading, vouched_bytes

UNFINISHED, DAMAGED, FOREIGN = "unfinished", "damaged", "foreign"
REMEMBERED = 8
"""Runs whose documents stay in memory: one is up to some megabytes."""
COUNTED = 1000
"""Unfinished runs whose jobs stay counted in memory."""
PARTS = ("rows", "trials")
LINK = "{} is a link, which these pages do not follow"
ODD = "its files hold what no Hartley writes ({})"
_ODD = (AttributeError, LookupError, TypeError, ValueError, RecursionError)
_KEY = re.compile(r"[\w.:+-]{1,250}")
"""A job, of which files are named; a journal of somewhere else may name any file."""


class NoSuchRun(UsageError):
    """The store has no run of that name."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        planned: jobs of its work list; 0 where none is written yet.
        done: of these, the jobs that were played, skipped or failed.
        failed: of these, the jobs that failed.
        playing: whether a process holds the run now; None where the system does not say.
        changed: seconds since its journal last grew.
    """

    planned: int
    done: int
    failed: int
    playing: bool | None
    changed: float

    @property
    def words(self) -> str:
        """What goes on, in one sentence."""
        if not self.planned:
            jobs = "Its work list is not written yet"
        else:
            jobs = f"{self.done} of {self.planned} jobs done"
            jobs += f", {self.failed} of them failed" if self.failed else ""
        state = {
            True: "A process plays it now",
            False: "No process plays it: repeat the command that started it to continue",
            None: f"It last changed {_ago(self.changed)}",
        }[self.playing]
        return f"{jobs}. {state}."


@dataclass(frozen=True, slots=True)
class Run:
    """One run as far as it can be read.

    Attributes:
        name: of its folder.
        document: its run document; of an unfinished run what was measured until now; None where
            nothing can be read.
        state: of its list row: a verdict in one word, unfinished, damaged or foreign.
        doubt: why nothing vouches for the document; empty where its journal does.
        signature: by what key it is signed, in words; empty without a signature.
        progress: how far it is, where it is unfinished.
        load: returns the trials of a row.
        stamp: of the files it was read off.
    """

    name: str
    document: Mapping[str, Any] | None
    state: str
    doubt: str = ""
    signature: str = ""
    progress: Progress | None = None
    load: Load = field(default=lambda _row: None)
    stamp: Hashable = ()


class Stored:
    """The runs of one store. It may be asked by several threads.

    Args:
        store: the folder of all runs.

    Raises:
        StoreError: there is no such folder.
    """

    def __init__(self, store: Path) -> None:
        if not store.is_dir():
            what = "is not a folder" if os.path.lexists(store) else "does not exist"
            raise StoreError(
                f"the store must be a folder of runs, got {store}, which {what}; hartley assess "
                "makes one, and --store names another"
            )
        self.store = store
        self._known: OrderedDict[str, tuple[Hashable, Run]] = OrderedDict()
        self._counts: dict[str, tuple[Any, tuple[int, int, int] | None]] = {}
        self._lock, self._listing = threading.Lock(), Listing(store)

    def listed(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the list of runs, newest first, and the names of what is not a run, in order.

        Raises:
            StoreError: the store cannot be read.
        """
        rows = self._listing.rows()
        try:
            links = {entry.name: entry.is_symlink() for entry in os.scandir(self.store)}
        except OSError as error:
            raise StoreError(f"cannot read {self.store}: {error.strerror or error}") from error
        names = {row["id"] for row in rows}
        others = [n for n in links if n not in names and n != LATEST and not n.startswith(".")]
        listed = [
            {"id": row["id"], "status": FOREIGN, "reason": LINK.format(row["id"])}
            if links.get(row["id"])
            else row
            for row in rows
        ]
        return listed, sorted(others)

    def progress(self, name: str) -> Progress | None:
        """Return how far a run is; None where it has ended or cannot be read.

        Raises:
            NoSuchRun: there is none.
        """
        folder = self._folder(name)
        if _outside(folder):
            return None
        state = state_of(folder)[0]
        with self._lock:
            known = self._counts.get(name)
        if known is None or known[0] != state:
            try:
                journal = read_journal(folder / "journal.jsonl")
                known = state, None if journal.ended else _counts(journal)
            except UsageError:
                return None
            except _ODD:  # a journal of somewhere else, whose digests are right
                known = state, None
            with self._lock:
                while len(self._counts) >= COUNTED:
                    self._counts.pop(next(iter(self._counts)))
                self._counts[name] = known
        return None if known[1] is None else _progress(folder, known[1])

    def run(self, name: str) -> Run:
        """Return one run.

        Raises:
            NoSuchRun: there is none.
        """
        folder = self._folder(name)
        if reason := _outside(folder):
            return Run(name, None, FOREIGN, reason)
        stamp = tuple(_stamp(folder))
        with self._lock:
            if name in self._known and self._known[name][0] == stamp:
                self._known.move_to_end(name)
                known = self._known[name][1]
                if known.state != UNFINISHED:
                    return known
        links = [part for part, *state in stamp if state[-1]]
        if links:
            return Run(name, None, FOREIGN, f"a file of it is a link: {links[0]}")
        try:
            read = _read(folder, name, stamp)
        except UsageError as error:
            read = Run(name, None, DAMAGED, str(error), stamp=stamp)
        except _ODD as error:
            read = Run(name, None, DAMAGED, ODD.format(type(error).__name__), stamp=stamp)
        with self._lock:
            self._known[name] = stamp, read
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return read

    def _folder(self, name: str) -> Path:
        # Not only names that a new run may have: a folder that was copied is called "demo copy".
        inside = name not in ("", ".", "..", LATEST) and not set(name) & set("/\\\0")
        if inside:
            self._listing.bring(name)
        folder = self.store / name if inside else self.store
        if not inside or not os.path.lexists(folder / "journal.jsonl"):
            raise NoSuchRun(f"There is no run {name!r} in this store.")
        return folder


def _outside(folder: Path) -> str:
    """Say that a folder or a file that its row is read off is a link; empty where none is."""
    for path in (folder, *(folder / name for name in ("journal.jsonl", "run.json", *PARTS))):
        if path.is_symlink():
            return LINK.format(path.name)
    return ""


def _stamp(folder: Path) -> Iterator[tuple[Any, ...]]:
    """Yield (file, its size and times, whether it is a link) of all files of a run."""
    for place in (folder, *(folder / part for part in PARTS)):
        try:
            with os.scandir(place) as entries:
                for entry in sorted(entries, key=lambda one: one.name):
                    now = entry.stat(follow_symlinks=False)
                    if not stat.S_ISDIR(now.st_mode):
                        link = not stat.S_ISREG(now.st_mode)
                        yield entry.path, now.st_ino, now.st_size, now.st_ctime_ns, link
        except OSError:
            continue


def _read(folder: Path, name: str, stamp: Hashable) -> Run:
    """Read one run.

    Raises:
        UsageError: nothing of it can be read.
    """
    journal = read_journal(folder / "journal.jsonl")
    if not journal.ended and not os.path.lexists(folder / "run.json"):
        document = _so_far(folder, journal, name)
        if journal.faults:
            raise DamagedRun(f"{folder / 'journal.jsonl'}: {'; '.join(journal.faults)}")
        progress = _progress(folder, _counts(journal))
        load = trials_by_row(folder, journal)
        return Run(name, document, UNFINISHED, progress=progress, load=load, stamp=stamp)
    try:
        reading = read_verified(folder)
    except DamagedRun as damage:
        document = doubtful(read_run(folder), str(damage))
        return Run(name, document, DAMAGED, str(damage), stamp=stamp)
    return _finished(folder, name, reading, stamp)


def _finished(folder: Path, name: str, reading: Reading, stamp: Hashable) -> Run:
    document = reading.document
    if reading.doubt and document["verdict"].get("checks"):
        document = doubtful(document, f"unverified: {reading.doubt}")
    elif reading.journal is not None:
        saved = saved_verdict(folder, reading.journal)
        document = document if saved is None else {**document, "verdict": saved}
    return Run(
        name,
        document,
        str(document["verdict"].get("status")),
        reading.doubt,
        signature_in_words(folder, reading),
        load=trials_by_row(folder, reading.journal),
        stamp=stamp,
    )


def _lines(journal: Journal) -> list[Mapping[str, Any]]:
    return list(journal.records.get(PLAN, {}).get("lines", {}).get("rows", ()))


def _counts(journal: Journal) -> tuple[int, int, int]:
    """Return how many jobs are planned, done, and failed."""
    jobs = {line["key"] for line in _lines(journal) if line.get("key")}
    ended = [journal.records[job] for job in jobs if job in journal.records]
    return len(jobs), len(ended), sum(record["event"] == "failed" for record in ended)


def _progress(folder: Path, counts: tuple[int, int, int]) -> Progress:
    state = state_of(folder)[0]
    changed = time.time() - state[3] / 1e9 if state else 0.0
    return Progress(*counts, _is_held(folder / ".lock"), max(0.0, changed))


def _so_far(folder: Path, journal: Journal, name: str) -> dict[str, Any]:
    """Return what an unfinished run has measured, in the shape of a run document."""
    rows = []
    for line in _lines(journal):
        if "standing" not in line:
            continue
        record = journal.records.get(line.get("key") or "", {})
        row = None
        if "row_sha256" in record and _KEY.fullmatch(line["key"]):
            row = vouched_bytes(folder / "rows" / f"{line['key']}.json", record["row_sha256"])
        if row is not None:
            rows.append({**line["standing"], **json.loads(row)["row"]})
        elif record.get("event") == "failed":
            rows.append(_unmeasured(line, "failed", str(record.get("reason") or "")))
        elif "status" in line:
            rows.append(_unmeasured(line, line["status"], line["reason"], line.get("cause")))
    scene = journal.header.get("scene")
    return {
        "id": name,
        "created": str(journal.header.get("created", "")),
        "version": str(journal.header.get("version", "")),
        "scene": dict(scene) if isinstance(scene, Mapping) else {"name": str(scene)},
        "channels": rows,
        "verdict": {"status": UNFINISHED, "reasons": [], "checks": []},
    }


def _unmeasured(
    line: Mapping[str, Any], status: str, reason: str, cause: str | None = None
) -> dict[str, Any]:
    return {**line["standing"], "status": status, "reason": reason, "cause": cause}


def _is_held(lock: Path) -> bool | None:
    """Whether a process holds a lock; None where the system does not list its locks.

    It is not tried: a try could make a command fail that begins in the same moment.
    """
    try:
        number = str(lock.stat().st_ino)
    except OSError:
        return False
    try:
        lines = Path("/proc/locks").read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    locks = [line.split() for line in lines]
    return any(len(words) > 5 and words[5].rpartition(":")[2] == number for words in locks)


def _ago(seconds: float) -> str:
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {word}{'' if number == 1 else 's'} ago"
    return "less than a minute ago"
