"""Stores at a URL: two machines, each with a spool of its own, and one store between them."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.report.sample import document as sample_document
from tests.store.test_digests import PLAN, ROW, begin
from tests.web.stores import PLAN as MEMBERSHIP

from hartley.core.errors import DamagedRun, StoreError, UsageError
from hartley.engine.assess import assess
from hartley.engine.plan.plan import parse
from hartley.store import (
    bring,
    check_store,
    folder_of_store,
    latest,
    read_verified,
    reopen,
    runs,
    save_verdict,
    saved_verdict,
)
from hartley.store.journal import read_journal
from hartley.store.remote import carrier, client, lease
from hartley.store.remote.objects import Objects
from hartley.store.remote.segment import Segment, pack, unpack

pytest.importorskip("fsspec")
_NUMBER = itertools.count()


class Machines:
    """Spools of one store."""

    def __init__(self, place: Path, url: str, monkeypatch) -> None:
        self.place, self.url, self._patch = place, url, monkeypatch

    def __call__(self, name: str) -> Path:
        self._patch.setenv("HARTLEY_SPOOL", str(self.place / name))
        return folder_of_store(self.url)

    @property
    def objects(self) -> Objects:
        return Objects(self.url)

    def segments(self, run: str = "mine") -> list[str]:
        return sorted(self.objects.list(f"runs/{run}"))


@pytest.fixture
def machines(tmp_path, monkeypatch):
    monkeypatch.setattr(carrier, "ATTEMPTS", 1)
    return Machines(tmp_path, f"memory://store-{next(_NUMBER)}/team", monkeypatch)


def tick(store):
    """Let the carrier send what is new, as it does twice a second."""
    client._ASKED[os.getpid(), store.absolute()].tick()


def keep(ledger, *jobs):
    for job in jobs:
        ledger.keep_trials(job, job.encode() * 40, ROW, {})


def killed(machine, *jobs):
    """A run whose machine was lost after it had sent these jobs; return its ledger."""
    ledger = begin(machine, run="mine")
    for job in jobs:
        keep(ledger, job)
        tick(machine)
    ledger.lock._lock.release()  # the system frees the lock of a folder, and nobody the lease
    return ledger


def test_a_run_is_played_on_one_machine_and_read_and_judged_on_another(machines):
    one = machines("one")
    document = assess(parse(MEMBERSHIP.format("", ""), source="plan.toml"), store=one)
    run = document["id"]
    two = machines("two")
    assert one != two and latest(two) == run
    (row,) = runs(two)
    assert row["id"] == run and row["status"] == document["verdict"]["status"]
    bring(two, run)
    reading = read_verified(two / run)
    assert reading.document == document and not reading.doubt
    played = {path.relative_to(one) for path in (one / run).rglob("*.*") if path.is_file()}
    fetched = {path.relative_to(two) for path in (two / run).rglob("*.*") if path.is_file()}
    hidden = {path for path in fetched if path.name.startswith(".")}
    assert fetched - hidden == {path for path in played if path.suffix != ".txt"} - hidden
    assert all((one / path).read_bytes() == (two / path).read_bytes() for path in fetched - hidden)
    # What the second machine adds reaches the first.
    verdict = {"verdict": {**document["verdict"], "status": "over"}, "judged": {}}
    save_verdict(two / run, reading.digest, verdict)
    bring(one, run)
    saved = saved_verdict(one / run, read_verified(one / run).journal)
    assert saved is not None and saved["status"] == "over"
    assert runs(one)[0]["status"] == runs(two)[0]["status"] == "over"
    # The same command has nothing to play on either machine.
    before = machines.segments(run)
    again = assess(parse(MEMBERSHIP.format("", ""), source="plan.toml"), store=machines("three"))
    assert again["created"] == document["created"] and machines.segments(run) == before


def test_a_machine_that_is_lost_costs_no_row_that_was_sent(machines, monkeypatch):
    one = machines("one")
    lost = killed(one, "a", "b")
    two = machines("two")
    with pytest.raises(StoreError, match=r"'mine' of memory://.* is written by process \d+ of"):
        begin(two, run="mine")
    monkeypatch.setattr(lease, "SECONDS", -1.0)  # the lease was not renewed for long enough
    taken = begin(two, run="mine")
    assert taken.done("a") and taken.done("b") and not taken.done("c")
    keep(taken, "c")
    taken.close()
    # The first machine wakes up. It may not write over what went on, and its job is not lost.
    keep(lost, "d")
    with pytest.raises(StoreError, match="another machine has continued the run 'mine'"):
        lost.lock.release()
    again = begin(machines("one"), run="mine")
    assert all(again.done(job) for job in "abcd"), "what it had alone joined the run"
    assert any("1 finished jobs that only this machine had" in reason for reason in again.healed)
    again.close()
    bring(two, "mine")
    assert reopen(two / "mine").done("d")


def test_two_machines_that_begin_at_once_do_not_both_write(machines, monkeypatch):
    """The second writes its lease between the first one's writing and listing."""
    one, two = machines("one"), machines("two")
    listing = Objects.list

    def both(self, folder):
        if folder == lease.FOLDER:
            monkeypatch.setattr(Objects, "list", listing)
            lease.renew(self, "mine", "another")
        return listing(self, folder)

    check_store(one)
    monkeypatch.setattr(Objects, "list", both)
    with pytest.raises(StoreError, match="is written by"):
        begin(one, run="mine")
    with pytest.raises(StoreError, match="is written by"):
        begin(two, run="mine")
    assert machines.segments() == [], "neither wrote"


