"""The journal of a run: one line per played job, and the header that must not change.

Each line carries the SHA-256 of itself (``check``) and of the line before (``before``), so that a
line which was changed, removed, added or moved is seen. Lines that are missing at the end cannot be
seen: a process that is killed leaves such a journal, and the run is unfinished then.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hartley.core.errors import DamagedRun, StoreError
from hartley.core.input_files import LARGEST_JSON, json_value, read_bytes
from hartley.store.disk import as_store_error

JOURNAL = "hartley.journal/2"
UNCHECKED = "hartley.journal/1"
"""Journals of earlier versions, whose lines carry no digests."""

ADOPTED = "adopted"
"""Key of the header: the version of the journal before digests were added to it."""

PLAN, RUN, VERDICT = "plan", "run", "verdict"
"""The jobs of the lines that are about the whole run: its work list, its document, and a verdict
that was saved after it."""

_CHECK = b', "check": "'
_END = b'"}'
_TAIL = len(_CHECK) + 64 + len(_END)


@dataclass(slots=True)
class Journal:
    """What a journal says.

    Attributes:
        header: its first line.
        records: job → its last line; ``plan`` is the work list, ``run`` the document.
        last: the digest of the last line.
        ended: whether the last line says that the run is finished: nothing was played after it.
        cut: whether half a line is behind the last one.
        checked: whether its lines carry digests.
        lines: the lines that are as they were written, without digests.
        faults: what is wrong with the others, in words.
        digests: of the same lines.
    """

    header: Mapping[str, Any]
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    last: str = ""
    ended: bool = False
    cut: bool = False
    checked: bool = True
    lines: list[Mapping[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)

    @property
    def adopted(self) -> bool:
        """Whether its digests are of files that an earlier version wrote without any."""
        return ADOPTED in self.header

    def add(self, record: Mapping[str, Any], check: str) -> None:
        """Take a line over that was written or read."""
        job = record["job"]
        if record["event"] == "measured":  # another row of the same trials
            record = {**self.records.get(job, {}), "row_sha256": record["row_sha256"]}
        self.records[job] = record
        if job != VERDICT:  # a verdict changes nothing of what was played
            self.ended = record["event"] == "finished"
        self.last = check

    def skip(self, job: str, event: str, check: str) -> None:
        """Take over that a line is about a job, without what it says."""
        self.records[job] = {"event": event}
        self.ended, self.last = False, check


def line_of(record: Mapping[str, Any], before: str) -> tuple[bytes, str]:
    """Return a line of a journal, with the digest of the line before, and its own digest."""
    body = json.dumps({**record, "before": before}, default=str).encode()
    check = hashlib.sha256(body).hexdigest()
    return body[:-1] + _CHECK + check.encode() + _END + b"\n", check


def journal_bytes(lines: Iterable[Mapping[str, Any]]) -> tuple[bytes, str]:
    """Return a whole journal of these lines, and the digest of its last line."""
    content, check = [], ""
    for record in lines:
        line, check = line_of(record, check)
        content.append(line)
    return b"".join(content), check


def read_journal(path: Path, *, whole: bool = True) -> Journal:
    """Read a journal; an incomplete last line, left by a killed process, is ignored.

    Args:
        path: the file.
        whole: parse the lines of jobs and of the work list; else they are only compared with their
            digests, and ``records`` holds nothing but their events.

    Raises:
        DamagedRun: its first line is damaged. Other lines that are damaged are left out, and
            ``faults`` says which.
        StoreError: it cannot be read, or is a journal of an unknown version.
    """
    content = read_bytes(path, "the journal", StoreError, LARGEST_JSON)
    *lines, rest = content.split(b"\n")
    if lines and _is_unchecked(lines[0]):
        return _unchecked(path, lines)
    header, _ = checked_line(lines[0]) if lines else (b"", "")
    if not header:
        raise DamagedRun(f"{path} must begin with the header of a journal, got a damaged line")
    first = json.loads(header)
    if first.get("schema") != JOURNAL:
        schema = first.get("schema")
        raise StoreError(f"{path} must be a journal of schema {JOURNAL!r}, got {schema!r}")
    journal = Journal(first, cut=bool(rest))
    before: str | None = ""
    for number, line in enumerate(lines, 1):
        body, check = checked_line(line)
        if not body:
            journal.faults.append(f"line {number} is damaged")
            before = None  # the next line can only be held against itself
            continue
        job = None if whole else _JOB.match(body)
        record = None if job and job[2].decode() not in (RUN, VERDICT) else json.loads(body)
        previous = _before(body) if record is None else record.pop("before")
        if previous != before and before is not None:
            journal.faults.append(f"a line before line {number} is missing or was moved")
        before = check
        if record is None:
            assert job is not None
            journal.skip(job[2].decode(), job[1].decode(), check)
        elif number == 1:
            journal.lines.append(record)
            journal.digests.append(check)
            journal.header, journal.last = record, check
        else:
            journal.lines.append(record)
            journal.digests.append(check)
            _take(journal, number, record, check)
    return journal


def _take(journal: Journal, number: int, record: Mapping[str, Any], check: str) -> None:
    """Take over a line that is whole, unless it names a file of somewhere else."""
    if strays(record):
        journal.faults.append(f"line {number} names a file outside of the run")
    elif "schema" not in record:
        journal.add(record, check)


def strays(record: Mapping[str, Any]) -> bool:
    """Whether a line names a file that is not of its run: a journal may be of somewhere else."""
    job, trials = record.get("job", ""), record.get("trials")
    outside = not isinstance(job, str) or _STRAY.search(job) is not None
    return outside or (trials is not None and not _INSIDE.fullmatch(str(trials)))


_INSIDE = re.compile(r"trials/[\w.+-]+\.parquet")
"""Where trials are, in the folder of their run."""

_STRAY = re.compile(r"[/\\\x00]")


def _before(body: bytes) -> str:
    """Return the digest of the line before, which a line ends with."""
    begin = body.rfind(_BEFORE) + len(_BEFORE)
    return body[begin : -len(_END)].decode()


_BEFORE = b', "before": "'
_JOB = re.compile(rb'\{"event": "(\w+)", "job": "([^"\\]*)"')


def checked_line(line: bytes) -> tuple[bytes, str]:
    """Return a line without its digest, and the digest; no bytes where they do not agree."""
    body, tail = line[:-_TAIL] + b"}", line[-_TAIL:]
    check = hashlib.sha256(body).hexdigest()
    return (body, check) if tail == _CHECK + check.encode() + _END else (b"", "")


def _is_unchecked(line: bytes) -> bool:
    try:
        header = json_value(line)
    except ValueError:
        return False
    return isinstance(header, dict) and header.get("schema") == UNCHECKED


def _unchecked(path: Path, lines: list[bytes]) -> Journal:
    """Read a journal of an earlier version, as far as it is one."""
    parsed: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            record = json_value(line)
        except ValueError as error:
            raise StoreError(f"{path}, line {number} is damaged: {error}") from error
        if not isinstance(record, dict) or (number > 1 and not {"event", "job"} <= record.keys()):
            raise StoreError(f"{path}, line {number} is damaged: it is not a line of a journal")
        if strays(record):
            raise StoreError(f"{path}, line {number} names a file outside of the run")
        parsed.append(record)
    records = {str(record["job"]): record for record in parsed[1:]}
    return Journal(parsed[0], dict(records), checked=False, lines=list(parsed))


def mend(path: Path) -> None:
    """Cut off the half line that a killed process left."""
    content = read_bytes(path, "the journal", StoreError, LARGEST_JSON)
    complete = content.rfind(b"\n") + 1
    if complete != len(content):
        with as_store_error(path), path.open("rb+") as file:
            file.truncate(complete)


def differences(
    old: Mapping[str, Any], old_plan: str, new: Mapping[str, Any], new_plan: str
) -> list[str]:
    """Return what changed between two headers and their plans, one line per change."""
    changes = _changes(old_plan, new_plan)
    old_scene = old.get("scene")
    for key in ("name", "digest"):
        before = old_scene.get(key) if isinstance(old_scene, Mapping) else old_scene
        after = new["scene"].get(key)
        if before != after:
            cut = 12 if key == "digest" else None
            changes.append(f"scene {key}: {str(before)[:cut]} → {str(after)[:cut]}")
    if old.get("version") != new["version"]:
        changes.append(f"Hartley: {old.get('version')} → {new['version']}")
    return changes


def _changes(old: str, new: str) -> list[str]:
    """Return what differs between two normalised plans, except limits, which measure nothing."""
    before, after = (dict(_flat(tomllib.loads(text))) for text in (old, new))
    return [
        f"{key}: {before.get(key, 'absent')} → {after.get(key, 'absent')}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key) and not key.startswith("limits.")
    ]


def measured_part(plan: str) -> str:
    """Return the part of a normalised plan that affects measurements, as one string."""
    return json.dumps(
        [pair for pair in _flat(tomllib.loads(plan)) if not pair[0].startswith("limits.")]
    )


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
