"""A part of ``bench/coverage_quantity.py``: point, low and high against an integrated truth.

All cases with more runs are in ``docs/coverage.md``.
"""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "bench"))  # where a script finds those beside it
coverage = importlib.import_module("coverage_quantity")
cases = importlib.import_module("coverage_cases")

RUNS = 60
BY_NAME = {case.name: case for suite in coverage.SUITES.values() for case in suite()}
CHOSEN = (
    *("shift 0, n=1000", "shift 0, n=10000", "shift 0.5, n=300", "shift 1, n=1000, 1:20"),
    *("shift 1, n=1000", "shift 1, n=10000", "shift 1, ties at ½, n=300", "four values, n=300"),
    *("two values, n=300", "N(0,1) v N(0,2), k=2, n=300", "t₂ shift 1.5, k=1, n=300"),
    *("rare leak 5%, n=1000", "m=3 × 64, ICC 0.5, coins", "m=8 × 64, ICC 0.5, coins"),
    *(
        "m=16 × 64, ICC 0.9, balanced",
        "m=8 × 64, ICC 0, coins",
        "m=20, 10 leak (50%), 1000 do not, coins",
    ),
    *("m=5, 1000 leak (50%), 10 do not, coins", "m=20, 1000 leak (50%), 10 do not, coins"),
    *("K=2, planted, null, n=1000", "K=2, planted, right 0.6, n=1000"),
    *("K=10, skewed, right 0.6, n=10000", "K=2, telling abstentions, n=2000"),
    *(
        "K=2, rare class, constant guess, 2 % abstain, n=2000",
        "K=2, one coin a user, 20 × 50, null",
    ),
    *("K=3, one coin a user, 20 × 50, null", "uniform, R=100, n=640", "∝ 1/rank, R=10000, n=640"),
    *("∝ 1/rank, R=10000, n=640, m=16", "TPR at FPR 0.1%, shift 2, n=300"),
    *("advantage, m=20 × 16, ICC 0, coins, shift 0", "exposure, ∝ 1/rank, R=50, n=8"),
)


@pytest.mark.parametrize("name", CHOSEN)
def test_the_ends_of_a_row_are_on_either_side_of_the_truth(name):
    case = BY_NAME[name]
    runs = 16 if "n=10000" in name and "K=" not in name else RUNS
    rng = np.random.default_rng([1, *name.encode()])
    measured = cases.measure_case(replace(case, runs=runs), 1.0, rng)
    assert not measured.faults, measured.columns


def test_the_rule_can_fail():
    """A low that passes the truth in 20 % of 60 runs, a high that misses it in 20 %, loose ends."""
    case = replace(BY_NAME["shift 1, n=1000"], runs=RUNS)
    right = np.full(RUNS, 0.1)
    mixed = np.where(np.arange(RUNS) < 12, 0.2, 0.1)
    ends = cases.Measured(case, right, right + case.truth - 0.1, right + 0.1)
    assert not ends.faults
    assert replace(ends, low=mixed).faults == ("low passes the truth",)
    assert replace(ends, high=0.3 - mixed).faults == ("high misses the truth",)
    assert replace(ends, low=right - 0.05, high=right + 0.2).faults == (
        "high is loose",
        "low is loose",
    )
    biased = replace(ends, case=replace(case, asked=cases.Asked(bias=0.1)), point=right + 0.1)
    assert biased.faults == ("point is biased",)