def test_whatever_arrived_is_a_run_as_a_kill_leaves_it(machines):
    killed(machines("one"), "a", "b", "c")
    names = machines.segments()
    assert len(names) == 3
    for arrived in (2, 1):
        machines.objects.remove(f"runs/mine/{names[arrived]}")
        other = machines(f"reads {arrived}")
        bring(other, "mine")
        journal = read_journal(other / "mine" / "journal.jsonl")
        assert not journal.faults and set(journal.records) == set("abc"[:arrived])


def test_a_segment_that_is_damaged_or_foreign_is_not_believed(machines):
    killed(machines("one"), "a", "b", "c")
    objects, names = machines.objects, machines.segments()
    objects.put("runs/mine/notes.txt", b"of somebody else")
    objects.put("heads/mine~x", b"[")
    objects.put(f"runs/mine/{names[2]}", b"PK half of it")
    two = machines("two")
    bring(two, "mine")
    assert set(read_journal(two / "mine" / "journal.jsonl").records) == {"a", "b"}
    objects.put(f"runs/mine/{names[0]}", b"")
    with pytest.raises(DamagedRun, match="holds no whole journal of the run 'mine'"):
        bring(machines("three"), "mine")


@pytest.mark.parametrize("path", ["../x", "/x", "trials/../../x.parquet", "rows/.x.json", "x.py"])
def test_a_segment_cannot_write_anything_but_the_files_of_a_run(path):
    name, content = pack(1, 1, Segment("", 0, b"", {"rows/a.json": b"{}"}))
    assert unpack(name, content) is not None and unpack(name, content + b"x") is None
    name, content = pack(1, 1, Segment("", 0, b"", {path: b"{}"}))
    assert unpack(name, content) is None


def test_a_store_that_fails_costs_no_row_and_says_where_they_are(machines, monkeypatch):
    store = machines("one")
    ledger = begin(store, run="mine")
    keep(ledger, "a")
    tick(store)
    put = Objects.put

    def fails(self, name, content):
        raise StoreError(f"cannot write {self.url}/{name}: the disk there is full")

    monkeypatch.setattr(Objects, "put", fails)
    keep(ledger, "b")
    tick(store)
    with pytest.raises(StoreError, match=r"disk there is full; everything .* is kept in .*mine, "):
        ledger.close()
    assert begin_elsewhere(machines) == {"a"}
    monkeypatch.setattr(Objects, "put", put)
    begin(machines("one"), run="mine").close()
    assert begin_elsewhere(machines) == {"a", "b"}


