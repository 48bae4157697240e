"""Tables fit the terminal they are on, and a pipe gets everything."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hartley.cli import terminal
from hartley.cli.terminal import note, number, print_channels, print_defenses, print_table
from hartley.program.progress import Lines, duration, precise


def row(attack, **more):
    return {
        "attack": attack,
        "axis": "model_to_model",
        "status": "measured",
        "bits": {"point": 0.123456, "low": 0.1, "high": 0.2},
        "ceiling": 3.321,
        "metrics": {"auc": 0.5, "tpr_at_fpr_1e2": {"value": 0.04}},
        "n": 14400,
        "seconds": 123.4,
        "flags": [],
        **more,
    }


ROWS = [
    row("loss_threshold", flags=["its null arm reads 0.3 bit"]),
    row("lira", metrics={"capacity_before": 1.0}, axis=None),
    {"attack": "bad", "status": "failed", "reason": "ValueError: no"},
    *({"attack": a, "status": "skipped", "reason": "it plays language"} for a in ("x", "y")),
]
LEFT = {"point": 0.1, "low": 0.0, "high": None, "n": 9}
SHIELD = {
    "name": "rounding",
    "term": "bandwidth",
    "protects": ["membership"],
    "reason": None,
    "utility": {"accuracy": {"before": 0.9, "after": 0.8}},
    "residual": {
        "lira-0a1b2c": {
            "attack": "lira",
            "undefended": LEFT,
            "static": LEFT,
            "adaptive": None,
            "reason": "adaptive: died",
        }
    },
    "coverage": {"lira-0a1b2c": {"point": 0.5, "low": 0.25}},
}


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_tables_of_assess_fit(monkeypatch, capsys, width):
    monkeypatch.setattr(terminal, "lively", lambda stream: True)
    monkeypatch.setattr(terminal, "width", lambda: width)
    monkeypatch.setenv("NO_COLOR", "1")
    print_channels(ROWS)
    print_defenses([SHIELD])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "0.123 [0.100, 0.200]" in text and "TPR@1% 0.040" in text and "14400" in text
    assert ("share of the secret" in text) == (width >= 100)
    assert ("ceiling" in text) == (width >= 120)
    assert "FAILED   bad: ValueError: no" in text and "FLAGGED  loss_threshold" in text
    assert "it plays language" in text
    assert "accuracy 0.900 → 0.800" in text and "50% (≥25%)" in text and "adaptive: died" in text


def test_a_pipe_gets_everything_and_no_colour(capsys):
    print_table(("a", "b"), [("x" * 200, "y" * 200)], drop=(0,))
    out = capsys.readouterr().out
    assert "x" * 200 in out and "y" * 200 in out and "\x1b" not in out


def test_colour_only_where_it_is_wanted(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "lively", lambda stream: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    print_table(("a",), [("x",)])
    assert "\x1b[1m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(("a",), [("x",)])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (0.1234, "0.123"),
        (0.00004, "4e-05"),
        (12345.6, "12346"),
        (-0.5, "-0.500"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_attacks_that_do_not_fit_are_one_count_unless_all_is_asked_for(capsys):
    rows = [
        {"status": "skipped", "attack": f"a{i}", "reason": "it plays language", "cause": "modality"}
        for i in range(3)
    ]
    rows.append({**rows[0], "attack": "lira", "reason": "needs train", "cause": "access"})
    print_channels(rows, verbose=False)
    folded = capsys.readouterr().out
    assert "not played: 4" in folded and "3 (-v names them)" in folded
    assert "needs train: 1 (lira)" in folded and "a0" not in folded
    print_channels(rows)
    assert "it plays language: 3 (a0, a1, a2)" in capsys.readouterr().out


def test_the_first_line_of_progress_says_what_is_read(capsys):
    lines = Lines(note)
    lines.on_event("scene", {"name": "own_table"})
    lines.on_event("scene", {"name": "digits"})
    lines.on_event("not resumable", {"name": "my-ft"})
    first, second, third = capsys.readouterr().err.splitlines()
    assert (first, second) == ("reading your model and data", "building the scene digits")
    assert "--revision" in third


def test_progress_says_how_long_the_rest_takes(capsys):
    seconds = iter((0.0, 100.0, 130.0, 190.0))
    lines = Lines(note, clock=lambda: next(seconds))
    lines.on_event("jobs", {"run": "x", "total": 4, "kept": 1})
    ended = {
        "status": "done",
        "job": SimpleNamespace(words=lambda: "lira behind dp_sgd (static)"),
        "seconds": 30.0,
    }
    lines.on_event("ended", ended)
    lines.on_event("ended", ended)
    text = capsys.readouterr().err
    assert "  done    lira behind dp_sgd (static) (30.0 s); 2 left, about 60 s" in text
    assert "1 left, about 45 s" in text
    minutes = iter((0.0, 0.0, 5.0, 12.0, 15.0, 23.0))
    lines = Lines(note, clock=lambda: next(minutes))
    lines.on_event("jobs", {"run": "x", "total": 1, "kept": 0})
    for nth in (15, 16, 17, 18):
        model = {"what": "reference", "number": nth, "of": 64, "left": 200.4}
        lines.on_event("training", {"job": ended["job"], **model})
    printed = capsys.readouterr().err.splitlines()[1:]
    assert printed == [
        f"  {ended['job'].words()}: reference {k} of 64, 3 min 20 s left" for k in (16, 18)
    ]
    assert precise(3900.0) == "1 h 5 min" and precise(0.2) == "1 s"
    assert duration(5400.0) == "2 h" and duration(100.0) == "2 min" and duration(0.2) == "1 s"
