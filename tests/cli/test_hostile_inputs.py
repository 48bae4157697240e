"""Plans, tables, names and stores that nobody means well with: one line, exit 2, at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from hartley.store import open_run

MANY = 10**5
PLANS = {
    "nested lists": 'scene = "digits"\nx = ' + "[" * MANY,
    "nested tables": 'scene = "digits"\nx = ' + "{a = " * MANY,
    "a dotted key": ".".join("a" * MANY) + " = 1",
    "a dotted key in quotes": ".".join(['"=,"'] * MANY) + " = 1",
    "a dotted heading": "[" + ".".join("a" * MANY) + "]",
    "400 digits": "[limits]\nmembership = " + "9" * 400,
    "10^5 digits": "alpha = " + "9" * MANY,
    "a float of no size": "[limits]\nmembership = 1e999999999",
    "unfinished text": 'scene = "' + '\\"' * MANY,
    "DEL": 'scene = "dig\x7fits"',
    "DEL, escaped": 'scene = "dig\\u007fits"',
    "half a character": 'scene = "\\ud800"',
    "half a character, raw": b'scene = "\xed\xa0\x80"',
    "NUL": 'scene = "a\\u0000"',
    "UTF-16": 'scene = "digits"'.encode("utf-16"),
    "a name of 10^5": 'scene = "' + "d" * MANY + '"',
    "nothing": "",
    "a scene without a name": 'scene = ""',
    "10^9 replicates": 'scene = "live:membership"\nreplicates = 1000000000',
    "10^9 workers": 'scene = "live:membership"\n[executor]\nworkers = 1000000000',
    "a sweep of 10^6": 'scene = "digits"\n[attacks.lira]\n'
    + "".join(f"{name} = [{', '.join(map(str, range(100)))}]\n" for name in "abc"),
}


def refused(done, *, seconds=5.0, begun=0.0):
    """One line on standard error, exit 2, nothing on standard output."""
    assert done.returncode == 2, done
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("hartley: "), done.stderr[:500]
    assert done.stderr.rstrip("\n").isprintable() and len(done.stderr) < 5000
    assert not begun or time.monotonic() - begun < seconds


@pytest.mark.parametrize("verb", ["assess", "gate", "plan"])
def test_a_hostile_plan_is_one_line(call, tmp_path, verb):
    for name, text in PLANS.items():
        path = tmp_path / f"{name.replace('/', ' ')}.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        begun = time.monotonic()
        words = {"assess": [path.name], "gate": ["x", "--limits", path.name]}
        refused(call(verb, *words.get(verb, [path.name, "--power"])), begun=begun)


@pytest.fixture
def odd_files(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "hole").symlink_to("gone")
    for ending in ("toml", "csv", "json"):
        for name in ("folder", "pipe", "loop", "zero", "hole"):
            (tmp_path / f"{name}.{ending}").symlink_to(name)


NAMES = ("folder", "pipe", "loop", "zero", "hole", "x" * 300, "a/" * 3000, "a\0b")


def test_a_plan_a_table_or_a_run_that_is_not_a_file_is_one_line(call, odd_files):
    for name in NAMES:
        _refuses_as_a_file(call, name)


def _refuses_as_a_file(call, name):
    begun = time.monotonic()
    for words in (
        ("assess", f"{name}.toml"),
        ("gate", "x", "--limits", f"{name}.toml"),
        ("measure", f"{name}.csv"),
        ("gate", f"{name}.json", "--limits", "demo.toml"),
        ("show", f"{name}.json"),
        ("report", f"{name}.json"),
        ("new", "attack", "mine", "--to", f"{name}.toml/x"),
    ):
        if words[0] != "new" or name in ("loop", "zero", "x" * 300):
            refused(call(*words), begun=begun, seconds=10)


WORDS = [
    ("assess", "--scene", "digits", "--seed", "9" * 5000),
    ("assess", "--scene", "digits", "--workers", "9" * 400),
    ("assess", "--scene", "digits", "--set", "epochs=" + "[" * MANY),
    ("assess", "--scene", "digits", "--set", "epochs=" + "9" * 400),
    ("assess", "--scene", "digits", "--set", "epochs=" + "9" * MANY),
    ("assess", "--scene", "digits", "--set", "epochs\x7f=1"),
    ("assess", "--scene", "digits", "--run", "x" * 300, "--only", "loss_threshold"),
    ("assess", "--scene", "live:membership", "--run", "字" * 100),
    ("assess", "--scene", "live:membership", "--run", "\x7f", "--only", "loss_threshold"),
    ("assess", "--scene", "live:membership", "--run", "", "--only", "loss_threshold"),
    ("assess", "--scene", "digits\x7f"),
    ("assess", "--scene", ""),
    ("assess", "--scene", "x" * MANY),
    ("assess", "--scene", "digits", "--only", "x" * MANY),
    ("assess", b"\xff.toml".decode("utf-8", "surrogateescape")),
    ("show", b"caf\xe9".decode("utf-8", "surrogateescape")),
    ("list", "\x1b[2J"),
    ("report", "x", "--format", "\x1b[31mhtml"),
    ("measure", "\u202e.csv"),
    ("pack", "get", "x" * MANY),
    ("new", "attack", "x" * 300),
    ("\x1b[2J",),
    ("",),
]


def test_a_hostile_word_of_the_command_line_is_one_line(call):
    for words in WORDS:
        refused(call(*words), begun=time.monotonic())


def test_a_store_that_is_a_file_is_one_line(call, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    for store in ("file", "loop", "file/x", "/dev/null", "x" * 300):
        refused(call("list", "runs", "--store", store)) if store != "file/x" else None
        if store != "x" * 300:
            refused(call("report", "latest", "--store", store))
    done = call(
        "assess", "--scene", "live:membership", "--only", "loss_threshold", "--store", "file"
    )
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("hartley: ")


DOCUMENTS = [
    b"[" * MANY,
    b'{"a":' * MANY,
    b'{"schema": "hartley.run/2", "seed": ' + b"9" * MANY + b"}",
    b'{"schema": "hartley.run/2", "seed": ' + b"9" * 400 + b"}",
    b'{"schema": "hartley.run/2", "seed": NaN}',
    b'{"schema": "hartley.run/2", "seed": 1e999}',
    b'{"schema": "\\ud800\\u202e\x1b"}',
    b'{"schema": "\\ud800\\u202e"}',
    b"\xff\xfe{",
    b"",
    b"null",
]


def test_a_hostile_run_document_is_one_line(call, tmp_path):
    (tmp_path / "limits.toml").write_text("[limits]\nmembership = 1\n")
    for content in DOCUMENTS:
        (tmp_path / "run.json").write_bytes(content)
        for words in (("gate", "run.json", "--limits", "limits.toml"), ("show", "./run.json")):
            refused(call(*words))
        refused(call("report", "run.json", "--format", "md"))


def test_a_hostile_cell_of_a_table_is_one_line(call, tmp_path):
    """Where the types of a column differ, another reader of JSON takes over."""
    for cell in ("[" * MANY, '{"a":' * MANY, "9" * MANY, "9" * 400):
        for first in ("1", '"a"'):
            rows = [f'{{"truth": {i % 2}, "guess": {first if i else 1}}}' for i in range(4)]
            rows.append(f'{{"truth": 1, "guess": {cell}}}')
            (tmp_path / "t.jsonl").write_text("\n".join(rows) + "\n")
            refused(call("measure", "t.jsonl"))


def test_a_plan_of_any_file_name_is_played(tmp_path):
    """The run's folder is named after it, within what a folder's name may be."""
    for name in ("x" * 250, "字" * 120, ".hidden", "\u202e\x1b[31m", "-"):
        run = open_run(tmp_path / "runs", name=name, plan='scene = "x"\n', scene={}, version="1")
        run.close()
        assert run.folder.is_dir() and run.id.isprintable() and not run.id.startswith(".")


def test_a_full_disk_under_the_output_is_one_line():
    """Only a process of its own has a standard output that is a full device."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "hartley.cli.main", "list", "attacks"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "hartley: the output cannot be written: No space left on device\n"


def test_a_blind_baseline_without_an_end_is_one_line(call, tmp_path, monkeypatch):
    """The gate computes what the baseline could explain from both of its ends."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "report")
    document = import_module("sample").document()
    document["channels"][0]["metrics"]["blind_auc"] = {"value": 0.9, "high": 0.95, "n": 100}
    (tmp_path / "run.json").write_text(json.dumps(document))
    (tmp_path / "limits.toml").write_text("[limits]\nmembership = 0.0001\n")
    done = call("gate", "run.json", "--limits", "limits.toml")
    refused(done)
    assert "blind_auc" in done.stderr
