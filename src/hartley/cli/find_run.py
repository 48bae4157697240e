"""Find a stored run by its name, its folder, or the path of its document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.cli.terminal import note
from hartley.core.errors import DamagedRun, StoreError, UnknownName, UsageError

if TYPE_CHECKING:
    from hartley.store.row_trials import Load


def folder_of(run: str, store: Path) -> Path:
    """Return the folder of a run.

    Args:
        run: its id in the store, its folder, the path of its run.json, or ``latest``.
        store: the folder of all runs.

    Raises:
        UnknownName: no such run; offers the nearest.
        StoreError: there are no runs at all, or it is not clear which is the latest.
    """
    from hartley.store import bring, latest, named, runs
    from hartley.store.shared_index import is_index, store_of

    if is_index(store) and Path(run).name == run:
        store, run = store_of(store, run)
        note(f"{run} is in {named(store)}")
    elif run == "latest":
        run = latest(store)
    # A bare name is a run of the store, whatever the current directory has of that name.
    bare = Path(run).name == run and not run.endswith(".json")
    if bare:
        for sentence in bring(store, run):
            note(sentence)
    for path in (store / run, Path(run)) if bare else (Path(run), store / run):
        if path.is_dir() and any((path / name).exists() for name in ("run.json", "journal.jsonl")):
            return path
        if path.is_file() and not bare:
            return path.parent
    if not bare and Path(run).is_dir():
        raise StoreError(f"the folder {run} holds no run: expected journal.jsonl or run.json")
    run_ids: list[str] = [row["id"] for row in runs(store)] if store.is_dir() else []
    if not run_ids:
        raise StoreError(
            f"no run named {run!r}: {named(store)} holds no runs; choose its folder with --store"
        )
    raise UnknownName("run", run, run_ids)


def path_of(run: str, store: Path) -> Path:
    """Return the folder of a run, or the file where the user named one.

    Raises:
        UsageError: there is none.
    """
    path = Path(run)
    document = path.name != run or run.endswith(".json")
    return path if document and path.is_file() else folder_of(run, store)


def read_with_trials(run: str, store: Path) -> tuple[dict[str, Any], Load, str]:
    """Return a run document, what loads the trials of a row of it, and why there are none.

    Raises:
        UsageError: there is no such run, or it is damaged.
    """
    from hartley.store import read_verified
    from hartley.store.row_trials import keys_of_rows, trials_by_row

    path = path_of(run, store)
    try:
        reading = read_verified(path)
    except DamagedRun as damage:
        raise UsageError(f"a run that is read with its trials must be intact: {damage}") from damage
    folder = path if path.is_dir() else path.parent
    load = trials_by_row(folder, reading.journal)
    return reading.document, load, "" if keys_of_rows(reading.journal) else reading.doubt


def read(run: str, store: Path, *, accept_unverified: bool = False) -> dict[str, Any]:
    """Return a run document by the name, the folder or the path of the run, to show it.

    Its verdict is the one that ``hartley gate --save`` kept, if any. It is inconclusive where files
    of the run are damaged, and where limits were judged and nothing vouches for the document.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    from hartley.store import read_run, read_verified, saved_verdict
    from hartley.store.signing import signature_in_words

    path = path_of(run, store)
    try:
        reading = read_verified(path)
    except DamagedRun as damage:
        return _doubtful(read_run(path), str(damage))
    if reading.doubt and reading.document["verdict"].get("checks") and not accept_unverified:
        cure = "--accept-unverified shows the verdict as it is"
        return _doubtful(reading.document, f"unverified: {reading.doubt}; {cure}")
    folder = path if path.is_dir() else path.parent
    if words := signature_in_words(folder, reading):
        note(words)
    saved = None if reading.journal is None else saved_verdict(folder, reading.journal)
    return reading.document if saved is None else {**reading.document, "verdict": saved}


def _doubtful(document: dict[str, Any], reason: str, **more: Any) -> dict[str, Any]:
    """Return a document whose verdict is inconclusive for a reason; note it on standard error."""
    from hartley.engine.result.doubtful import doubtful

    note(f"not verified: {reason}")
    return doubtful(document, reason, **more)


def read_judged(run: str, store: Path, limits: Path, *, accept_unverified: bool) -> dict[str, Any]:
    """Return a run document with the verdict that these limits give, to show it.

    A run that is damaged is inconclusive, as the gate has it.

    Raises:
        UsageError: the run or the limits cannot be read, or they do not belong together.
    """
    from hartley.engine.result.judge_stored import judge_stored, judged_with, read_limits
    from hartley.store import read_run, read_verified

    plan, path = read_limits(limits), path_of(run, store)
    judged = judged_with(limits)
    try:
        reading = read_verified(path)
    except DamagedRun as damage:
        return _doubtful(read_run(path), str(damage), judged=judged)
    dump = judge_stored(reading, plan, limits, accept_unverified=accept_unverified).dump()
    return {**reading.document, "verdict": {**dump, "judged": judged}}
