"""Stores for the tests of the pages: runs that were played, and runs that were written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hartley.core import AnswerForm, ChannelSpec, Trials
from hartley.engine.assess import assess
from hartley.engine.plan.plan import parse
from hartley.store import open_run, trials_to_bytes
from hartley.store.journal import journal_bytes, read_journal
from hartley.store.verify import digest_of

PLAN = """scene = "live:membership"
only = ["loss_threshold", "entropy_metrics"]
deployed = [{}]
[executor]
workers = 0
[limits]
membership = 0.1
{}
"""
DEFENSES = '[defenses]\nuse = ["rounding", "label_only"]\n'
WRITTEN = 'scene = "digits"\nseed = 0\n'
SCENE = {"name": "digits", "digest": "d" * 64, "modality": "vision"}
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x1b[2J"
"""What must stay text."""


def play(store: Path) -> None:
    """Play two runs: one behind rounding, one without and with defenses."""
    assess(parse(PLAN.format('"rounding"', ""), source="plan.toml"), store=store, run="old")
    assess(parse(PLAN.format("", DEFENSES), source="plan.toml"), store=store, run="new")


def cut(store: Path, run: str, jobs: int) -> None:
    """Leave of a run what a process that was killed after some jobs leaves."""
    folder = store / run
    lines, played = [], 0
    for line in read_journal(folder / "journal.jsonl").lines:
        played += line.get("event") == "done"
        if line.get("event") != "finished" and played <= jobs:
            lines.append(line)
    content, _ = journal_bytes(lines)
    (folder / "journal.jsonl").write_bytes(content + b'{"event": "do')
    (folder / "run.json").unlink()


def trials(rows: int = 250) -> Trials:
    """Answers of three symbols, of which every fourth is wrong."""
    truth = np.arange(rows) % 3
    guess = np.where(np.arange(rows) % 4 == 3, (truth + 1) % 3, truth)
    return Trials(
        spec=ChannelSpec(form=AnswerForm.SYMBOL, alphabet=3),
        truth=truth,
        guess=guess,
        cluster=np.arange(rows) // 10,
        item=np.arange(rows),
        sources=((SCRIPT, 0),),
        attack="written",
        game="membership",
        cls="membership",
        scene="digits",
    )


def write(
    store: Path,
    run: str,
    document: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    content: bytes = b"",
) -> None:
    """Write a run with a journal that vouches for its files.

    Args:
        store: the folder of all runs.
        run: the name.
        document: a run document, whose rows and name are replaced.
        rows: its rows.
        content: trials of all rows; none: the rows have no trials.
    """
    scene = {**SCENE, "name": str(document["scene"]["name"])}
    ledger = open_run(store, name=run, plan=WRITTEN, scene=scene, version="1", run=run, source="")
    plan = {"rows": [{"key": f"j{i}", "standing": {"id": r["id"]}} for i, r in enumerate(rows)]}
    ledger.begin(lines={**plan, "defenses": [], "fitting": []})
    ledger.close()
    folder = store / run
    lines = list(read_journal(folder / "journal.jsonl").lines)
    for place in ("rows", "trials"):
        (folder / place).mkdir()
    for i, row in enumerate(rows):
        line = {"event": "done", "job": f"j{i}"}
        measured = json.dumps({"row": row, "measurement": "m"}).encode()
        (folder / "rows" / f"j{i}.json").write_bytes(measured)
        line["row_sha256"] = digest_of(measured)
        if content:
            (folder / "trials" / f"j{i}.parquet").write_bytes(content)
            line |= {"trials": f"trials/j{i}.parquet", "trials_sha256": digest_of(content)}
        lines.append(line)
    whole = json.dumps({**document, "id": run, "channels": list(rows)}).encode()
    (folder / "run.json").write_bytes(whole)
    ended = {"run_sha256": digest_of(whole), "verdict": "pass", "run": run}
    lines.append({"event": "finished", "job": "run", **ended})
    (folder / "journal.jsonl").write_bytes(journal_bytes(lines)[0])


def fill(store: Path) -> None:
    """Make a store with every kind of run."""
    play(store)
    document = json.loads((store / "new" / "run.json").read_text())
    row = next(r for r in document["channels"] if r["status"] == "measured")
    shutil.copytree(store / "new", store / "half")
    cut(store, "half", 2)
    many = [{**row, "id": f"row-{i}", "attack": f"attack_{i:03}"} for i in range(500)]
    write(store, "many", document, many)
    hostile = {**row, "id": SCRIPT, "attack": SCRIPT, "summary": SCRIPT, "flags": [SCRIPT]}
    failed = {**hostile, "id": f"{SCRIPT}2", "status": "failed", "reason": SCRIPT, "bits": None}
    verdict = {"status": "over", "reasons": [SCRIPT], "checks": []}
    scene = {**document["scene"], "name": SCRIPT}
    odd = {**document, "scene": scene, "verdict": verdict}
    write(store, "hostile", odd, [hostile, failed], trials_to_bytes(trials()))
    shutil.copytree(store / "old", store / "damaged")
    with (store / "damaged" / "run.json").open("a") as file:
        file.write(" ")
    (store / "torn").mkdir()
    (store / "torn" / "journal.jsonl").write_bytes(b"\x00\xff<script>\n")
    (store / "foreign").mkdir()
    (store / "foreign" / "holiday.txt").write_text("not a run")
    (store / "notes.txt").write_text("not a folder")


def trials_bytes() -> bytes:
    """The trials that ``trials`` makes, as a file."""
    return trials_to_bytes(trials())
