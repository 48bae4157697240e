"""Fixtures of every room: packs that must be there, and a plugin whose parts misbehave."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hartley import catalog
from hartley.core.errors import MissingPack
from hartley.data import packs

YOUNG = 20_000
"""New objects between two searches for garbage among them."""

STRANGERS = Path(__file__).parent / "strangers"


SLOW = (
    "tests/test_parts.py",
    "tests/channel/test_coverage",
    "tests/cli/test_exit_codes",
    "tests/scenes/test_language",
    "tests/defenses/test_dp_sgd",
    "tests/kit/test_fleet",
    "tests/report/test_docs",
    "tests/attacks/test_data_to_data",
    "tests/targets/test_endpoint",
    "tests/engine",
    "tests/test_examples",
    "tests/games/test_membership_truth",
    "tests/kit/test_cache",
    "tests/attacks",
    "tests/cli",
)
"""Beginnings of the names of groups that take more than ten seconds: they are dealt first, so that
no worker is left alone with one at the end."""


def pytest_configure() -> None:
    """Hear Ctrl-C and SIGHUP: a shell starts what it puts in the background deaf to them."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put slow groups first, in every process alike, where groups are dealt to workers."""
    if config.getoption("dist", "no") == "loadgroup" or hasattr(config, "workerinput"):
        items.sort(key=lambda item: slowness(item.nodeid))


def pytest_collection_finish() -> None:
    """Leave what was collected, half a million objects, out of each search for garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)


def slowness(nodeid: str) -> int:
    """Return the place of a test's group among the slow ones, behind all of them if in none."""
    places = (k for k, name in enumerate(SLOW) if nodeid.startswith(name))
    return next(places, len(SLOW))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all tests of a file to one worker, so that a module's fixtures are made once.

    Groups are read from the ids of the tests: xdist 3.8 writes its own groups into an attribute
    that pytest 9.2 no longer reads, and then deals out single tests.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    # Else xdist deals the groups with most tests first, and a slow one with few tests last.
    config.option.loadscopereorder = False

    class ByGroup(LoadScopeScheduling):
        """Work units are groups of tests."""

        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)


def group_of(nodeid: str) -> str:
    """Return the group of a test: its file, or a part of the conformance checks.

    These, a third of all the time, are one group for each defense and for the attacks on each game,
    which share its deals; ``is_light`` looks at all attacks at once.
    """
    file, _, test = nodeid.partition("::")
    if not test.startswith("test_part["):
        return file
    part, _, check = test[len("test_part[") : -1].rpartition("-")
    if check == "is_light":
        return f"{file} {check}"
    games = {entry.name: entry.game for entry in catalog.entries("attack")}
    return f"{file} {games.get(part, part)}"


ONE_REDRAW = {"attacks", "defenses", "games"}
"""Rooms whose tests ask what is read; the null arm, most of the time of a measurement, changes
nothing else in it, and is looked at in ``tests/channel``."""


@pytest.fixture(autouse=True, scope="module")
def _nulls_of_one_redraw(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if ONE_REDRAW & {*request.path.relative_to(Path(__file__).parent).parts}:
            patch.setattr("hartley.channel.measure.REDRAWS", 1)
            patch.setattr("hartley.channel.measure.NULL_CERTIFICATES", 0)
        yield


def _seeded() -> None:
    """Seed what an estimator without a ``random_state`` draws from: no test rests on chance."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def _seeded_module() -> None:
    _seeded()


@pytest.fixture(autouse=True)
def _seeded_test() -> None:
    _seeded()


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


@pytest.fixture(scope="session")
def need_pack() -> Callable[[str], Path]:
    """A test that needs a pack skips where it is absent, and fails in CI."""

    def need(name: str) -> Path:
        try:
            return packs.locate(name)
        except MissingPack as absent:
            core = {pack.name for pack in packs.catalogue() if pack.core}
            if os.environ.get("CI") and name in core:
                pytest.fail(f"in CI a core pack must be here: {absent}")
            pytest.skip(str(absent))

    return need


@pytest.fixture
def call(strangers, capsys, tmp_path, monkeypatch):
    """The command in this process, in an empty folder: a new one would import all of it anew."""
    from hartley.cli.main import run

    monkeypatch.chdir(tmp_path)

    def called(*words):
        code = run(words)
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    return called


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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a server of PostgreSQL that the tests start."""
    pytest.importorskip("psycopg", reason="needs the extra 'postgres'")
    pytest.importorskip("pgserver", reason="needs the extra 'postgres'")
    from hartley.kit.stores.postgres_store import started

    url, running = started()
    yield url.replace(":@", "@")
    running.cleanup()
