"""Runs on disk: append-only, resumable, readable by anyone.

::

    runs/<id>/plan.toml        the plan, normalised
              journal.jsonl    one line a finished job, appended and synced
              trials/*.parquet what was sent and received, written before its journal line
              logs/            output of the worker processes
              run.json         the run document, written last, atomically
    runs/latest                the id of the run that was assessed last

A process that is killed at any moment loses at most the job in flight: its trials are not in the
journal, so the same command plays it again.
"""

from hartley.store.disk import as_bytes, write_atomically
from hartley.store.runs import Ledger, latest, open_run, read_run, reopen, runs
from hartley.store.table import read_trials, trials_from_bytes, trials_to_bytes

__all__ = [
    "Ledger",
    "as_bytes",
    "latest",
    "open_run",
    "read_run",
    "read_trials",
    "reopen",
    "runs",
    "trials_from_bytes",
    "trials_to_bytes",
    "write_atomically",
]
