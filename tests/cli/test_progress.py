"""The bar of a run in a terminal of 80 columns."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from hartley.cli.progress import LINES, _Bars, _board
from hartley.program.progress import Lines


def _drawn(board):
    console = Console(file=io.StringIO(), width=80)
    for line in board.get_renderables():
        console.print(line)
    return console.file.getvalue().splitlines()


def _job(key):
    words = f"badnets behind record_scan and spectral_signatures (adaptive), batch {key}"
    return SimpleNamespace(key=str(key), words=lambda: words)


def test_attacks_have_lines_of_their_own_and_leave_the_times_their_place():
    board = _board()
    bars = _Bars(board)
    bars.on_event("scene", {"name": "own_records"})
    bars.on_event("jobs", {"total": 29, "kept": 3})
    for key in range(2):
        bars.on_event("started", {"job": _job(key)})
    lines = _drawn(board)
    assert [line.startswith("badnets behind") for line in lines] == [True, True, False]
    assert lines[-1].startswith("playing") and lines[-1].endswith(" so far")
    assert " 3/29 " in lines[-1]
    assert max(map(len, lines)) <= 80
    for key in range(2, LINES + 3):
        bars.on_event("started", {"job": _job(key)})
    assert _drawn(board)[LINES] == "and 3 more"
    bars.clock = lambda: bars.began + 60.0
    bars.on_event("ended", {"job": _job(0), "status": "measured", "share": 0.2})
    # A fifth of the work in a minute leaves four, however many jobs there are.
    assert _drawn(board)[-1].endswith(" so far, about 4 min left")
    for key in range(1, LINES + 3):
        bars.on_event("ended", {"job": _job(key), "status": "measured"})
    bars.on_event("measuring", {})
    (line,) = _drawn(board)
    assert line.startswith("measuring")


@pytest.mark.parametrize(("total", "words"), [(1, "run r: 1 job"), (2, "run r: 2 jobs")])
def test_a_file_says_how_many_jobs_a_run_has(total, words):
    written = []
    Lines(written.append).on_event("jobs", {"run": "r", "total": total, "kept": 0})
    assert written == [words]
