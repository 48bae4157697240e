"""``hartley measure`` on tables as other tools write them: what it refuses, ignores and flags."""

from __future__ import annotations

import inspect
import json
import random
import types
import typing
from importlib import import_module

import pytest

from hartley.channel.trials.table_doubts import hint_of
from hartley.cli.main import VERBS


def table(heading, rows):
    return "\n".join([heading, *(",".join(map(str, row)) for row in rows)]) + "\n"


def scored(n=400, extra=lambda i, rng: ()):
    rng = random.Random(1)
    rows = []
    for i in range(n):
        truth = rng.getrandbits(1)
        rows.append((truth, f"{rng.gauss(truth, 1):.6f}", *extra(i, rng)))
    return rows


@pytest.mark.parametrize(
    ("guesses", "words"),
    [
        (
            "0.37 0.9 0.2 0.8",
            "column `guess` must be whole numbers (or words), got 0.37; is it a `s",
        ),
        ("0 1 0 0.5", "got 0.5; is it a `score`?"),
        ("out in in 0.5", "got 0.5; is it a `score`?"),
        ("0 1 -2 1", "got -2; symbols are 0, 1, … and −1 is an abstention"),
        ("0 1 1e300 1", "far above every secret"),
        ("0 1 10000000000000000000000000 1", "far above every secret"),
        ("0 1 99999999 1", "got 99999999, far above every secret"),
        ("0 inf 1 0", "got inf; is it a `score`?"),
    ],
)
def test_numbers_that_are_not_symbols_are_refused(call, tmp_path, guesses, words):
    truth = ["out", "in"] if "out" in guesses else [0, 1]
    rows = [(truth[i % 2], guess) for i, guess in enumerate(guesses.split() * 40)]
    (tmp_path / "t.csv").write_text(table("truth,guess", rows))
    code, out, err = _run(call, "t.csv")
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1, err


def _run(call, *words):
    done = call("measure", *words)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("heading", "rows", "words"),
    [
        (
            "truth,guess",
            [(0.5, 0), (1, 1)],
            "column `truth` must be whole numbers (or words), got 0",
        ),
        (
            "truth,guess",
            [(-3, 0), (1, 1)],
            "column `truth` must be whole numbers (or words), got -3",
        ),
        (
            "truth,score,cluster",
            [(0, 1, 0.25), (1, 2, 1)],
            "column `cluster` must be whole numbers",
        ),
        ("truth,score,logq", [(0, 1, 0.25), (1, 2, -1)], "logq must be at most 0, got 0.25"),
        ("truth,score,observed", [(0, 1, -3), (1, 2, 3)], "observed must be at least 0, got -3"),
        (
            "truth,score,item",
            [(0, 1, 0.5), (1, 2, 3)],
            "`item` must be whole numbers (or words), got 0",
        ),
    ],
)
def test_value_columns_name_the_value_that_they_do_not_take(call, tmp_path, heading, rows, words):
    (tmp_path / "t.csv").write_text(table(heading, rows * 40))
    code, out, err = _run(call, "t.csv")
    assert (code, out) == (2, "") and words in err, err


def test_large_and_wrong_guesses_of_a_known_alphabet_are_measured(call, tmp_path):
    users = [10**9 + k for k in range(4)]
    rows = [(users[i % 4], users[i % 4] if i % 3 else 10**9 + 77) for i in range(200)]
    (tmp_path / "t.csv").write_text(table("truth,guess", rows))
    assert _run(call, "t.csv", "--json")[0] in (0, 3)
    rows = [(i % 3, 5 if i % 7 == 0 else i % 3) for i in range(200)]
    (tmp_path / "t.csv").write_text(table("truth,guess", rows))
    row = json.loads(_run(call, "t.csv", "--json")[1])
    assert row["alphabet"] == 3 and row["bits"]["point"] > 1


