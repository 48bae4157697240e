"""Run folders: create or continue one, write its jobs, read its results."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.core.errors import DamagedRun, StoreError
from hartley.core.input_files import LARGEST_TEXT, read_bytes, toml_table
from hartley.reference.schema import verdict_of
from hartley.store import remote, shared_index
from hartley.store.disk import (
    append,
    as_bytes,
    as_store_error,
    hold,
    remove_partial,
    sync_folder,
    write_atomically,
)
from hartley.store.journal import (
    ADOPTED,
    JOURNAL,
    PLAN,
    RUN,
    Journal,
    differences,
    journal_bytes,
    line_of,
    measured_part,
    mend,
    read_journal,
)
from hartley.store.run_list import (
    LATEST,
    LONGEST_NAME,
    bring,
    check_name,
    keep_listed,
    run_folders,
    runs,
)
from hartley.store.verify import REPLAY, digest_of, is_intact, trials_of, vouched_bytes

if TYPE_CHECKING:
    from hartley.core import Trials

__all__ = ["Ledger", "check_store", "fetch_matching", "noted_inputs", "open_run", "reopen", "runs"]

_ODD = re.compile(r"[^\w.+-]+")
INPUTS = "inputs_sha256"
"""Key of the journal's last line: the digest of all that the run depends on."""