def begin_elsewhere(machines):
    """The jobs that another machine would find done."""
    other = machines(f"other {next(_NUMBER)}")
    bring(other, "mine")
    return set(read_journal(other / "mine" / "journal.jsonl").records)


def test_names_are_taken_and_changed_plans_said_across_machines(machines):
    left = begin(machines("one"), run=None, source="plan.toml")
    left.close()
    two = machines("two")
    plan = PLAN.replace("seed = 0", "seed = 1")
    with pytest.raises(StoreError, match="is unfinished and has changed since: seed: 0 → 1"):
        begin(two, run=None, plan=plan, source="plan.toml")
    fresh = begin(two, run=None, source="plan.toml", fresh=True)
    assert fresh.id.endswith("-2")
    fresh.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nothing://x", "a store must be a folder or a URL that fsspec can open, got nothing://x"),
        ("memory://empty", "no store at memory://empty: expected hartley-store.json"),
        ("sftp://me:secret@host/x", "must not hold a password.*: FSSPEC_SFTP_PASSWORD, as fsspec"),
        ("s3://key:secret@bucket/x", "environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("file://", "a store must name a place behind file://, got file://"),
        ("s3:///", "a store must name a place behind s3://, got s3:///"),
    ],
)
def test_a_url_that_is_no_store_is_one_line(url, words, tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_SPOOL", str(tmp_path))
    with pytest.raises(UsageError, match=words) as error:
        runs(folder_of_store(url))
    assert "\n" not in str(error.value)


def test_a_folder_by_its_url_is_a_folder(tmp_path):
    assert folder_of_store(f"file://{tmp_path}") == tmp_path
    assert folder_of_store("runs") == Path("runs")


def test_what_another_version_wrote_is_refused(machines):
    machines.objects.put(carrier.MARK, b'{"schema": "hartley.objects/9"}')
    with pytest.raises(StoreError, match=r"must be of schema 'hartley\.objects/1'"):
        runs(machines("one"))


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.store.test_digests import begin
from tests.store.test_remote import keep
from hartley.store import folder_of_store
store = folder_of_store(sys.argv[1])
ledger = begin(store, run="mine")
keep(ledger, "a", "b", "c")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_command_finished_is_sent_by_the_process_beside_it(tmp_path, monkeypatch):
    """Two processes, and a folder as the store: the command is killed right after its last row."""
    (tmp_path / "shared").mkdir()
    machines = Machines(tmp_path, f"dir::file://{tmp_path / 'shared'}", monkeypatch)
    machines("one")
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, machines.url],
        cwd=Path(__file__).parents[2],
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    limit = time.monotonic() + 30
    while machines.objects.list(lease.FOLDER) or not machines.segments():
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert begin_elsewhere(machines) == {"a", "b", "c"}


def test_what_cannot_join_a_run_that_was_finished_elsewhere_is_kept_aside(machines, monkeypatch):
    lost = killed(machines("one"), "a")
    monkeypatch.setattr(lease, "SECONDS", -1.0)
    two = begin(machines("two"), run="mine")
    two.begin(lines={"rows": []})
    two.finish({**sample_document(), "id": "mine"})
    two.close()
    keep(lost, "b")
    one = machines("one")
    del client._ASKED[os.getpid(), one.absolute()]  # its process was killed
    (sentence,) = bring(one, "mine")
    assert "went on elsewhere; what this machine alone has of it is kept in" in sentence
    assert (one / ".aside/mine-1/trials/b.parquet").is_file()
    assert runs(one)[0]["status"] == runs(machines("two"))[0]["status"] != "unfinished"
    assert read_journal(one / "mine/journal.jsonl").ended
