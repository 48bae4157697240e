"""Compare the files of a run with the digests that its journal has of them.

Digests find damage, and edits of single files. Anyone who can write the whole folder can compute
them again: against them a store must be signed, or judged where it was made.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.core.errors import DamagedRun, UsageError
from hartley.reference.schema import check_schema
from hartley.store.journal import PLAN, RUN, Journal, read_journal
from hartley.store.read_document import read_run

if TYPE_CHECKING:
    from hartley.core import Trials

REPLAY = "the `hartley assess` command that made the run plays again what was damaged"
_UNCHECKED = (
    "the run {} was made by an earlier version, whose journals hold no digests; the "
    "`hartley assess` command that made it plays it again"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A run document, and what vouches for it.

    Attributes:
        document: the run document.
        doubt: why nothing vouches for it, and what to do; empty where the journal of its run does.
        digest: SHA-256 of ``run.json`` in the journal; empty where the document is alone or of an
            earlier version.
        journal: of the run; None in the same cases.
    """

    document: dict[str, Any]
    doubt: str = ""
    digest: str = ""
    journal: Journal | None = None


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def is_intact(path: Path, digest: str) -> bool:
    """Whether a file is there, can be read, and has this SHA-256."""
    try:
        # Without waiting: a pipe in the place of a file would be read for ever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            return regular and hashlib.file_digest(file, "sha256").hexdigest() == digest
    except (OSError, ValueError):
        return False


def vouched_bytes(path: Path, digest: str) -> bytes | None:
    """Return the content of a file that has this SHA-256, else None."""
    if not is_intact(path, digest):
        return None
    content = path.read_bytes()
    return content if digest_of(content) == digest else None


def trials_of(folder: Path, record: Mapping[str, Any]) -> Trials:
    """Return the trials of a line of the journal.

    Raises:
        DamagedRun: they are not those that the journal vouches for.
    """
    from hartley.store.table import read_trials, trials_from_bytes

    path = folder / record["trials"]
    if "trials_sha256" not in record:  # a run of an earlier version
        return read_trials(path)
    content = vouched_bytes(path, record["trials_sha256"])
    if content is None:
        raise DamagedRun(f"{path} is missing or damaged; {REPLAY}")
    return trials_from_bytes(content, str(path))


def read_verified(where: Path) -> Reading:
    """Read a run document as far as the files beside it vouch for it.

    Args:
        where: a run folder, or a file. The ``run.json`` of a run folder is read as the folder.

    Raises:
        DamagedRun: a file of the run is not what its journal says.
        StoreError: there is no such run, it is unfinished, or it cannot be read.
    """
    folder = where if where.is_dir() else where.parent
    alone = where != folder and where.name != "run.json"
    if alone or not (folder / "journal.jsonl").exists():
        return Reading(read_run(where), f"{where} is a copy without the journal of its run")
    journal = read_journal(folder / "journal.jsonl")
    if not journal.checked:
        return Reading(read_run(folder), _UNCHECKED.format(folder.name))
    if not journal.ended and not (folder / "run.json").exists():
        read_run(folder)  # says that the run must be finished first
    _refuse(folder, _faults(folder, journal))
    digest = journal.records[RUN]["run_sha256"]
    content = vouched_bytes(folder / "run.json", digest)
    assert content is not None  # `_faults` has hashed it
    try:
        # Its digest vouches for the fields, and its rows are compared below.
        document = dict(check_schema(json.loads(content)))
    except (ValueError, RecursionError, UsageError) as error:  # no Hartley writes such a document
        raise DamagedRun(f"{folder / 'run.json'} is damaged: {error}") from error
    _refuse(folder, _contradictions(folder, journal, document))
    # The name of a link is its own, not that of the folder behind it; `.` and `..` have none.
    name = (folder.resolve() if folder.name in ("", "..") else folder).name
    if document["id"] != name:
        return Reading(document, f"the folder {name} holds another run, {document['id']}")
    return Reading(document, _UNCHECKED.format(name) if journal.adopted else "", digest, journal)


def _refuse(folder: Path, sentences: Iterable[str]) -> None:
    if faults := list(sentences):
        message = f"the run {folder.name} is damaged: {'; '.join(faults)}; {REPLAY}"
        raise DamagedRun(message, faults)


def _faults(folder: Path, journal: Journal) -> Iterator[str]:
    """Say which files of a run are not what its journal says."""
    yield from (f"journal.jsonl: {fault}" for fault in journal.faults)
    if journal.cut:
        yield "journal.jsonl: its last line is incomplete"
    if not journal.ended:
        yield "its journal does not say that it was finished after it was played"
    elif not is_intact(folder / "run.json", journal.records[RUN]["run_sha256"]):
        yield "run.json is not the document that was written"
    planned = journal.records.get(PLAN, {}).get("plan_sha256", "")
    if not is_intact(folder / "plan.toml", planned):
        yield "plan.toml is not the plan that was played"
    for job, record in journal.records.items():
        if "trials_sha256" in record:
            path = record["trials"]
            if not is_intact(folder / path, record["trials_sha256"]):
                yield f"{path} is missing or damaged"
        if "row_sha256" in record and not is_intact(
            folder / "rows" / f"{job}.json", record["row_sha256"]
        ):
            yield f"rows/{job}.json is missing or damaged"


def _contradictions(folder: Path, journal: Journal, document: Mapping[str, Any]) -> Iterator[str]:
    """Say which rows of a document are not those that were measured."""
    lines = [line for line in journal.records[PLAN]["lines"]["rows"] if "standing" in line]
    rows = document["channels"]
    if [line["standing"]["id"] for line in lines] != [row["id"] for row in rows]:
        yield "run.json does not hold the rows of the work list"
        return
    for line, row in zip(lines, rows, strict=True):
        record = journal.records.get(line.get("key") or "", {})
        if record.get("event") == "done" and "row_sha256" in record:
            stored = json.loads((folder / "rows" / f"{line['key']}.json").read_bytes())["row"]
            if row != {**line["standing"], **stored}:
                yield f"run.json and rows/{line['key']}.json contradict each other"
        elif row["status"] == "measured":
            yield f"run.json holds a row {row['id']} that was not measured"