def test_columns_that_are_not_read_are_named(call, tmp_path):
    rows = scored(extra=lambda i, rng: (i // 20, i // 10, f"{rng.random():.5f}"))
    (tmp_path / "t.csv").write_text(table("truth,score,user,clustr,note", rows))
    _, out, _ = _run(call, "t.csv")
    assert "ignored columns: user, clustr, note; is `user` a `cluster`? is `clustr` a `clu" in out
    row = json.loads(_run(call, "t.csv", "--json")[1])
    assert [c["name"] for c in row["ignored_columns"]] == ["user", "clustr", "note"]
    assert row["ignored_columns"][2]["hint"] == ""
    (tmp_path / "t.csv").write_text(table("truth,score", scored()))
    assert "ignored" not in _run(call, "t.csv")[1]
    assert json.loads(_run(call, "t.csv", "--json")[1])["ignored_columns"] == []


def test_a_question_is_asked_only_where_there_is_reason():
    base = {"labels": True, "clustered": False}
    assert hint_of("patient_id", 200, 201, **base) == "is `patient_id` a `cluster`?"
    assert hint_of("colour", 12, 400, **base) == "is `colour` a `cluster`?"
    assert hint_of("colour", 12, 400, labels=True, clustered=True) == ""
    assert hint_of("colour", 400, 400, **base) == ""  # one row each
    assert hint_of("version", 1, 400, **base) == ""
    assert hint_of("noise", 30, 400, labels=False, clustered=False) == ""
    assert hint_of("Seconds", 30, 400, labels=False, clustered=False) == "is `Seconds` a `seconds`?"


def test_a_flagged_table_is_measured_and_exits_with_0_as_every_command_without_limits(
    call, tmp_path
):
    (tmp_path / "t.csv").write_text(table("truth,score", scored() * 5))
    code, out, _ = _run(call, "t.csv")
    assert code == 0 and "FLAGGED" in out and "bits per use" in out
    code, out, _ = _run(call, "t.csv", "--json")
    assert code == 0 and json.loads(out)["flags"]
    (tmp_path / "t.csv").write_text(table("truth,score", scored()))
    assert _run(call, "t.csv")[0] == 0
    call("asure", "--help")  # after a mistake, cyclopts has read the help of every verb
    assert "0 measured, 2 bad input" in " ".join(call("measure", "--help").stdout.split())
    assert "Exit codes: 0 pass" in " ".join(call("--help").stdout.split())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"truth;score\n0;1.5\n1;2.5\n",
            "is it separated by ';'? Columns must be separated by com",
        ),
        (b"truth\tscore\n0\t1.5\n1\t2.5\n", "is it separated by a tab?"),
        (b"\x89PNG\r\n\x1a\n\x00\x1b[31m" + bytes(range(256)), "must be text, got binary data"),
        (b"\x1b[31mred\n\x1b[0m0\n", "must have a column `truth`, got columns \\x1b[31mred"),
    ],
)
def test_files_that_are_not_comma_separated_text(call, tmp_path, content, words):
    (tmp_path / "t.csv").write_bytes(content)
    code, out, err = _run(call, "t.csv")
    assert (code, out) == (2, "") and words in err, err
    assert all(c.isprintable() for c in err.rstrip("\n"))


def test_a_folder_is_said_to_be_one(call, tmp_path):
    (tmp_path / "t.csv").mkdir()
    assert "must be a file, got a folder" in _run(call, "t.csv")[2]


@pytest.mark.parametrize("flag", ["--tries", "--pieces"])
def test_fractions_of_whole_numbers_are_refused(call, tmp_path, flag):
    (tmp_path / "t.csv").write_text(table("truth,score", scored()))
    for value in ("2.5", "2.0", "1e1", "nan"):
        code, out, err = _run(call, "t.csv", flag, value)
        assert (code, out) == (2, "") and f"must be a whole number, got '{value}'" in err


@pytest.mark.parametrize("verb", VERBS)
def test_every_whole_number_of_every_verb_refuses_fractions(verb):
    """cyclopts cuts 2.5 to 2, so each flag of an int needs the converter that refuses it."""
    module = import_module(f"hartley.cli.{verb}")
    for name, function in vars(module).items():
        if not inspect.isfunction(function) or function.__module__ != module.__name__:
            continue
        if name.startswith("_") or not _is_command(module.app, function):
            continue
        hints = typing.get_type_hints(function, include_extras=True)
        for parameter, hint in hints.items():
            kinds = _kinds(hint)
            if int in kinds and parameter != "return":
                marks = getattr(hint, "__metadata__", ())
                assert any(getattr(mark, "converter", None) for mark in marks), (verb, parameter)


def _is_command(app, function):
    commands = [app.default_command, *(app[name].default_command for name in app)]
    return function in commands


def _kinds(hint):
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    return set(typing.get_args(hint)) if isinstance(hint, types.UnionType) else {hint}
