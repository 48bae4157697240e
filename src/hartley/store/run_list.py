"""The list of the runs of a store: what each is in one row, and which is the latest."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hartley.core.errors import DamagedRun, StoreError, UsageError
from hartley.reference.schema import verdict_of, waived
from hartley.store import remote, run_index, shared_index
from hartley.store.disk import as_bytes
from hartley.store.journal import RUN, Journal, read_journal
from hartley.store.read_document import read_run
from hartley.store.run_index import keep_row, read_index, state_of, write_index
from hartley.store.verdict_file import saved_verdict
from hartley.store.verify import REPLAY, digest_of, is_intact

_NAME = re.compile(r"^[\w.:+-]{1,120}$")
LATEST = "latest"
"""The file of a store that names the run which was assessed last."""
LONGEST_NAME = 200
"""Bytes of a run's name: file systems allow 255, and some letters are of four."""


def check_name(run: str) -> None:
    """Check the name of a run, which is that of its folder.

    Raises:
        StoreError: it is not such a name.
    """
    if not _is_name(run):
        raise StoreError(
            "the name of a run must be 1 to 120 letters, digits, '-', '_' and '.', "
            f"must not begin with '.' and must not be {LATEST!r}, got {run!r}"
        )


def _is_name(run: str) -> bool:
    short = len(run.encode("utf-8", "replace")) <= LONGEST_NAME
    return short and bool(_NAME.fullmatch(run)) and run[0] != "." and run != LATEST


def latest(store: Path) -> str:
    """Return the id of the run that ``hartley assess`` began, continued or measured last.

    A store of an earlier version does not say which it was; there it is the newest run.

    Raises:
        StoreError: the store holds no runs, the run was removed, two runs are equally new, or the
            file that names the latest is damaged.
    """
    if remote.spool_of(store) is not None:
        return _latest_remote(store)
    pointer = store / LATEST
    if pointer.is_file():
        try:
            run_id, *check = pointer.read_text(errors="replace").splitlines() or [""]
        except OSError as error:
            raise StoreError(f"cannot read {pointer}: {error.strerror or error}") from error
        if check != [digest_of(as_bytes(run_id))]:
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


def _latest_remote(store: Path) -> str:
    rows = [row for row in runs(store) if "opened" in row]
    if not rows:
        raise StoreError(f"no run named {LATEST!r}: {remote.named(store)} holds no runs")
    return str(max(rows, key=lambda row: str(row["opened"]))["id"])


def bring(store: Path, run: str) -> list[str]:
    """Fetch a run of a store at a URL, as far as it is not on this machine; a folder has it.

    Returns:
        What a person should know, in sentences.

    Raises:
        StoreError: the store cannot be reached, or what it holds is damaged.
    """
    spool = remote.spool_of(store)
    if spool is None or remote.is_index(spool.url) or not _is_name(run):
        return []
    return remote.bring(store, run)


def runs(store: Path) -> list[dict[str, Any]]:
    """Return the index over the runs of a store, newest first, read off their folders.

    A run that cannot be read is a row too: its status is ``damaged``, with the reason. The pass
    of a folder that is a copy of another run, or was renamed, is ``inconclusive``, as the gate has
    it.
    """
    spool = remote.spool_of(store)
    if spool is not None and remote.is_index(spool.url):
        return shared_index.listed(store)
    if spool is not None:
        return newest_first(_remote_rows(store))
    index = read_index(store)
    rows = {}
    for folder in run_folders(store):
        state = state_of(folder)
        if folder.name in index and index[folder.name][0] == state:
            rows[folder.name] = index[folder.name]
        else:
            rows[folder.name] = state, row_of(folder)
    write_index(store, rows, index)
    return newest_first(row for _, row in rows.values())


def _remote_rows(store: Path) -> list[dict[str, Any]]:
    """Return the rows of a store at a URL, and those of runs that were not sent to it yet."""
    rows = {str(row["id"]): row for row in remote.listed(store)}
    for folder in run_folders(store):
        if folder.name not in rows:
            rows[folder.name] = {**row_of(folder), "reason": f"only in {folder}: it was not sent"}
    return list(rows.values())


def newest_first(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows in the order of the list."""
    return sorted(rows, key=lambda row: str(row.get("created", "")), reverse=True)


def row_of(folder: Path) -> dict[str, Any]:
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
            of_copy(row, folder, _name_in(folder, journal))
    except UsageError as error:
        return {"id": folder.name, "status": "damaged", "reason": str(error)}
    return row


def of_copy(row: dict[str, Any], folder: Path, name: str) -> None:
    """Note in the row of a folder that the run in it has another name, where it has."""
    if name != folder.name:
        if row["status"] == "pass":
            row["status"] = "inconclusive"
        row["reason"] = f"the folder {folder.name} holds another run, {name}"


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


def keep_listed(folder: Path) -> None:
    """Keep the row of a run that was written just now, where its store keeps rows.

    So a store of many runs has its list already when it is asked for one.
    """
    store = folder.parent
    try:
        if (store / run_index.FILE).exists() or sum(1 for _ in os.scandir(store)) >= run_index.MANY:
            keep_row(store, folder.name, state_of(folder), row_of(folder))
    except OSError:
        return


def run_folders(store: Path) -> list[Path]:
    """The folders of a store that hold a journal, whatever state it is in."""
    try:
        folders = sorted(store.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"cannot read {store}: {error.strerror or error}") from error
    return [folder for folder in folders if os.path.lexists(folder / "journal.jsonl")]
