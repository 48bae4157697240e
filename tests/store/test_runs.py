"""Run folders: append-only, resumable, and clear about what changed or cannot be written."""

from __future__ import annotations

import errno
import json
import os
import re

import pytest

from hartley.core.errors import StoreError, UnknownName
from hartley.store import disk, open_run, read_run, reopen, runs, write_atomically
from hartley.store.journal import journal_bytes, read_journal

SCENE = {"name": "digits", "digest": "d" * 64, "modality": "vision"}
PLAN = 'scene = "digits"\nseed = 0\n[attacks.lira]\nshadows = 8\n[limits]\nmembership = 0.1\n'
ROW = {"measurement": "0123", "row": {"status": "measured"}}
DOCUMENT = {
    "schema": "hartley.run/2",
    "id": "x",
    "version": "1",
    "scene": {},
    "channels": [],
    "verdict": {"status": "pass", "checks": [{"limit": "membership"}]},
}


def begin(store, plan=PLAN, **more):
    return open_run(
        store, **{"name": "digits", "plan": plan, "scene": SCENE, "version": "1"} | more
    )


def test_the_same_command_goes_on(tmp_path):
    first = begin(tmp_path)
    first.keep_trials("job", b"bytes", ROW, {"seconds": 1})
    first.note("failed", "bad", reason="no")
    first.close()
    again = begin(tmp_path)
    assert again.id == first.id and again.done("job") and not again.done("bad")
    assert (again.folder / "trials/job.parquet").read_bytes() == b"bytes"
    again.close()


def test_another_plan_is_another_run(tmp_path):
    begin(tmp_path).close()
    other = begin(tmp_path, PLAN.replace("= 8", "= 9"))
    assert len(runs(tmp_path)) == 2
    other.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"plan": PLAN.replace("= 8", "= 9")}, r"attacks\.lira\.shadows: 8 → 9"),
        ({"plan": PLAN.replace("seed = 0\n", "")}, "seed: 0 → absent"),
        ({"scene": SCENE | {"digest": "e" * 64}}, "scene digest: dddddddddddd → eeeeeeeeeeee"),
        ({"version": "2"}, "Hartley: 1 → 2"),
    ],
)
def test_a_named_run_that_changed_says_what(tmp_path, change, words):
    begin(tmp_path, run="mine").close()
    with pytest.raises(StoreError, match=words):
        begin(tmp_path, run="mine", **change)
    begin(tmp_path, run="mine").close()  # the refusal let go of the folder


def test_an_edited_plan_file_or_a_changed_scene_is_told_while_its_run_is_unfinished(tmp_path):
    begin(tmp_path, source="/p/nightly.toml").close()
    with pytest.raises(StoreError, match=r"unfinished.*attacks\.lira\.shadows: 8 → 9.*--fresh"):
        begin(tmp_path, PLAN.replace("= 8", "= 9"), source="/p/nightly.toml")
    with pytest.raises(StoreError, match="scene digest"):
        begin(tmp_path, scene=SCENE | {"digest": "e" * 64})
    new = begin(tmp_path, PLAN.replace("= 8", "= 9"), source="/p/nightly.toml", fresh=True)
    new.finish(DOCUMENT)
    new.close()


def test_limits_may_change_under_a_run(tmp_path):
    begin(tmp_path, run="mine").close()
    begin(tmp_path, PLAN.replace("= 0.1", "= 0.2"), run="mine").close()
    one = begin(tmp_path)
    one.close()
    two = begin(tmp_path, PLAN.replace("= 0.1", "= 0.2"))
    assert one.id == two.id
    two.close()


def test_fresh_never_touches_what_is_there(tmp_path):
    ids = []
    for _ in range(3):
        ledger = begin(tmp_path, fresh=True)
        ids.append(ledger.id)
        ledger.close()
    assert len(set(ids)) == 3 and ids[1] == f"{ids[0]}-2" and ids[2] == f"{ids[0]}-3"


def test_half_a_line_is_cut_off_and_damage_is_told(tmp_path):
    ledger = begin(tmp_path, run="mine")
    ledger.note("done", "a")
    ledger.close()
    journal = ledger.folder / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"event": "done", "jo')
    again = begin(tmp_path, run="mine")
    assert again.done("a")
    again.note("done", "b")
    again.close()
    assert all(json.loads(line) for line in journal.read_text().splitlines())
    journal.write_text(journal.read_text().replace('"event": "done", "job": "a"', "rot"))
    assert runs(tmp_path)[0]["status"] == "damaged"
    with pytest.raises(StoreError, match="line 2 is damaged"):
        reopen(ledger.folder)
    healed = begin(tmp_path, run="mine")
    assert healed.done("b") and not healed.done("a")
    assert healed.healed == ["journal.jsonl: line 2 is damaged; its job is played again"]
    healed.close()
    assert runs(tmp_path)[0]["status"] == "unfinished"


def test_a_process_killed_in_its_first_line_left_nothing(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "journal.jsonl").write_bytes(b'{"schema": "hart')
    begin(tmp_path, run="mine").close()
    first, *_ = (folder / "journal.jsonl").read_text().splitlines()
    assert json.loads(first)["schema"]


