"""A file of a run that is not what was written is seen, and healed by the command that made it."""

from __future__ import annotations

import json
import os

import pytest

from hartley.core.errors import DamagedRun, StoreError
from hartley.store import open_run, read_verified, reopen, runs
from hartley.store.journal import journal_bytes, read_journal

SCENE = {"name": "digits", "digest": "d" * 64, "modality": "vision"}
PLAN = 'scene = "digits"\nseed = 0\n[limits]\nmembership = 0.1\n'
ROW = {"measurement": "0123", "row": {"status": "measured"}}


def begin(store, **more):
    return open_run(
        store, **{"name": "digits", "plan": PLAN, "scene": SCENE, "version": "1"} | more
    )


@pytest.fixture
def folder(tmp_path):
    """A run of three jobs, not finished."""
    ledger = begin(tmp_path, run="mine")
    for job in ("a", "b", "c"):
        ledger.keep_trials(job, job.encode() * 40, ROW, {})
    ledger.close()
    return ledger.folder


def with_other_digit(line):
    """Change the last digit of a line's own digest, whichever it is."""
    assert line.endswith(b'"}\n')
    return line[:-4] + (b"1" if line[-4:-3] == b"0" else b"0") + line[-3:]


def test_a_journal_that_was_cut_at_a_line_is_one_that_a_kill_left(folder):
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:-1]))
    journal = read_journal(folder / "journal.jsonl")
    assert not journal.faults and set(journal.records) == {"a", "b"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda lines: [lines[0], *lines[2:]], "a line before line 2 is missing or was moved"),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], "a line before line 2 is missing"),
        (lambda lines: [*lines, lines[1]], "a line before line 5 is missing or was moved"),
        (lambda lines: [*lines[:2], lines[2].replace(b'"b"', b'"B"'), lines[3]], "line 3 is dam"),
        (lambda lines: [*lines[:2], with_other_digit(lines[2]), lines[3]], "line 3 is damaged"),
        (lambda lines: [*lines[:2], b"[" * 10000 + b"\n", lines[3]], "line 3 is damaged"),
    ],
)
def test_a_line_that_was_changed_removed_or_moved_is_seen_and_healed(folder, change, fault):
    path = folder / "journal.jsonl"
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    (seen, *_) = read_journal(path).faults
    assert seen.startswith(fault)
    assert runs(folder.parent)[0]["status"] == "damaged"
    healed = begin(folder.parent, run="mine")
    assert any(fault in reason for reason in healed.healed)
    healed.close()
    assert not read_journal(path).faults and begin(folder.parent, run="mine").healed == []


def test_every_flipped_bit_of_a_journal_is_seen(folder):
    path = folder / "journal.jsonl"
    content = path.read_bytes()
    whole = read_journal(path)
    for bit in range(0, len(content) * 8, 31):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            journal = read_journal(path)
        except StoreError:
            continue
        # Only the end of the last line reads as a kill would have left it.
        assert journal.faults or len(journal.records) < len(whole.records), bit


def test_damaged_trials_and_rows_are_not_believed(folder):
    (folder / "trials/a.parquet").write_bytes(b"a" * 39 + b"b")
    (folder / "rows/b.json").write_text(json.dumps(ROW | {"more": 1}))
    (folder / "trials/c.parquet").unlink()
    ledger = begin(folder.parent, run="mine")
    assert [ledger.done(job) for job in "abc"] == [False, True, False]
    assert ledger.row("b") is None and ledger.row("c") == ROW
    with pytest.raises(DamagedRun, match=r"a\.parquet is missing or damaged; the `hartley assess`"):
        ledger.trials("a")
    assert "trials/a.parquet is damaged; its job is played again" in ledger.healed
    ledger.keep_row("b", ROW)
    assert ledger.row("b") == ROW
    ledger.close()


def test_a_row_that_was_measured_again_has_the_digest_of_the_new_one(folder):
    ledger = begin(folder.parent, run="mine")
    ledger.keep_row("a", ROW | {"measurement": "4567"})
    ledger.close()
    again = begin(folder.parent, run="mine")
    assert again.done("a") and again.row("a")["measurement"] == "4567"
    again.close()


def test_a_damaged_header_or_an_earlier_version_is_played_again(folder):
    path = folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0].replace(b"digits", b"diggts") + b"".join(lines[1:]))
    with pytest.raises(DamagedRun):
        read_journal(path)
    ledger = begin(folder.parent, run="mine")
    assert "first line" in ledger.healed[0] and not ledger.done("a")
    ledger.close()
    old = {"schema": "hartley.journal/1", "name": "digits", "scene": SCENE, "version": "1"}
    done = {"event": "done", "job": "a", "trials": "trials/a.parquet"}
    path.write_text(json.dumps(old) + "\n" + json.dumps(done) + "\n")
    # Measuring again believes the trials as they are, and adds digests.
    kept = reopen(folder)
    assert kept.done("a")
    kept.close()
    (folder / "trials/a.parquet").write_bytes(b"other")
    again = begin(folder.parent, run="mine")
    assert not again.done("a")
    again.close()
    path.write_text(json.dumps(old) + "\n" + json.dumps(done) + "\n")
    again = begin(folder.parent, run="mine")
    assert "earlier version" in again.healed[0] and not again.done("a")
    again.close()


