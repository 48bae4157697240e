"""The examples run as they stand, and print numbers that make sense."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_runs(path: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    out = capsys.readouterr().out
    rows = re.findall(r"([\d.]+) bit .*\[([\d.]+) certified, ([\d.]+)\]", out)
    assert rows
    for point, low, high in rows:
        assert 0 < float(low) <= float(point) <= float(high) <= 1


def test_the_readme_program_runs(tmp_path: Path) -> None:
    """In a process of its own, as a reader runs it."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    # The other program is about files of the reader's own; tests/report/test_docs.py runs its like.
    (program,) = [p for p in re.findall(r"```python\n(.*?)```", readme, re.S) if "audit(" not in p]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    point, low, high = map(float, done.stdout.split())
    assert 0 < low <= point <= high < 1
