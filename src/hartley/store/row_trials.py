"""Which trials belong to which row of a run document: its journal says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.store.journal import PLAN, Journal
from hartley.store.verify import trials_of

if TYPE_CHECKING:
    from hartley.core import Trials

Load = Callable[[Mapping[str, Any]], "Trials | None"]
"""Returns the trials of a row; None where there are none."""


def keys_of_rows(journal: Journal | None) -> dict[str, str]:
    """Return the job of each row by the row's id, as the work list of a journal has it."""
    records: Mapping[str, Mapping[str, Any]] = {} if journal is None else journal.records
    lines = records.get(PLAN, {}).get("lines", {}).get("rows", ())
    return {line["standing"]["id"]: line["key"] for line in lines if "standing" in line}


def trials_by_row(folder: Path, journal: Journal | None) -> Load:
    """Return what loads the trials of a row.

    It raises DamagedRun where they are not those that the journal vouches for.

    Args:
        folder: of the run.
        journal: of the run; None where there is none, and no trials.
    """
    keys = keys_of_rows(journal)
    records: Mapping[str, Mapping[str, Any]] = {} if journal is None else journal.records

    def load(row: Mapping[str, Any]) -> Trials | None:
        record = records.get(keys.get(row["id"], ""), {})
        if "trials" not in record:
            return None
        return trials_of(folder, record)

    return load