def test_a_damaged_plan_file_is_written_again_and_not_measured(folder):
    path = folder / "plan.toml"
    ledger = begin(folder.parent, run="mine")
    ledger.begin(lines={"rows": []})
    ledger.close()
    path.write_text(PLAN.replace("= 0.1", "= 0.9"))
    with pytest.raises(DamagedRun, match="is not the plan that was played"):
        reopen(folder)
    path.write_bytes(b"\xff = [")
    with pytest.raises(DamagedRun, match=r"plan\.toml is damaged"):
        reopen(folder)
    ledger = begin(folder.parent, run="mine")
    ledger.begin(lines={"rows": []})
    ledger.close()
    assert path.read_text() == PLAN
    path.write_text(PLAN.replace("seed = 0", "seed = 1"))
    with pytest.raises(StoreError, match="seed: 1 → 2"):
        begin(folder.parent, run="mine", plan=PLAN.replace("seed = 0", "seed = 2"))


def test_a_forked_copy_does_not_write(folder):
    ledger = begin(folder.parent, run="mine")
    child = os.fork()
    if child == 0:
        try:
            ledger.note("done", "forged")
        except StoreError:
            ledger.close()
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with pytest.raises(StoreError, match="another process is writing"):
        begin(folder.parent, run="mine")  # the copy's end has not let go of the folder
    ledger.note("done", "d")
    ledger.close()
    assert not read_journal(folder / "journal.jsonl").faults


def test_what_a_killed_process_left_of_a_file_is_removed(folder):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    for place in ("", "trials", "rows", "../"):
        (folder / place / f".x.json.{child}.partial").touch()
    (folder / ".report.html.1.partial").touch()  # process 1 runs
    begin(folder.parent, run="mine").close()
    left = {path.name for path in folder.parent.rglob("*.partial")}
    assert left == {".report.html.1.partial"}


def test_one_run_that_cannot_be_read_does_not_stop_the_others(tmp_path, monkeypatch):
    begin(tmp_path, run="good").close()
    for name in ("folder", "pipe", "loop", "empty", "junk", "words", "plan", "number"):
        (tmp_path / name).mkdir()
    (tmp_path / "folder/journal.jsonl").mkdir()
    os.mkfifo(tmp_path / "pipe/journal.jsonl")
    (tmp_path / "loop/journal.jsonl").symlink_to("journal.jsonl")
    (tmp_path / "empty/journal.jsonl").touch()
    (tmp_path / "junk/journal.jsonl").write_bytes(os.urandom(200) + b"\n" + b"\xff\n")
    (tmp_path / "words/journal.jsonl").write_text('{"schema": "hartley.journal/1"}\n"x"\n')
    (tmp_path / "number/journal.jsonl").write_text(
        '{"schema": "hartley.journal/1", "name": 1, "scene": 3, "created": 5}\n'
    )
    (tmp_path / "number/plan.toml").write_text(PLAN)
    content, _ = journal_bytes([{"schema": "hartley.journal/2", "scene": SCENE, "name": "digits"}])
    (tmp_path / "plan/journal.jsonl").write_bytes(content)
    (tmp_path / "plan/plan.toml").mkdir()
    (tmp_path / "plan/run.json").mkdir()
    (tmp_path / "round").symlink_to("round")
    statuses = {row["id"]: row["status"] for row in runs(tmp_path)}
    assert statuses.pop("good") == "unfinished" and statuses.pop("number") == "unfinished"
    assert len(statuses) == 7 and set(statuses.values()) == {"damaged"}
    begin(tmp_path).close()
    real = os.open

    def denied(path, *flags, **more):
        if os.fspath(path).endswith("words/journal.jsonl"):
            raise PermissionError(13, "Permission denied")
        return real(path, *flags, **more)

    monkeypatch.setattr(os, "open", denied)
    reasons = {row["id"]: row.get("reason", "") for row in runs(tmp_path)}
    assert "ermission denied" in reasons["words"]
    begin(tmp_path, plan=PLAN.replace("seed = 0", "seed = 3")).close()


def test_a_run_that_is_not_finished_or_not_there_is_said(folder):
    with pytest.raises(StoreError, match="must be finished first"):
        read_verified(folder)
    (folder / "run.json").write_text("{}")
    with pytest.raises(DamagedRun, match="does not say that it was finished"):
        read_verified(folder)
    with pytest.raises(StoreError, match="no run in"):
        read_verified(folder / "gone")
