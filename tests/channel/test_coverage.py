"""The coverage suites of ``bench/coverage.py``, sized for every run of the tests."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "bench" / "coverage.py"
sys.path.append(str(PATH.parent))  # where a script finds the files beside it
SPEC = importlib.util.spec_from_file_location("hartley_bench_coverage", PATH)
assert SPEC is not None and SPEC.loader is not None
coverage = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = coverage
SPEC.loader.exec_module(coverage)

SCALE = {
    "null": 0.03,
    "grid": 0.03,
    "mechanisms": 0.04,
    "fano": 0.1,
    "surprise": 0.2,
    "gamma": 0.2,
    "peeking": 0.1,
    "clustered": 0.3,
    "bootstrap": 1.0,
    "cascades": 0.1,
}


def test_every_suite_is_sized():
    assert SCALE.keys() == coverage.SUITES.keys()


@pytest.mark.parametrize("name", coverage.SUITES)
def test_certified_bounds_are_wrong_no_more_often_than_they_say(name):
    rows = list(coverage.SUITES[name](SCALE[name], np.random.default_rng([7, len(name)])))
    assert rows
    assert not [str(row) for row in rows if not row.ok]


def test_the_rule_can_fail():
    """A bound that is wrong 12 % of the time is caught, and one that is wrong 4 % is not."""
    assert not coverage.Row("x", "x", 1000, 120).ok
    assert coverage.Row("x", "x", 1000, 40).ok
    assert not coverage.Row("x", "x", 1000, 40, must_fail=True).ok
