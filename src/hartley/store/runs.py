"""Run folders: create or continue one, write its jobs, read its results."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hartley.core.errors import StoreError, UsageError
from hartley.core.input_files import LARGEST_JSON, json_value, read_bytes
from hartley.reference.schema import check_schema, verdict_of
from hartley.store.disk import append, as_bytes, as_store_error, sync_folder, write_atomically
from hartley.store.journal import JOURNAL, differences, measured_part, mend, read_journal

_ODD = re.compile(r"[^\w.+-]+")
_NAME = re.compile(r"^[\w.:+-]{1,120}$")
LATEST = "latest"
"""The file of a store that names the run which was assessed last."""


@dataclass(slots=True)
class Ledger:
    """One run folder, held by this process until ``close``.

    Attributes:
        folder: where it is.
        header: first line of the journal: plan's digest, scene, version, when it was opened.
        records: job → its last journal line.
    """

    folder: Path
    header: Mapping[str, Any]
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    lock: Any = None

    @property
    def id(self) -> str:
        """The run's name: its folder's."""
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether the run document exists."""
        return (self.folder / "run.json").exists()

    def done(self, job: str) -> bool:
        """Whether a job was played to its end; a failed job is played again."""
        return self.records.get(job, {}).get("event") in {"done", "skipped"}

    def keep_trials(
        self, job: str, content: bytes, row: Mapping[str, Any], note: Mapping[str, Any]
    ) -> None:
        """Keep the trials of a job and its measured row: the files first, then the journal's line.

        Raises:
            StoreError: the disk is full or cannot be written; earlier results are kept.
        """
        self._write("trials", f"{job}.parquet", content)
        if row["row"]["status"] == "measured":  # an unmeasured row is measured again
            self.keep_row(job, row)
        self.note("done", job, trials=f"trials/{job}.parquet", **note)

    def keep_row(self, job: str, row: Mapping[str, Any]) -> None:
        """Keep the measured half of a row.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        text = json.dumps(row, allow_nan=False, ensure_ascii=False)
        self._write("rows", f"{job}.json", as_bytes(text) + b"\n")

    def row(self, job: str) -> dict[str, Any] | None:
        """Return the measured half of a row, or None where it is absent or damaged."""
        try:
            row: dict[str, Any] = json.loads((self.folder / "rows" / f"{job}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return row if {"measurement", "row"} <= row.keys() else None

    def _write(self, folder: str, name: str, content: bytes) -> None:
        with as_store_error(self.folder):
            (self.folder / folder).mkdir(exist_ok=True)
        write_atomically(self.folder / folder / name, content)

    def note(self, event: str, job: str, **note: Any) -> None:
        """Append one line to the journal.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        record = {"event": event, "job": job, **note}
        append(self.folder / "journal.jsonl", json.dumps(record, default=str).encode() + b"\n")
        self.records[job] = record

    def begin(self) -> None:
        """Remove the document of the last time: what is now played may change its verdict.

        Raises:
            StoreError: the folder cannot be written.
        """
        with as_store_error(self.folder):
            (self.folder / "run.json").unlink(missing_ok=True)
        sync_folder(self.folder)

    def finish(self, document: Mapping[str, Any]) -> None:
        """Write the run document.

        Raises:
            StoreError: the disk is full or cannot be written; the trials are kept.
        """
        text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
        write_atomically(self.folder / "run.json", as_bytes(text) + b"\n")

    def close(self) -> None:
        """Let another process write to the folder."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None


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
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    key = hashlib.sha256(
        "\x1f".join([measured_part(plan), scene.get("digest", ""), version]).encode()
    ).hexdigest()[:8]
    identity = "-".join([_ODD.sub("-", name), key]) if run is None else run
    if not _NAME.match(identity) or identity.startswith(".") or identity == LATEST:
        raise StoreError(
            "the name of a run must be 1 to 120 letters, digits, '-', '_' and '.', "
            f"must not begin with '.' and must not be {LATEST!r}, got {run!r}"
        )
    if fresh:
        identity = _next(store, identity)
    elif run is None and not (store / identity).exists():
        _same_as_left(store, header, plan)
    folder = store / identity
    with as_store_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = _hold(folder)
    try:
        ledger = _continued(folder, header, plan, lock)
        _point_latest(folder)
        return ledger
    except BaseException:
        lock.release()
        raise


def latest(store: Path) -> str:
    """Return the id of the run that ``hartley assess`` began, continued or measured last.

    A store of an earlier version does not say which it was; there it is the newest run.

    Raises:
        StoreError: the store holds no runs, the run was removed, or two runs are equally new.
    """
    pointer = store / LATEST
    if pointer.is_file():
        with as_store_error(store):
            run_id = pointer.read_text(errors="replace").strip()
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
    write_atomically(folder.parent / LATEST, folder.name.encode() + b"\n")


def runs(store: Path) -> list[dict[str, Any]]:
    """Return the index over the runs of a store, newest first, read off their folders."""
    rows = []
    for folder in sorted(store.glob("*/journal.jsonl")):
        try:
            header, records = read_journal(folder)
        except StoreError as error:
            rows.append({"id": folder.parent.name, "status": "damaged", "reason": str(error)})
            continue
        row: dict[str, Any] = {
            "id": folder.parent.name,
            "created": header.get("created", ""),
            "scene": header.get("scene", {}).get("name", ""),
            "jobs": len(records),
            "status": "unfinished",
        }
        if (folder.parent / "run.json").exists():
            try:
                row["status"] = verdict_of(read_run(folder.parent)["verdict"])
            except UsageError as error:
                row |= {"status": "damaged", "reason": str(error)}
        rows.append(row)
    return sorted(rows, key=lambda row: row.get("created", ""), reverse=True)


def read_run(where: Path) -> dict[str, Any]:
    """Return a run document from a run folder or a file.

    Raises:
        UsageError: it does not exist, is not JSON, or has a schema that this version cannot read.
    """
    path = where / "run.json" if where.is_dir() else where
    if not path.exists():
        if (where / "journal.jsonl").exists():
            raise StoreError(
                f"the run in {where} must be finished first; repeat the command that started it"
            ) from None
        raise StoreError(f"no run in {where}: expected run.json") from None
    content = read_bytes(path, "the run document", StoreError, LARGEST_JSON)
    try:
        document = json_value(content)
    except ValueError as error:
        raise StoreError(f"{path} is not a run document: {error}") from error
    try:
        return dict(check_schema(document))
    except UsageError as error:
        raise StoreError(f"{path}: {error}") from error


def reopen(folder: Path) -> Ledger:
    """Open the folder of a run without changes, to measure its trials again.

    Raises:
        StoreError: it does not exist, is damaged, or another process writes to it.
    """
    if not (folder / "journal.jsonl").exists():
        raise StoreError(f"no run in {folder}: expected journal.jsonl")
    lock = _hold(folder)
    try:
        header, records = read_journal(folder / "journal.jsonl")
        _point_latest(folder)
    except BaseException:
        lock.release()
        raise
    return Ledger(folder, header, records, lock)


def _continued(folder: Path, header: Mapping[str, Any], plan: str, lock: Any) -> Ledger:
    path = folder / "journal.jsonl"
    if path.exists():
        mend(path)
    if path.exists() and path.stat().st_size:
        old, records = read_journal(path)
        if changed := differences(old, _plan_of(folder), header, plan):
            raise StoreError(
                f"the run {folder.name!r} must have the same plan, scene and version, got "
                f"{'; '.join(changed)}. Choose another name with --run, or start a new run with "
                "--fresh"
            )
        write_atomically(folder / "plan.toml", as_bytes(plan))
        return Ledger(folder, old, records, lock)
    write_atomically(folder / "plan.toml", as_bytes(plan))
    append(path, json.dumps(header).encode() + b"\n")
    sync_folder(folder)
    return Ledger(folder, header, {}, lock)


def _same_as_left(store: Path, header: Mapping[str, Any], plan: str) -> None:
    """Refuse a new run while an unfinished run of the same name differs from it."""
    for path in sorted(store.glob("*/journal.jsonl")):
        if (path.parent / "run.json").exists():
            continue
        try:
            old, _ = read_journal(path)
        except StoreError:
            continue
        changed = differences(old, _plan_of(path.parent), header, plan)
        same_plan = measured_part(_plan_of(path.parent)) == measured_part(plan)
        if (
            changed
            and old.get("name") == header["name"]
            and (same_plan or (header["source"] and old.get("source") == header["source"]))
        ):
            raise StoreError(
                f"the run {path.parent.name!r} is unfinished and has changed since: "
                f"{'; '.join(changed)}. Undo the change to continue it, or start a new run with "
                "--fresh"
            )


def _plan_of(folder: Path) -> str:
    try:
        return (folder / "plan.toml").read_text()
    except OSError as error:
        raise StoreError(f"cannot read {folder / 'plan.toml'}: {error.strerror}") from error


def _hold(folder: Path) -> Any:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    with as_store_error(folder):
        try:
            lock.acquire(timeout=0)
        except Timeout:  # a subclass of OSError, so it is handled first
            raise StoreError(
                f"another process is writing to {folder}; wait for it, or choose another --run"
            ) from None
    return lock


def _next(store: Path, identity: str) -> str:
    if not (store / identity).exists():
        return identity
    number = 2
    while (store / f"{identity}-{number}").exists():
        number += 1
    return f"{identity}-{number}"
