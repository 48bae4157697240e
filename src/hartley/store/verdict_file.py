"""The verdict that ``hartley gate --save`` keeps beside a run document.

It is a file of its own, ``verdict.json``, with a line of its own in the journal: the document that
it is about, whose digest it names, is not touched. A verdict on a document that was written anew
since is not shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hartley.core.errors import StoreError
from hartley.store import shared_index
from hartley.store.disk import append, as_bytes, hold, write_atomically
from hartley.store.journal import RUN, VERDICT, Journal, line_of, read_journal
from hartley.store.verify import digest_of, vouched_bytes

FILE = "verdict.json"
SCHEMA = "hartley.verdict/1"

DAMAGED = (
    f"the saved verdict, {FILE}, is missing or damaged; judge the run again: "
    "hartley gate RUN --limits FILE --save"
)


def save_verdict(folder: Path, run_sha256: str, saved: Mapping[str, Any]) -> Path:
    """Keep a verdict in the folder of a run; it takes the place of one that was saved before.

    Args:
        folder: of the run.
        run_sha256: digest of the run document that was judged.
        saved: the verdict, and what it was judged with.

    Returns:
        The file.

    Raises:
        StoreError: the folder cannot be written, another process writes to it, or the run is not
            the one that was judged any more.
    """
    lock = hold(folder)
    try:
        journal = read_journal(folder / "journal.jsonl")
        document = journal.records.get(RUN, {}).get("run_sha256")
        if journal.faults or journal.cut or not journal.ended or document != run_sha256:
            raise StoreError(f"the run in {folder} changed while it was judged; judge it again")
        facts = {"schema": SCHEMA, "run_sha256": run_sha256, **saved}
        content = as_bytes(json.dumps(facts, indent=1, allow_nan=False, ensure_ascii=False)) + b"\n"
        record = {
            "event": "judged",
            "job": VERDICT,
            "verdict_sha256": digest_of(content),
            "run_sha256": run_sha256,
        }
        write_atomically(folder / FILE, content)
        append(folder / "journal.jsonl", line_of(record, journal.last)[0])
    finally:
        lock.release()
    shared_index.note_run(folder)
    return folder / FILE


def saved_verdict(folder: Path, journal: Journal) -> dict[str, Any] | None:
    """Return the verdict that was saved for the document of a run, or None.

    It has the keys of a run document's verdict, and ``judged``: the limits' file, its digest, and
    the time. Where the file is not the one that was saved, the verdict is inconclusive: what was
    over must not become a pass because the file is gone.

    Args:
        folder: of the run.
        journal: of the run.
    """
    record = journal.records.get(VERDICT)
    document = journal.records.get(RUN, {}).get("run_sha256")
    if record is None or record["run_sha256"] != document:
        return None
    content = vouched_bytes(folder / FILE, record["verdict_sha256"])
    if content is None:
        return {"status": "inconclusive", "reasons": [DAMAGED], "checks": []}
    saved = json.loads(content)
    return {**saved["verdict"], "judged": saved["judged"]}
