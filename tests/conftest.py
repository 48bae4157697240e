"""Fixtures of every room: a cache of the tests' own, and a plugin whose parts misbehave."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hartley import catalog

STRANGERS = Path(__file__).parent / "strangers"


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The plugin distribution ``strangers``, found by this process and its workers."""
    monkeypatch.syspath_prepend(STRANGERS)
    catalog.refresh()
    yield STRANGERS
    for name in [n for n in sys.modules if n.split(".")[0] == "strangers"]:
        del sys.modules[name]
    monkeypatch.undo()
    catalog.refresh()


@pytest.fixture
def hartley(tmp_path: Path):
    """The real command in a process of its own, in an empty folder, with ``strangers`` there."""

    def run(*words: str, **extra) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(STRANGERS), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "PYTHONPATH": path, **extra.pop("env", {})}
        return subprocess.run(
            [sys.executable, "-m", "hartley.cli.main", *words],
            env=env,
            cwd=extra.pop("cwd", tmp_path),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            **extra,
        )

    return run
