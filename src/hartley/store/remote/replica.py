"""One run in two places: the folder of this machine, and the segments of a store at a URL.

The journal orders everything. What a store holds is sent in the order of the journal, each piece
with the files that it vouches for, so that whatever prefix of the segments arrived is a run as a
killed process leaves one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hartley.core.errors import DamagedRun, StoreError
from hartley.core.input_files import LARGEST_JSON, read_bytes
from hartley.store.disk import as_store_error, write_atomically
from hartley.store.journal import PLAN, RUN, VERDICT, Journal, line_of, read_journal
from hartley.store.remote.objects import Objects
from hartley.store.remote.segment import Segment, pack, place, unpack
from hartley.store.signing import FILE as SIGNATURE
from hartley.store.verify import digest_of, vouched_bytes

SENT = ".sent.json"
"""The file of a run's folder that says which segments it holds."""
ASIDE = ".aside"
"""The folder of a spool for what cannot join the run of the store."""
LARGEST = 2**25
"""Bytes of files in one segment, more or less."""
_OF_RUN = {
    PLAN: ("plan.toml", "plan_sha256"),
    RUN: ("run.json", "run_sha256"),
    VERDICT: ("verdict.json", "verdict_sha256"),
}


class Continued(StoreError):
    """Another machine has continued the run since this one held it."""


@dataclass(slots=True)
class Sent:
    """What of a run both places hold.

    Attributes:
        chain: names of its segments, in order.
        size: bytes of the journal.
        sha256: of these bytes.
        signature: SHA-256 of the signature; empty without one.
    """

    chain: list[str] = field(default_factory=list)
    size: int = 0
    sha256: str = hashlib.sha256().hexdigest()
    signature: str = ""


