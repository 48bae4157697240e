"""All 34 analytic channels of the plan, every expected number, to its stated tolerance."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.channel import certificates, laws

FILE = json.loads((Path(__file__).parent / "channels.json").read_text())
CASES = {case["id"]: case for case in FILE["cases"]}
SOLVERS = {**laws.SOLVERS, **certificates.SOLVERS}


def check(case):
    """Hold every expected number against ours; the number of numbers checked."""
    found = SOLVERS[case["kind"]](**case["params"])
    wrong = {}
    for key, due in case["expected"].items():
        got = np.asarray(found[key], dtype=float)
        if got.shape != np.shape(due) or not np.all(np.abs(got - due) <= case["tol"]):
            wrong[key] = (found[key], due)
    assert not wrong, f"{case['id']}: (ours, due) {wrong}"
    return len(case["expected"])


@pytest.mark.parametrize("name", sorted(CASES))
def test_case(name):
    assert check(CASES[name]) > 0


def test_nothing_is_left_out():
    assert len(CASES) == FILE["n"] == 34
    assert {case["kind"] for case in CASES.values()} == set(SOLVERS)
    due = sum(len(case["expected"]) for case in CASES.values())
    assert sum(check(case) for case in CASES.values()) == due == 163


def test_small_probabilities_are_right_in_their_leading_digits():
    """An absolute tolerance of 1e-6 would let a wrong 1e-18 through."""
    case = CASES["C51-one-run"]
    due = case["expected"]["p_value_eps0"]
    assert certificates.one_run(**case["params"])["p_value_eps0"] == pytest.approx(due, rel=1e-9)
