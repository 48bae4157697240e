"""An index over the runs of many stores, in PostgreSQL."""

from __future__ import annotations

import json
import shutil

import pytest
from tests.databases import new_database
from tests.store.test_list_of_runs import finished

from hartley.core.errors import UnknownName, UsageError
from hartley.store import folder_of_store, open_run, read_run, reopen, runs, shared_index
from hartley.store.shared_index import SharedIndex, rebuild, store_of

UNREACHABLE = "postgresql://postgres@127.0.0.1:1/nothing"


@pytest.fixture(scope="module")
def database(postgres_server):
    return new_database(postgres_server)


@pytest.fixture
def index(database, monkeypatch, tmp_path):
    """The address of an index without rows; runs are noted in it."""
    with SharedIndex(database) as known:
        known._base.execute("delete from hartley_runs.runs")
    monkeypatch.setenv("HARTLEY_INDEX", database)
    monkeypatch.setenv("HARTLEY_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setattr(shared_index, "missed", [])
    return database


def named(url):
    return {(row["id"], row["status"]) for row in runs(folder_of_store(url))}


def unfinished(store, name):
    scene = {"name": "other", "digest": "", "modality": "vision"}
    open_run(
        store, name="n", plan='scene = "digits"\n', scene=scene, version="1", run=name, source=""
    ).close()


def test_runs_of_two_stores_are_noted_as_they_are_written_and_found_by_name(index, tmp_path, call):
    one, two = tmp_path / "one", tmp_path / "two"
    folder = finished(one, 2)
    unfinished(two, "half")
    assert named(index) == {("mine", "none"), ("half", "unfinished")}
    ledger = reopen(folder)
    ledger.finish({**read_run(folder), "verdict": {"status": "over", "reasons": [], "checks": []}})
    ledger.close()
    assert named(index) == {("mine", "over"), ("half", "unfinished")}
    for store, run in ((one, "mine"), (two, "half")):
        assert store_of(folder_of_store(index), run) == (store, run)
    assert store_of(folder_of_store(index), "latest")[1] == "half"
    for words, names in (
        (("--scene", "oth*"), {"half"}),
        (("--status", "over"), {"mine"}),
        (("--scene", "digits", "--status", "pass"), set()),
    ):
        listed = call("list", "runs", "--store", index, "--json", *words)
        assert {row["id"] for row in json.loads(listed.stdout)} == names
    shown = call("report", "mine", "--store", index, "--format", "junit")
    assert shown.returncode == 0 and f"mine is in {one}" in shown.stderr
    with pytest.raises(UnknownName, match="did you mean"):
        store_of(folder_of_store(index), "mime")


def test_the_index_is_written_anew_from_the_stores(index, tmp_path, call):
    one, two = tmp_path / "one", tmp_path / "two"
    finished(one, 2)
    unfinished(two, "half")
    before = runs(folder_of_store(index))
    with SharedIndex(index) as known:
        known._base.execute("delete from hartley_runs.runs")
        gone = {**before[0], "run": "gone", "store": shared_index.place(one)}
        known.note([gone])
    said = call("index", "--store", str(one))
    assert said.returncode == 0 and "1 rows of runs that are not there any more" in said.stderr
    assert rebuild(index, two) == (1, 0)
    assert runs(folder_of_store(index)) == before


def test_an_entry_that_is_stale_or_foreign_judges_nothing(index, tmp_path, call):
    """The gate does not ask an index, and who reads through it reads the run's own files."""
    store = tmp_path / "one"
    folder = finished(store, 2)
    with SharedIndex(index) as known:
        (row,) = known.rows()
        forged = {**row, "run": "mine", "status": "pass"}
        known.note([forged, {**forged, "run": "theirs", "store": "file://elsewhere/nothing"}])
    assert ("mine", "pass") in named(index), "the list says what was noted"
    (tmp_path / "limits.toml").write_text("[limits]\nmembership = 0.1\n")
    gate = ("gate", "mine", "--limits", str(tmp_path / "limits.toml"), "--store")
    judged = call(*gate, index)
    assert judged.returncode == 2 and "must name the store of a run to judge it" in judged.stderr
    shutil.copytree(folder, tmp_path / "copy" / "mine")
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace('"seed": 7', '"seed": 8'))
    shown = call("report", "mine", "--store", index, "--format", "junit")
    assert "not verified: the run mine is damaged" in shown.stderr
    with pytest.raises(UsageError, match="must be read on the machine 'elsewhere'"):
        store_of(folder_of_store(index), "theirs")
    # Where two stores have a run of one name, the person chooses.
    rebuild(index, tmp_path / "copy")
    with pytest.raises(UsageError, match=r"'mine' must be in one store, got .* and "):
        store_of(folder_of_store(index), "mine")
    played = call("assess", "--scene", "live:membership", "--store", index)
    assert played.returncode == 2 and "must name the store of a run to play it in" in played.stderr


def test_a_run_is_never_lost_because_of_the_index(index, tmp_path, monkeypatch, call):
    """An index that cannot be reached is one line before anything is played, and a note later."""
    played = call(
        "assess", "--scene", "live:membership", "--index", UNREACHABLE, "--store", str(tmp_path)
    )
    assert played.returncode == 2 and not list(tmp_path.glob("live*"))
    (line,) = played.stderr.splitlines()
    assert line.startswith("hartley: the index postgresql://127.0.0.1:1/nothing cannot be used: ")
    monkeypatch.setenv("HARTLEY_INDEX", UNREACHABLE)
    folder = finished(tmp_path / "one", 2)
    assert runs(tmp_path / "one")[0]["status"] == "none" and folder.is_dir()
    (sentence,) = shared_index.missed
    assert f"add it with: hartley index --store {tmp_path / 'one'}" in sentence


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:secret@host/runs", "must not hold a password"),
        ("postgresql://host:port/runs", "url must be like postgresql://user@host:5432/name"),
    ],
)
def test_an_address_that_is_none_is_one_line(url, words, tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_SPOOL", str(tmp_path))
    with pytest.raises(UsageError, match=words) as error:
        runs(folder_of_store(url))
    assert "\n" not in str(error.value)


def test_an_index_of_another_version_is_refused(postgres_server):
    url = new_database(postgres_server)
    with SharedIndex(url) as known:
        known._base.execute("update hartley_runs.version set number = 9")
    with pytest.raises(UsageError, match="must be of version 1, got 9"), SharedIndex(url):
        pass
