"""Tests that share fixtures, deals or victims run in one process, which makes them once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

TWO_FILES = """
import os
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    with open({seen!r}, "a") as file:
        file.write(f"{{__name__}} {{os.getpid()}}\\n")
"""


def test_the_workers_of_a_run_take_whole_groups(tmp_path):
    """In a real run: pytest and xdist have disagreed about groups before, and nothing failed."""
    (tmp_path / "conftest.py").write_bytes((Path(__file__).parent / "conftest.py").read_bytes())
    seen = tmp_path / "seen"
    for name in ("test_one", "test_other"):
        (tmp_path / f"{name}.py").write_text(TWO_FILES.format(seen=str(seen)))
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    lines = seen.read_text().splitlines()
    assert len(lines) == 12 and len({*lines}) == 2, lines
    assert len({line.split()[1] for line in lines}) == 2, "both workers have work"


def test_slow_groups_are_dealt_first(tmp_path):
    """In a real run, with one worker: a group of one slow test comes before many quick ones."""
    text = (Path(__file__).parent / "conftest.py").read_text()
    (tmp_path / "conftest.py").write_text(text.replace("tests/test_parts.py", "test_slow.py"))
    (tmp_path / "test_many.py").write_text(
        "import pytest\n\n@pytest.mark.parametrize('n', range(9))\ndef test_it(n): pass\n"
    )
    (tmp_path / "test_slow.py").write_text("def test_it(): pass\n")
    command = [sys.executable, "-m", "pytest", "-v", "-n", "1", "--dist", "loadgroup", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    passed = [line for line in done.stdout.splitlines() if "PASSED" in line]
    assert len(passed) == 10 and "test_slow.py" in passed[0], passed


def test_every_slow_group_is_there():
    from tests.conftest import SLOW

    files = [str(p.relative_to(ROOT)) for p in (ROOT / "tests").rglob("test_*.py")]
    for name in SLOW:
        assert any(file.startswith(name) for file in files), name


def test_conformance_checks_share_a_group_by_game_or_defense():
    from tests.conftest import group_of

    def of(case):
        return group_of(f"tests/test_parts.py::test_part[{case}]")

    assert of("lira-repeats") == of("rmia-writes_nothing") == of("membership-says_what_it_is")
    assert of("lira-repeats") != of("dlg-repeats") != of("rounding-repeats")
    assert of("lira-is_light") == of("dlg-is_light") != of("lira-repeats")
    assert group_of("tests/core/test_errors.py::test_a[x-y]") == "tests/core/test_errors.py"
