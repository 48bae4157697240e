"""Runs on disk: append-only, resumable, readable by anyone.

::

    runs/<id>/plan.toml        the plan, normalised
              journal.jsonl    one line a finished job, appended and synced, with digests of its
                               files, of itself and of the line before
              trials/*.parquet what was sent and received, written before its journal line
              rows/*.json      what was measured of them
              logs/            output of the worker processes
              run.json         the run document, written last, atomically; the last line of the
                               journal holds its digest
              verdict.json     what ``hartley gate --save`` found afterwards, if anything
    runs/latest                the id of the run that was assessed last

A process that is killed at any moment loses at most the job in flight: its trials are not in the
journal, so the same command plays it again.
"""

from hartley.store.disk import as_bytes, write_atomically
from hartley.store.read_document import read_run
from hartley.store.remote import folder_of_store, named
from hartley.store.run_list import bring, check_name, latest, run_folders
from hartley.store.runs import (
    Ledger,
    check_store,
    fetch_matching,
    noted_inputs,
    open_run,
    reopen,
    runs,
)
from hartley.store.table import read_trials, trials_from_bytes, trials_to_bytes
from hartley.store.verdict_file import save_verdict, saved_verdict
from hartley.store.verify import Reading, read_verified, trials_of

__all__ = [
    "Ledger",
    "Reading",
    "as_bytes",
    "bring",
    "check_name",
    "check_store",
    "fetch_matching",
    "folder_of_store",
    "latest",
    "named",
    "noted_inputs",
    "open_run",
    "read_run",
    "read_trials",
    "read_verified",
    "reopen",
    "run_folders",
    "runs",
    "save_verdict",
    "saved_verdict",
    "trials_from_bytes",
    "trials_of",
    "trials_to_bytes",
    "write_atomically",
]
