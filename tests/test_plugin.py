"""A stranger's attack in a distribution of its own: listed, checked, played, nothing edited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hartley import catalog
from hartley.testing import check_attack

PLUGIN = Path(__file__).parent / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the plugin is installed, beside the one that runs the tests."""
    site = tmp_path_factory.mktemp("site")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--target", str(site), str(PLUGIN)),
        ],
        check=True,
        capture_output=True,
    )
    return {**os.environ, "PYTHONPATH": str(site)}


def _hartley(env: dict[str, str], *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hartley.cli.main", *words]
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False)


def test_it_is_listed(installed: dict[str, str], tmp_path: Path) -> None:
    done = _hartley(installed, "list", "attacks", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in json.loads(done.stdout) if row["name"] == "margin"]
    assert row["game"] == "membership" and row["axis"] == "model_to_data"


@pytest.fixture
def here(installed, call, monkeypatch):
    """The command in this process, which finds the plugin too."""
    monkeypatch.syspath_prepend(installed["PYTHONPATH"])
    catalog.refresh()
    yield call
    for name in [name for name in sys.modules if name.partition(".")[0] == "hartley_echo"]:
        del sys.modules[name]


def test_it_conforms(here) -> None:
    check_attack(catalog.load("attack", "margin"))


def test_it_has_a_row_in_assess_and_in_the_report(
    installed: dict[str, str], here, tmp_path: Path
) -> None:
    words = ("assess", "--scene", "live:membership", "--only", "margin", "--workers", "0", "--json")
    done = _hartley(installed, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    (row,) = [row for row in run["channels"] if row["attack"] == "margin"]
    assert row["status"] == "measured" and row["bits"]["low"] > 0.5
    page = here("report", run["id"], "--format", "md")
    assert page.returncode == 0 and "margin" in page.stdout, page.stderr


def test_its_flags_come_from_its_signature(here) -> None:
    words = ("attack", "margin", "--scene", "live:membership", "--power")
    done = here(*words, "2.0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["params"]["power"] == 2.0
    wrong = here(*words, "x")
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