@dataclass(slots=True)
class Ledger:
    """One run folder, held by this process until ``close``.

    Attributes:
        folder: where it is.
        journal: what was played, as far as the journal vouches for it.
        plan: the normalised plan that this process plays.
        healed: what was damaged or of an earlier version, and is played or measured again.
        process: the one that writes; a forked copy of it may not.
        inputs: digest of all that the run depends on, to be noted once it is finished.
    """

    folder: Path
    journal: Journal
    plan: str
    lock: Any = None
    healed: list[str] = field(default_factory=list)
    process: int = field(default_factory=os.getpid)
    inputs: str = ""
    _intact: dict[str, bool] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The run's name: its folder's."""
        return self.folder.name

    @property
    def header(self) -> Mapping[str, Any]:
        """First line of the journal: the plan's digest, scene, version, when it was opened."""
        return self.journal.header

    @property
    def records(self) -> Mapping[str, Mapping[str, Any]]:
        """Job → its last line of the journal."""
        return self.journal.records

    def done(self, job: str) -> bool:
        """Whether a job was played to its end and its trials are as they were written.

        A failed job, and one whose trials are damaged, is played again.
        """
        record = self.records.get(job, {})
        if record.get("event") != "done":
            return record.get("event") == "skipped"
        if "trials" not in record:  # the utility of a scene: its values are in the journal
            return True
        if job not in self._intact:
            self._intact[job] = is_intact(self.folder / record["trials"], record["trials_sha256"])
            if not self._intact[job]:
                self.healed.append(f"{record['trials']} is damaged; its job is played again")
        return self._intact[job]

    def trials(self, job: str) -> Trials:
        """Return the trials of a job that is done.

        Raises:
            StoreError: they are not those that the journal vouches for.
        """
        return trials_of(self.folder, self.records[job])

    def keep_trials(
        self, job: str, content: bytes, row: Mapping[str, Any], note: Mapping[str, Any]
    ) -> None:
        """Keep the trials of a job and its measured row: the files first, then the journal's line.

        Raises:
            StoreError: the disk is full or cannot be written; earlier results are kept.
        """
        self._write("trials", f"{job}.parquet", content)
        digests = {"trials_sha256": digest_of(content)}
        if row["row"]["status"] == "measured":  # an unmeasured row is measured again
            digests["row_sha256"] = self._write_row(job, row)
        self._intact[job] = True
        self.note("done", job, trials=f"trials/{job}.parquet", **digests, **note)

    def keep_row(self, job: str, row: Mapping[str, Any]) -> None:
        """Keep the measured half of a row whose trials were measured again.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        digest = self._write_row(job, row)
        if digest != self.records[job].get("row_sha256"):
            self.note("measured", job, row_sha256=digest)

    def _write_row(self, job: str, row: Mapping[str, Any]) -> str:
        content = as_bytes(json.dumps(row, allow_nan=False, ensure_ascii=False)) + b"\n"
        self._write("rows", f"{job}.json", content)
        return digest_of(content)

    def row(self, job: str) -> dict[str, Any] | None:
        """Return the measured half of a row; None where it is absent or not as it was written."""
        digest, path = self.records.get(job, {}).get("row_sha256"), f"rows/{job}.json"
        if digest is None:
            return None
        if (content := vouched_bytes(self.folder / path, digest)) is None:
            if path not in self._intact:  # notices once
                self.healed.append(f"{path} is damaged; its trials are measured again")
            self._intact[path] = False
            return None
        row: dict[str, Any] = json.loads(content)
        return row

    def _write(self, folder: str, name: str, content: bytes) -> None:
        self._check_process()
        with as_store_error(self.folder):
            (self.folder / folder).mkdir(exist_ok=True)
        write_atomically(self.folder / folder / name, content)

    def note(self, event: str, job: str, **note: Any) -> None:
        """Append one line to the journal.

        Raises:
            StoreError: the disk is full or cannot be written, or this is a forked copy of the
                process that opened the run.
        """
        self._check_process()
        record = {"event": event, "job": job, **note}
        line, check = line_of(record, self.journal.last)
        append(self.folder / "journal.jsonl", line)
        self.journal.add(record, check)

    def begin(self, **note: Any) -> None:
        """Write the plan and the work list down, and remove the document of the last time.

        What is now played may change its verdict.

        Raises:
            StoreError: the folder cannot be written.
        """
        self._check_process()
        with as_store_error(self.folder):
            (self.folder / "run.json").unlink(missing_ok=True)
        sync_folder(self.folder)
        content = as_bytes(self.plan)
        write_atomically(self.folder / "plan.toml", content)
        self.note("planned", PLAN, plan_sha256=digest_of(content), **note)
        shared_index.note_run(self.folder)

    def finish(self, document: Mapping[str, Any]) -> None:
        """Write the run document, then its digest into the journal.

        Raises:
            StoreError: the disk is full or cannot be written; the trials are kept.
        """
        self._check_process()
        text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
        content = as_bytes(text) + b"\n"
        write_atomically(self.folder / "run.json", content)
        word = verdict_of(document["verdict"])
        noted = {INPUTS: self.inputs} if self.inputs else {}
        noted |= {"run_sha256": digest_of(content), "verdict": word, "run": document["id"]}
        self.note("finished", RUN, **noted)

    @property
    def noted_inputs(self) -> str:
        """Digest of all that the finished run depends on; empty where that was not known."""
        return str(self.records.get(RUN, {}).get(INPUTS, "")) if self.journal.ended else ""

    def note_inputs(self) -> None:
        """Note, in the journal of a finished run, what its document depends on today.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        if self.inputs and self.inputs != self.noted_inputs:
            known = self.records[RUN]
            names = ("run_sha256", "verdict", "run")
            noted = {name: known[name] for name in names if name in known}
            self.note("finished", RUN, **noted, **{INPUTS: self.inputs})

    def close(self) -> None:
        """Let another process write to the folder."""
        if self.lock is not None and self.process == os.getpid():
            if self.journal.ended:
                keep_listed(self.folder)
            lock, self.lock = self.lock, None
            lock.release()
            shared_index.note_run(self.folder)

    def _check_process(self) -> None:
        if self.process != os.getpid():
            raise StoreError(
                f"the run in {self.folder} must be written by process {self.process}, which opened "
                f"it, got its forked copy {os.getpid()}; a part forked and did not exit"
            )


