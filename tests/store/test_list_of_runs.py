"""The list of runs reads off digests what it can, and parses neither jobs nor documents."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import time

import pytest
from tests.report.sample import document as sample_document

from hartley.store import open_run, read_run, run_index, runs
from hartley.store.glance import Listing, runs_at_once
from hartley.store.journal import journal_bytes, line_of, read_journal
from hartley.store.runs import reopen

PLAN = 'scene = "digits"\nseed = 0\n'
store_runs = importlib.import_module(
    "hartley.store.run_list"
)  # the package has a function of that name
SCENE = {"name": "digits", "digest": "d" * 64, "modality": "vision"}


@pytest.fixture
def folder(tmp_path):
    """A finished run of 4,000 jobs, whose document has as many rows."""
    return finished(tmp_path, 4000)


def finished(store, jobs):
    """A finished run, and its document of as many rows."""
    ledger = open_run(
        store, name="digits", plan=PLAN, scene=SCENE, version="1", run="mine", source=""
    )
    document = json.loads(json.dumps(sample_document()))
    rows = [row for row in document["channels"] if row["status"] == "measured"][:1]
    document["channels"] = [{**rows[0], "id": f"{rows[0]['id']}{i}"} for i in range(jobs)]
    document |= {"id": "mine", "verdict": {"status": "pass", "reasons": [], "checks": []}}
    lines = [*read_journal(ledger.folder / "journal.jsonl").lines]
    lines += [{"event": "done", "job": f"a{i}", "why": 'a "job": "b"'} for i in range(jobs)]
    content, check = journal_bytes(lines)
    (ledger.folder / "journal.jsonl").write_bytes(content)
    ledger.journal.last = check
    ledger.finish(document)
    ledger.close()
    return ledger.folder


def seconds(call):
    times = []
    for _ in range(3):
        begun = time.process_time()
        call()
        times.append(time.process_time() - begun)
    return min(times)


def test_a_run_of_many_jobs_is_listed_without_reading_its_document(folder):
    (row,) = runs(folder.parent)
    assert (row["jobs"], row["status"], row["scene"]) == (4001, "none", "digits")
    whole = seconds(lambda: read_run(folder, whole=False))
    assert seconds(lambda: runs(folder.parent)) < whole / 3


def test_a_document_that_is_not_the_one_that_was_written_is_damaged(folder):
    path = folder / "run.json"
    path.write_text(path.read_text().replace('"status": "pass"', '"status": "over"'))
    assert runs(folder.parent)[0]["status"] == "damaged"
    path.write_text("{}")
    assert runs(folder.parent)[0]["status"] == "damaged"


def test_damage_is_seen_without_parsing(folder):
    path = folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    whole, part = read_journal(path), read_journal(path, whole=False)
    assert part.records.keys() == whole.records.keys() and part.last == whole.last
    assert part.ended and not part.faults and part.header == whole.header
    for damaged in (
        [*lines[:5], *lines[6:]],
        [*lines[:5], lines[5].replace(b"a4", b"a5"), *lines[6:]],
        [*lines, lines[7]],
        [*lines, line_of({"event": "done", "job": "z"}, part.last)[0][:-9]],
        [*lines, line_of({"event": "done", "job": "z"}, part.last)[0]],
    ):
        path.write_bytes(b"".join(damaged))
        whole, part = read_journal(path), read_journal(path, whole=False)
        assert (part.faults, part.ended, part.cut) == (whole.faults, whole.ended, whole.cut)
        assert part.records.keys() == whole.records.keys() and part.last == whole.last


@pytest.fixture
def many(tmp_path, monkeypatch):
    """A finished run in a store of three, which are enough here and whose rows are kept at once."""
    monkeypatch.setattr(run_index, "SETTLED", -10.0)
    monkeypatch.setattr(run_index, "MANY", 2)
    folder = finished(tmp_path, 2)
    for number in range(2):
        open_run(
            folder.parent, name="n", plan=PLAN, scene=SCENE, version="1", run=f"r{number}",
            source="",
        ).close()  # fmt: skip
    return folder


def test_what_did_not_change_is_not_read_again(many, monkeypatch):
    store = many.parent
    first = runs(store)
    assert (store / run_index.FILE).is_file() and len(first) == 3
    read = []
    original = store_runs.read_journal
    monkeypatch.setattr(
        store_runs, "read_journal", lambda path, **more: read.append(path) or original(path, **more)
    )
    assert runs(store) == first and read == []
    # A change is seen by its time, also where its author has set the file's own times back.
    path = many / "run.json"
    times = path.stat()
    path.write_text(path.read_text().replace('"status": "pass"', '"status": "over"'))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == times.st_size
    assert {row["id"]: row["status"] for row in runs(store)}["mine"] == "damaged"
    assert read == [many / "journal.jsonl"]
    shutil.rmtree(store / "r1")
    assert len(runs(store)) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"\xff", b"[" * 5000, b'{"schema": "hartley.index/1", "runs": {"mine": 1}}',
        b'{"schema": "hartley.index/1", "runs": {"mine": [[], {"id": "mine"}]}}',
        b'{"schema": "hartley.index/2", "runs": {}}',
    ],
)  # fmt: skip
def test_an_index_of_another_kind_is_not_read(many, content):
    first = runs(many.parent)
    (many.parent / run_index.FILE).write_bytes(content)
    assert runs(many.parent) == first


def test_a_run_that_changed_a_moment_ago_is_read_again(many, monkeypatch):
    monkeypatch.setattr(run_index, "SETTLED", 3600.0)
    runs(many.parent)
    assert run_index.read_index(many.parent) == {}


def test_a_copied_folder_is_not_a_pass(folder):
    """The gate does not believe it either: the journal names another run than the folder."""
    ledger = reopen(folder)
    document = read_run(folder) | {
        "verdict": {"status": "pass", "reasons": [], "checks": [{"status": "pass"}]}
    }
    ledger.finish(document)
    ledger.close()
    assert [row["status"] for row in runs(folder.parent)] == ["pass"]
    shutil.copytree(folder, folder.parent / "copy")
    rows = {row["id"]: row for row in runs(folder.parent)}
    assert (rows["mine"]["status"], rows["copy"]["status"]) == ("pass", "inconclusive")
    assert rows["copy"]["reason"] == "the folder copy holds another run, mine"
    journal = read_journal(folder / "journal.jsonl")
    without = [{k: v for k, v in line.items() if k != "run"} for line in journal.lines]
    (folder.parent / "copy/journal.jsonl").write_bytes(journal_bytes(without)[0])
    rows = {row["id"]: row for row in runs(folder.parent)}
    assert rows["copy"]["status"] == "inconclusive", "an earlier version did not note the name"


def test_a_glance_says_what_the_whole_run_says(many):
    """It reads the ends of a journal; what they do not say is read whole at once."""
    store = many.parent
    shutil.copytree(many, store / "copy")
    with (store / "r1" / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"event": "do')
    (store / run_index.FILE).unlink(missing_ok=True)
    listing = Listing(store)
    first = {row.pop("id"): row for row in listing.rows()}
    listing.settle()
    checked = {row.pop("id"): row for row in listing.rows()}
    assert first.keys() == checked.keys() and len(first) == 4
    for name, row in first.items():
        assert {key: checked[name][key] for key in row if key != "checked"} == {
            key: value for key, value in row.items() if key != "checked"
        }
    assert first["mine"]["checked"] is False and "checked" not in checked["mine"]
    assert first["copy"]["reason"] == "the folder copy holds another run, mine"


def test_damage_that_a_glance_does_not_see_is_listed_once_the_run_is_read(many):
    path = many / "run.json"
    path.write_text(path.read_text().replace('"status": "pass"', '"status": "over"'))
    listing = Listing(many.parent)
    assert {row["id"]: row["status"] for row in listing.rows()}["mine"] == "none"
    listing.settle()
    assert {row["id"]: row["status"] for row in listing.rows()}["mine"] == "damaged"
    # A change after that is seen again.
    ledger = reopen(many)
    ledger.finish({**read_run(many), "verdict": {"status": "over", "reasons": [], "checks": []}})
    ledger.close()
    assert {row["id"]: row["status"] for row in listing.rows()}["mine"] == "over"
    listing.settle()


def test_the_writer_of_a_run_keeps_its_row(many):
    """A store of many runs has its list already when it is asked for one."""
    (many.parent / run_index.FILE).unlink(missing_ok=True)
    reopen(many).close()
    state, row = run_index.read_index(many.parent)["mine"]
    assert state == run_index.state_of(many) and row in runs(many.parent)


def test_a_list_of_many_new_runs_says_which_it_did_not_read_whole(many, monkeypatch):
    store = many.parent
    for number in range(6):
        shutil.copytree(many, store / f"copy{number}")
    (store / run_index.FILE).unlink(missing_ok=True)
    path = many / "run.json"
    path.write_text(path.read_text().replace('"status": "pass"', '"status": "over"'))
    created = {row["id"]: row["created"] for row in runs_at_once(store, whole=0)}
    read = []
    original = store_runs.read_journal
    monkeypatch.setattr(
        store_runs, "read_journal", lambda path, **more: read.append(path) or original(path, **more)
    )
    left = [len(created)]
    while left[-1]:
        rows = runs_at_once(store, whole=2)
        unread = [row for row in rows if row.get("checked", True) is False]
        whole = [row["created"] for row in rows if row not in unread and "created" in row]
        assert not unread or max(row["created"] for row in unread) <= min(whole)
        left.append(len(unread))
        # Files that were read are remembered, but for the damaged one, which is read each time.
        assert left[-1] >= left[-2] - 3
    assert {row["id"]: row["status"] for row in rows}["mine"] == "damaged"
    assert rows == runs(store)


def test_the_command_says_which_verdicts_it_did_not_check(many, call, monkeypatch):
    store = many.parent
    shutil.copytree(store / "r0", store / "new")
    path = many / "run.json"
    path.write_text(path.read_text().replace('"status": "pass"', '"status": "over"'))
    monkeypatch.setitem(runs_at_once.__kwdefaults__, "whole", 0)
    command = ("list", "runs", "--store", str(store))
    listed = call(*command)
    assert listed.returncode == 0 and "none, files not compared yet" in " ".join(
        listed.stdout.split()
    )
    assert "--check" in listed.stderr
    rows = {row["id"]: row for row in json.loads(call(*command, "--json").stdout)}
    assert rows["mine"]["status"] == "none" and rows["mine"]["checked"] is False
    # Who asks by verdict is answered of what was compared, and so is who asks for that.
    for more in (("--status", "damaged"), ("--check",)):
        listed = call(*command, *more)
        assert "damaged" in listed.stdout and "not compared" not in listed.stdout
        assert "--check" not in listed.stderr
    assert "mine" not in call(*command, "--status", "none").stdout
