"""Run folders: create or continue one, write its jobs, read its results."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.core.errors import DamagedRun, StoreError, UsageError
from hartley.core.input_files import LARGEST_TEXT, read_bytes, toml_table
from hartley.reference.schema import verdict_of, waived
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
from hartley.store.read_document import read_run
from hartley.store.run_index import read_index, state_of, write_index
from hartley.store.verdict_file import saved_verdict
from hartley.store.verify import REPLAY, digest_of, is_intact, trials_of, vouched_bytes

if TYPE_CHECKING:
    from hartley.core import Trials

_ODD = re.compile(r"[^\w.+-]+")
_NAME = re.compile(r"^[\w.:+-]{1,120}$")
LONGEST_NAME = 200
"""Bytes of a run's name: file systems allow 255, and some letters are of four."""
INPUTS = "inputs_sha256"
"""Key of the journal's last line: the digest of all that the run depends on."""
LATEST = "latest"
"""The file of a store that names the run which was assessed last."""


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
            if path not in self._intact:  # said once
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
            self.lock.release()
            self.lock = None

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
    if fresh:
        identity = _next(store, identity)
    elif run is None and not (store / identity).exists():
        _same_as_left(store, header, plan)
    folder = store / identity
    with as_store_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
    remove_partial(store)
    lock = hold(folder)
    try:
        ledger = _continued(folder, header, plan, lock)
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


def check_name(run: str) -> None:
    """Check the name of a run, which is that of its folder.

    Raises:
        StoreError: it is not such a name.
    """
    short = len(run.encode("utf-8", "replace")) <= LONGEST_NAME
    if not short or not _NAME.fullmatch(run) or run.startswith(".") or run == LATEST:
        raise StoreError(
            "the name of a run must be 1 to 120 letters, digits, '-', '_' and '.', "
            f"must not begin with '.' and must not be {LATEST!r}, got {run!r}"
        )


def latest(store: Path) -> str:
    """Return the id of the run that ``hartley assess`` began, continued or measured last.

    A store of an earlier version does not say which it was; there it is the newest run.

    Raises:
        StoreError: the store holds no runs, the run was removed, two runs are equally new, or the
            file that names the latest is damaged.
    """
    pointer = store / LATEST
    if pointer.is_file():
        try:
            run_id, *check = pointer.read_text(errors="replace").splitlines() or [""]
        except OSError as error:
            raise StoreError(f"cannot read {pointer}: {error.strerror or error}") from error
        if check != [_digest(run_id)]:
            raise StoreError(f"{pointer} is damaged; name the run (hartley list runs)")
        if not _NAME.match(run_id) or not (store / run_id / "journal.jsonl").is_file():
            raise StoreError(
                f"the latest run of {store} is not there any more; name the run (hartley list runs)"
            )
        return run_id
    rows = runs(store) if store.is_dir() else []
    if not rows:
        raise StoreError(
            f"no run named {LATEST!r}: {store} holds no runs; choose its folder with --store"
        )
    newest = [row["id"] for row in rows if row.get("created") == rows[0].get("created")]
    if len(newest) > 1:
        raise StoreError(f"the latest run must be one, got {' and '.join(newest)}; name the run")
    return str(newest[0])


def _point_latest(folder: Path) -> None:
    content = f"{folder.name}\n{_digest(folder.name)}\n"
    write_atomically(folder.parent / LATEST, content.encode())


def _digest(text: str) -> str:
    return digest_of(as_bytes(text))


def runs(store: Path) -> list[dict[str, Any]]:
    """Return the index over the runs of a store, newest first, read off their folders.

    A run that cannot be read is a row too: its status is ``damaged``, with the reason. The pass
    of a folder that is a copy of another run, or was renamed, is ``inconclusive``, as the gate has
    it.
    """
    index = read_index(store)
    rows = {}
    for folder in run_folders(store):
        state = state_of(folder)
        if folder.name in index and index[folder.name][0] == state:
            rows[folder.name] = index[folder.name]
        else:
            rows[folder.name] = state, _row_of(folder)
    write_index(store, rows, index)
    return sorted(
        (row for _, row in rows.values()), key=lambda row: row.get("created", ""), reverse=True
    )


def _row_of(folder: Path) -> dict[str, Any]:
    """Return the row of one run, read off its folder."""
    try:
        journal = read_journal(folder / "journal.jsonl", whole=False)
        scene = journal.header.get("scene")
        row: dict[str, Any] = {
            "id": folder.name,
            "created": str(journal.header.get("created", "")),
            "scene": str(scene.get("name", "")) if isinstance(scene, Mapping) else "",
            "jobs": len(journal.records),
            "status": "unfinished",
        }
        if journal.faults:
            raise StoreError(f"{folder / 'journal.jsonl'}: {'; '.join(journal.faults)}")
        if os.path.lexists(folder / "run.json"):
            row["status"], exceptions = _status(folder, journal)
            if exceptions:
                row["waived"] = exceptions
            if (name := _name_in(folder, journal)) != folder.name:
                if row["status"] == "pass":
                    row["status"] = "inconclusive"
                row["reason"] = f"the folder {folder.name} holds another run, {name}"
    except UsageError as error:
        return {"id": folder.name, "status": "damaged", "reason": str(error)}
    return row


def _status(folder: Path, journal: Journal) -> tuple[str, str]:
    """Return the verdict of a run in one word, and how many limits it keeps by waivers alone.

    The word is that of its journal where that vouches for it.
    """
    written = journal.records.get(RUN, {})
    if "run_sha256" in written and not is_intact(folder / "run.json", written["run_sha256"]):
        raise DamagedRun(f"{folder / 'run.json'} is not the document that was written; {REPLAY}")
    if (saved := saved_verdict(folder, journal)) is not None:
        return verdict_of(saved), waived(saved)
    if "verdict" in written:
        return str(written["verdict"]), ""
    return verdict_of(read_run(folder, whole=False)["verdict"]), ""


def _name_in(folder: Path, journal: Journal) -> str:
    """Return the name that a run had when it was finished."""
    written = journal.records.get(RUN, {})
    # An earlier version did not note it.
    return str(written["run"] if "run" in written else read_run(folder, whole=False)["id"])


def run_folders(store: Path) -> list[Path]:
    """The folders of a store that hold a journal, whatever state it is in."""
    try:
        folders = sorted(store.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"cannot read {store}: {error.strerror or error}") from error
    return [folder for folder in folders if os.path.lexists(folder / "journal.jsonl")]


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


def _next(store: Path, identity: str) -> str:
    if not (store / identity).exists():
        return identity
    number = 2
    while (store / f"{identity}-{number}").exists():
        number += 1
    return f"{identity}-{number}"