def test_two_writers_are_kept_apart(tmp_path):
    ledger = begin(tmp_path, run="mine")
    with pytest.raises(StoreError, match="another process is writing"):
        begin(tmp_path, run="mine")
    ledger.close()
    begin(tmp_path, run="mine").close()


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "", "x" * 200])
def test_a_run_is_one_folder_of_the_store(tmp_path, name):
    with pytest.raises(StoreError, match=rf"name of a run must be .*, got '{re.escape(name)}'"):
        begin(tmp_path, run=name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps(DOCUMENT | {"schema": "hartley.run/3"}), "hartley.run/2.*hartley.run/3"),
        (json.dumps({"a": 1}), "must have 'schema'"),
        ("[1]", "must be an object"),
        ("{", "not a run document"),
    ],
)
def test_a_reader_refuses_what_it_cannot_read(tmp_path, text, words):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(StoreError, match=words):
        read_run(tmp_path)


def test_what_is_not_there(tmp_path):
    with pytest.raises(StoreError, match="no run in"):
        read_run(tmp_path)
    with pytest.raises(StoreError, match="no run in"):
        reopen(tmp_path)
    begin(tmp_path, run="half").close()
    with pytest.raises(StoreError, match="must be finished"):
        read_run(tmp_path / "half")
    assert runs(tmp_path)[0]["status"] == "unfinished"


def test_the_index_is_read_off_the_folders(tmp_path):
    ledger = begin(tmp_path, run="one")
    ledger.note("done", "a")
    ledger.finish(DOCUMENT | {"id": "one"})
    ledger.close()
    (row,) = runs(tmp_path)
    assert row["id"] == "one" and row["status"] == "pass" and row["scene"] == "digits"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, monkeypatch, code):
    ledger = begin(tmp_path, run="mine")
    ledger.keep_trials("a", b"first", ROW, {})
    before = (ledger.folder / "journal.jsonl").read_bytes()
    real = os.write

    def write(handle, content):
        real(handle, bytes(content)[:5])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(disk.os, "write", write)
    for act in (
        lambda: ledger.keep_trials("b", b"second", ROW, {}),
        lambda: ledger.note("done", "b"),
        lambda: ledger.finish(DOCUMENT),
    ):
        with pytest.raises(StoreError, match=r"no space left.*finished work is kept") as told:
            act()
        assert "\n" not in str(told.value)
    monkeypatch.undo()
    assert (ledger.folder / "journal.jsonl").read_bytes() == before
    assert {p.name for p in ledger.folder.rglob("*") if p.is_file()} == {
        *("plan.toml", "journal.jsonl", "a.parquet", "a.json", ".lock")
    }
    ledger.note("done", "b")
    ledger.close()
    again = begin(tmp_path, run="mine")
    assert again.done("a") and again.done("b")
    again.close()


def test_a_short_write_goes_on_until_all_is_written(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(disk.os, "write", lambda h, c: real(h, bytes(c)[:3]))
    write_atomically(tmp_path / "x", b"0123456789")
    disk.append(tmp_path / "x", b"abcdefg\n")
    assert (tmp_path / "x").read_bytes() == b"0123456789abcdefg\n"


def test_a_store_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*choose a writable folder"):
        begin(tmp_path / "file")


def test_a_replaced_file_is_whole_or_old(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_atomically(path, b"old")

    def broken(handle):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(disk.os, "fsync", broken)
    with pytest.raises(StoreError, match="input/output error"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_unknown_runs_get_the_nearest(tmp_path):
    from hartley.cli.find_run import folder_of

    begin(tmp_path, run="nightly").close()
    with pytest.raises(UnknownName, match="did you mean nightly"):
        folder_of("nigtly", tmp_path)
    with pytest.raises(StoreError, match="holds no runs"):
        folder_of("x", tmp_path / "none")
    assert folder_of("latest", tmp_path) == tmp_path / "nightly"


def test_half_a_character_in_an_error_does_not_keep_a_run_from_its_end(tmp_path):
    """A server's answer may hold half an emoji: UTF-8 has no bytes for it."""
    ledger = begin(tmp_path)
    reason = "HTTP 500: \ud83d"
    ledger.note("failed", "bad", reason=reason)
    ledger.keep_trials("job", b"", ROW | {"reason": reason}, {})
    ledger.finish(DOCUMENT | {"channels": [{"reason": reason}]})
    ledger.close()
    stored = json.loads((ledger.folder / "run.json").read_bytes())
    assert stored["channels"][0]["reason"] == "HTTP 500: ?"
    again = begin(tmp_path)
    assert again.records["bad"]["reason"] == reason and again.row("job")["reason"] == "HTTP 500: ?"
    again.close()


@pytest.mark.parametrize("change", [{"job": "../../x"}, {"trials": "../../x.parquet"}])
def test_a_journal_that_names_a_file_outside_of_its_run_is_damaged(tmp_path, change):
    """With digests that agree: a run may come from somewhere else, with files of this machine."""
    run = begin(tmp_path)
    run.keep_trials("job", b"bytes", ROW, {"seconds": 1})
    run.close()
    (tmp_path / "x.json").write_text("{}")
    (tmp_path / "x.parquet").write_bytes(b"bytes")
    path = run.folder / "journal.jsonl"
    lines = [{**line, **(change if "trials" in line else {})} for line in read_journal(path).lines]
    path.write_bytes(journal_bytes(lines)[0])
    assert "names a file outside of the run" in "".join(read_journal(path).faults)
    assert "job" not in read_journal(path).records