def check_store(store: Path) -> None:
    """Check that runs can be written, before a scene is built, which may take minutes.

    Raises:
        StoreError: they cannot.
    """
    remote.refuse_index(store, "play it in")
    shared_index.check()
    if remote.spool_of(store) is not None:
        remote.reach(store)
    with as_store_error(store):
        place = store.absolute()
        while not place.exists() and place != place.parent:  # a folder that is yet to be made
            place = place.parent
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def open_run(
    store: Path,
    *,
    name: str,
    plan: str,
    source: str = "",
    scene: Mapping[str, str],
    version: str,
    run: str | None = None,
    fresh: bool = False,
) -> Ledger:
    """Open a new run folder, or continue the one of the same command.

    Args:
        store: the folder of all runs.
        name: the plan's or the scene's name.
        plan: the normalised plan.
        source: the plan's file, if any: it distinguishes a changed plan from another plan.
        scene: name, digest and modality of the scene.
        version: of Hartley.
        run: the run's id, when the user chose one.
        fresh: start a new run even where a run of the same plan exists.

    Raises:
        StoreError: the folder cannot be written, another process uses it, or the run of that id
            has another plan, scene or version; the message says what changed.
    """
    header = {
        "schema": JOURNAL,
        "name": name,
        "source": source,
        "scene": dict(scene),
        "version": version,
        "measured_plan_sha256": _digest(measured_part(plan)),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    identity = _usual_name(name, plan, scene, version) if run is None else run
    check_name(identity)
    taken, notices = _taken(store, name)
    if fresh:
        identity = _next(store, identity, taken)
    elif run is None and identity not in taken and not (store / identity).exists():
        _same_as_left(store, header, plan)
    folder = store / identity
    with as_store_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
    remove_partial(store)
    lock = hold(folder)
    try:
        ledger = _continued(folder, header, plan, lock)
        ledger.healed += [*notices, *getattr(lock, "notices", ())]
        _point_latest(folder)
        return ledger
    except BaseException:
        lock.release()
        raise


def noted_inputs(folder: Path, name: str | None) -> str:
    """Return the digest of all that a finished run depends on, as its journal notes it, or "".

    Args:
        folder: of the run.
        name: of its plan or scene: only a run whose own name was made from it is read.

    Raises:
        StoreError: its journal cannot be read.
    """
    journal = read_journal(folder / "journal.jsonl", whole=False)
    header = journal.header
    if name is not None:
        usual = _usual_name(name, _plan_of(folder), header["scene"], header["version"])
        if folder.name != usual:
            return ""
    return str(journal.records.get(RUN, {}).get(INPUTS, "")) if journal.ended else ""


def _usual_name(name: str, plan: str, scene: Mapping[str, str], version: str) -> str:
    """The name of a run for which the user chose none."""
    key = hashlib.sha256(
        "\x1f".join([measured_part(plan), scene.get("digest", ""), version]).encode()
    ).hexdigest()[:8]
    # A plan's file may have any name, and one that is longer than a folder's.
    return "-".join([_cut(_ODD.sub("-", name)), key])


def _cut(name: str) -> str:
    """Return the beginning of a name that still has room for a digest behind it."""
    return name.encode()[: LONGEST_NAME - 100].decode("utf-8", "ignore").lstrip(".")


def _point_latest(folder: Path) -> None:
    content = f"{folder.name}\n{_digest(folder.name)}\n"
    write_atomically(folder.parent / LATEST, content.encode())


def _digest(text: str) -> str:
    return digest_of(as_bytes(text))


def reopen(folder: Path) -> Ledger:
    """Open the folder of a run to measure its trials again, without playing anything.

    The journal of an earlier version gets digests of the files as they are.

    Raises:
        StoreError: it does not exist, is damaged, or another process writes to it.
    """
    path = folder / "journal.jsonl"
    if not path.exists():
        raise StoreError(f"no run in {folder}: expected journal.jsonl")
    lock = hold(folder)
    try:
        mend(path)
        journal = read_journal(path)
        plan = _plan_of(folder)
        if not journal.checked:
            _adopt(folder, journal, plan)
            journal = read_journal(path)
        if journal.faults:
            raise DamagedRun(f"{path} is damaged: {'; '.join(journal.faults)}; {REPLAY}")
        planned = journal.records.get(PLAN, {}).get("plan_sha256", "")
        if planned and not is_intact(folder / "plan.toml", planned):
            raise DamagedRun(f"{folder / 'plan.toml'} is not the plan that was played; {REPLAY}")
        _point_latest(folder)
    except BaseException:
        lock.release()
        raise
    return Ledger(folder, journal, plan, lock)


def _adopt(folder: Path, journal: Journal, plan: str) -> None:
    """Write a journal of an earlier version anew, with digests of the files as they are now."""
    header, *records = journal.lines
    digests = {"measured_plan_sha256": _digest(measured_part(plan))}
    before = {ADOPTED: header["schema"]}  # nothing vouches for what happened until now
    lines: list[Mapping[str, Any]] = [{**header, "schema": JOURNAL, **digests, **before}]
    for record in records:
        more = {}
        if record["event"] == "done" and "trials" in record:
            with as_store_error(folder):
                more = {"trials_sha256": digest_of((folder / record["trials"]).read_bytes())}
        elif record["job"] == PLAN:
            more = {"plan_sha256": digest_of((folder / "plan.toml").read_bytes())}
        lines.append({**record, **more})
    content, _ = journal_bytes(lines)
    write_atomically(folder / "journal.jsonl", content)


def _continued(folder: Path, header: Mapping[str, Any], plan: str, lock: Any) -> Ledger:
    path, healed = folder / "journal.jsonl", list[str]()
    for place in (folder, *(folder / name for name in ("trials", "rows", "artifacts"))):
        remove_partial(place)
    journal = None
    if path.exists():
        mend(path)
    if path.exists() and path.stat().st_size:
        try:
            journal = read_journal(path)
        except DamagedRun:
            healed.append("the first line of journal.jsonl is damaged; every job is played again")
    if journal is not None:
        if changed := _changed(folder, journal.header, header, plan):
            raise StoreError(
                f"the run {folder.name!r} must have the same plan, scene and version, got "
                f"{'; '.join(changed)}. Choose another name with --run, or start a new run with "
                "--fresh"
            )
        if not journal.checked or journal.adopted:
            healed.append(
                "journal.jsonl is of an earlier version, without digests; every job is played again"
            )
            journal = None
    if journal is None:
        write_atomically(folder / "plan.toml", as_bytes(plan))
        content, last = journal_bytes([header])
        write_atomically(path, content)
        return Ledger(folder, Journal(header, last=last), plan, lock, healed)
    if journal.faults:
        healed += [f"journal.jsonl: {fault}; its job is played again" for fault in journal.faults]
        content, _ = journal_bytes(journal.lines)
        write_atomically(path, content)
        journal = read_journal(path)
    return Ledger(folder, journal, plan, lock, healed)


def _changed(
    folder: Path, old: Mapping[str, Any], header: Mapping[str, Any], plan: str
) -> list[str]:
    """Return what differs from a run that is there, one line per change."""
    digest, wanted = old.get("measured_plan_sha256"), header["measured_plan_sha256"]
    if digest == wanted:  # whatever plan.toml holds: it is written anew
        return differences(old, plan, header, plan)
    try:
        changed = differences(old, _plan_of(folder), header, plan)
    except StoreError:
        changed = differences(old, plan, header, plan)
    return changed or (["another plan"] if digest is not None else [])


def _same_as_left(store: Path, header: Mapping[str, Any], plan: str) -> None:
    """Refuse a new run while an unfinished run of the same name differs from it."""
    for folder in run_folders(store):
        if os.path.lexists(folder / "run.json"):
            continue
        try:
            old = read_journal(folder / "journal.jsonl").header
            old_plan = _plan_of(folder)
            changed = differences(old, old_plan, header, plan)
        except StoreError:
            continue
        same_plan = measured_part(old_plan) == measured_part(plan)
        if (
            changed
            and old.get("name") == header["name"]
            and (same_plan or (header["source"] and old.get("source") == header["source"]))
        ):
            raise StoreError(
                f"the run {folder.name!r} is unfinished and has changed since: "
                f"{'; '.join(changed)}. Undo the change to continue it, or start a new run with "
                "--fresh"
            )


def _plan_of(folder: Path) -> str:
    path = folder / "plan.toml"
    try:
        text = read_bytes(path, "the plan", StoreError, LARGEST_TEXT).decode()
        toml_table(text)
    except ValueError as error:
        raise DamagedRun(f"{path} is damaged: {error}; {REPLAY}") from error
    return text


def _next(store: Path, identity: str, taken: Collection[str]) -> str:
    name, number = identity, 1
    while name in taken or (store / name).exists():
        number += 1
        name = f"{identity}-{number}"
    return name


def _taken(store: Path, name: str) -> tuple[set[str], list[str]]:
    """Return the names of the runs of a store at a URL; unfinished ones of this plan are fetched.

    What a person should know of those is returned too.

    They are compared with the new run, so that a changed plan is notices. A folder says itself what
    it holds.
    """
    if remote.spool_of(store) is None:
        return set(), []
    remote.reach(store)
    rows = remote.listed(store)
    notices = [
        sentence
        for row in rows
        if row["status"] == "unfinished" and row["name"] == name
        for sentence in bring(store, str(row["id"]))
    ]
    return {str(row["id"]) for row in rows}, notices


def fetch_matching(store: Path, inputs: str, run: str | None) -> None:
    """Fetch the run of a store at a URL that may answer for a plan; a folder has it.

    Args:
        store: the folder of all runs.
        inputs: what the plan depends on, as a finished run notes it.
        run: the run's id, where the user chose one.

    Raises:
        StoreError: the store cannot be reached.
    """
    remote.refuse_index(store, "play it in")
    if remote.spool_of(store) is None:
        return
    remote.reach(store)
    for row in remote.listed(store):
        if row["inputs"] == inputs and run in (None, row["id"]):
            bring(store, str(row["id"]))