def read_sent(folder: Path) -> Sent:
    """Return what a folder says was sent or fetched; nothing where it does not say."""
    try:
        facts = json.loads((folder / SENT).read_bytes())
        chain = [str(name) for name in facts["chain"]]
        return Sent(chain, int(facts["size"]), str(facts["sha256"]), str(facts["signature"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Sent()


def journal_of(folder: Path) -> bytes:
    """Return the whole lines of a journal; none where there is none."""
    path = folder / "journal.jsonl"
    if not path.exists():
        return b""
    content = read_bytes(path, "the journal", StoreError, LARGEST_JSON)
    return content[: content.rfind(b"\n") + 1]


def is_sent(folder: Path) -> bool:
    """Whether the store has all of a folder's journal."""
    sent, journal = read_sent(folder), journal_of(folder)
    return sent.size == len(journal) and digest_of(journal) == sent.sha256


def names_of(objects: Objects, run: str) -> list[str]:
    """Return the segments of a run that a store holds, in order; forks are among them."""
    return sorted(name for name in objects.list(f"runs/{run}") if place(name) != (0, 0))


def fetch(objects: Objects, run: str, folder: Path) -> list[str]:
    """Bring the folder of a run to what the store holds, and keep what this machine has alone.

    Finished jobs that only this machine has join a run that is unfinished in the store; where they
    cannot, the whole folder is kept aside.

    Returns:
        What a person should know, in sentences.

    Raises:
        StoreError: the store cannot be read, or the folder cannot be written.
        DamagedRun: the store holds no segments that belong together.
    """
    names, sent, local = names_of(objects, run), read_sent(folder), journal_of(folder)
    left = None if is_sent(folder) else _left(folder)
    if set(sent.chain) - set(names) or digest_of(local[: sent.size]) != sent.sha256:
        sent = Sent()  # the run was removed there, or was changed here
        if local:
            _write_sent(folder, sent)
    if names == sent.chain:
        return []
    chain, segments = _chain(objects, run, names, sent.chain)
    if chain == sent.chain:
        return []
    new = chain[len(sent.chain) :]
    if chain[: len(sent.chain)] != sent.chain:  # the run was begun anew there
        sent, new = Sent(signature=sent.signature), chain
    journal = _joined(objects, run, local[: sent.size], new, segments)
    notices = []
    if left is not None and (_ends(journal) or not _alike(left, journal)):
        notices.append(
            f"the run {run!r} of {objects.url} went on elsewhere; what this machine alone has of "
            f"it is kept in {_set_aside(folder)}"
        )
        left, new = None, chain
        journal = _joined(objects, run, b"", new, segments)
    _apply(folder, [segments[name] for name in new], journal)
    now_sent = Sent(chain, len(journal), digest_of(journal), sent.signature)
    for name in new:
        if SIGNATURE in segments[name].files:
            now_sent.signature = digest_of(segments[name].files[SIGNATURE])
    _write_sent(folder, now_sent)
    if left is not None and (joined := _join(folder, left)):
        notices.append(f"{joined} finished jobs that only this machine had join the run {run!r}")
    return notices


def _joined(
    objects: Objects, run: str, journal: bytes, names: list[str], segments: dict[str, Segment]
) -> bytes:
    """Return a journal with the pieces of segments; those that are absent are read.

    Raises:
        DamagedRun: one is not there, or did not arrive whole.
    """
    segments |= _read(objects, run, [name for name in names if name not in segments])
    if missing := set(names) - segments.keys():
        raise DamagedRun(f"{objects.url}/runs/{run}/{min(missing)} is missing or damaged")
    for name in names:
        journal = journal[: segments[name].begin] + segments[name].piece
    return journal


def send(objects: Objects, run: str, folder: Path, generation: int, known: set[str]) -> bool:
    """Send what a folder has and the store has not.

    Args:
        objects: of the store.
        run: its name.
        folder: of the run.
        generation: of the segments that this holder of the run writes.
        known: names of all segments that the holder knows of; those that are sent are added.

    Returns:
        Whether anything was sent.

    Raises:
        Continued: the store has a segment that the holder does not know of.
        StoreError: the store cannot be written.
    """
    sent, journal = read_sent(folder), journal_of(folder)
    begin = sent.size if digest_of(journal[: sent.size]) == sent.sha256 else 0
    signed = _content(folder / SIGNATURE)
    new_signature = signed is not None and digest_of(signed) != sent.signature
    if len(journal) == begin and begin == sent.size and not new_signature:
        return False
    last = _records(journal)
    anything = False
    for piece, vouched in _pieces(folder, journal, begin, last):
        if set(names_of(objects, run)) - known:
            raise Continued(
                f"another machine has continued the run {run!r} of {objects.url}; what was played "
                f"here since is kept in {folder}, and joins the run where the same command is "
                "repeated here"
            )
        files, end = dict(vouched), begin + len(piece)
        if begin == 0 and (plan := _content(folder / "plan.toml")) is not None:
            files.setdefault("plan.toml", plan)  # no line vouches for it until a job is planned
        if end == len(journal) and new_signature and signed is not None:
            files[SIGNATURE] = signed
            sent.signature = digest_of(signed)
        places = [place(name) for name in known]
        number = 1 + max((number for at, number in places if at == generation), default=0)
        before = "" if begin == 0 else sent.chain[-1]
        name, content = pack(generation, number, Segment(before, begin, piece, files))
        objects.put(f"runs/{run}/{name}", content)
        known.add(name)
        sent.chain = [*([] if begin == 0 else sent.chain), name]
        sent.size, sent.sha256, begin = end, digest_of(journal[:end]), end
        _write_sent(folder, sent)
        anything = True
    return anything


def _pieces(
    folder: Path, journal: bytes, begin: int, last: Mapping[str, Mapping[str, Any]]
) -> Iterable[tuple[bytes, dict[str, bytes]]]:
    """Yield pieces of a journal from a place on, with the files that their lines vouch for."""
    piece, files, size = b"", dict[str, bytes](), 0
    for line in journal[begin:].splitlines(keepends=True):
        job = str(_parsed(line).get("job", ""))
        for path, digest in _files(job, last.get(job, {})):
            if path not in files:
                content = vouched_bytes(folder / path, digest)
                if content is not None:  # else a later line will say what it is
                    files[path] = content
                    size += len(content)
        piece += line
        if size > LARGEST:
            yield piece, files
            piece, files, size = b"", {}, 0
    if piece or size == 0:
        yield piece, files


def _files(job: str, record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the files that a line of a journal vouches for, with their digests."""
    if job in _OF_RUN:
        path, digest = _OF_RUN[job]
        return [(path, str(record[digest]))] if digest in record else []
    files = []
    if "trials_sha256" in record:
        files.append((f"trials/{job}.parquet", str(record["trials_sha256"])))
    if "row_sha256" in record:
        files.append((f"rows/{job}.json", str(record["row_sha256"])))
    return files


def _records(journal: bytes) -> dict[str, Mapping[str, Any]]:
    """Return the last line of each job, as a journal's reader has it."""
    return _read_lines(journal).records


def _chain(
    objects: Objects, run: str, names: list[str], known: list[str]
) -> tuple[list[str], dict[str, Segment]]:
    """Return the segments that belong together, of the newest generation, and those that were read.

    Segments that did not arrive whole, and those of a machine that went on after another had
    continued the run, are left out.
    """
    have = set(known)
    segments = _read(objects, run, [name for name in names if name not in have])
    for newest in reversed(names):
        chain: list[str] = []
        name = newest
        while name in segments or name in have:
            if name in have:
                return [*known[: known.index(name) + 1], *reversed(chain)], segments
            chain.append(name)
            name = segments[name].before
            if not name:
                return chain[::-1], segments
            if place(name) >= place(chain[-1]):  # no writer names a later one
                break
    raise DamagedRun(f"{objects.url} holds no whole journal of the run {run!r}")


def _read(objects: Objects, run: str, names: Iterable[str]) -> dict[str, Segment]:
    contents = objects.get(f"runs/{run}/{name}" for name in names)
    segments = {}
    for path, content in contents.items():
        name = path.rpartition("/")[2]
        if (segment := unpack(name, content)) is not None:
            segments[name] = segment
    return segments


def _apply(folder: Path, segments: Iterable[Segment], journal: bytes) -> None:
    """Write the files of segments, and then the journal."""
    with as_store_error(folder):
        for name in ("trials", "rows"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    files = {path: content for segment in segments for path, content in segment.files.items()}
    for path, content in files.items():
        write_atomically(folder / path, content)
    if not _ends(journal):
        with as_store_error(folder):
            (folder / "run.json").unlink(missing_ok=True)
    write_atomically(folder / "journal.jsonl", journal)


def _ends(journal: bytes) -> bool:
    """Whether a journal says that its run is finished."""
    return _read_lines(journal).ended


def _read_lines(journal: bytes) -> Journal:
    """Read a journal as far as its lines are JSON; whether they belong together is not checked."""
    read = Journal({})
    for line in journal.splitlines()[1:]:
        record = _parsed(line)
        if {"job", "event"} <= record.keys():
            read.add(record, "")
    return read


def _parsed(line: bytes) -> dict[str, Any]:
    """Return a line of a journal; nothing where it is damaged, which its reader will say."""
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


@dataclass(frozen=True, slots=True)
class _Left:
    """Finished jobs that the store does not have: the header of their journal, and their lines."""

    header: Mapping[str, Any]
    lines: Mapping[str, Mapping[str, Any]]


def _left(folder: Path) -> _Left | None:
    try:
        journal = read_journal(folder / "journal.jsonl")
    except StoreError:
        return None
    lines = {
        job: record
        for job, record in journal.records.items()
        if record.get("event") == "done" and job not in _OF_RUN
    }
    return _Left(journal.header, lines) if lines else None


def _alike(left: _Left, journal: bytes) -> bool:
    """Whether jobs were played for the same run: their journal has the same header but its time."""
    header = _parsed(journal.split(b"\n", 1)[0])
    other = ("created", "before", "check")
    return {k: v for k, v in header.items() if k not in other} == {
        k: v for k, v in left.header.items() if k not in other
    }


def _join(folder: Path, left: _Left) -> int:
    """Append the lines of finished jobs that a journal has not; return how many there were."""
    path, joined = folder / "journal.jsonl", 0
    journal = read_journal(path)
    content, last = path.read_bytes(), journal.last
    for job, record in left.lines.items():
        whole = all(
            vouched_bytes(folder / name, digest) is not None for name, digest in _files(job, record)
        )
        if whole and journal.records.get(job, {}).get("event") != "done":
            line, last = line_of({"event": "done", **record, "job": job}, last)
            content, joined = content + line, joined + 1
    if joined:
        write_atomically(path, content)
    return joined


def _set_aside(folder: Path) -> Path:
    """Copy what a folder holds to a place of its own; return the place."""
    place_of_all = folder.parent / ASIDE
    number = 1
    while (place_of_all / f"{folder.name}-{number}").exists():
        number += 1
    aside = place_of_all / f"{folder.name}-{number}"
    with as_store_error(aside):
        shutil.copytree(folder, aside, ignore=shutil.ignore_patterns(".*"))
    return aside


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _write_sent(folder: Path, sent: Sent) -> None:
    facts = {name: getattr(sent, name) for name in ("chain", "size", "sha256", "signature")}
    write_atomically(folder / SENT, json.dumps(facts).encode())
