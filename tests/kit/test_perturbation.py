"""Budgets: what a step and a projection leave is allowed, and what is not allowed is seen."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.kit.perturbation import Perturbation

RNG = np.random.default_rng(0)
CLEAN = RNG.random((50, 2, 5), dtype=np.float32)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("scaled", [False, True])
def test_projected_records_are_allowed_and_projecting_twice_changes_nothing(norm, scaled):
    scale = RNG.choice([0.0, 0.5, 3.0], (2, 5)) if scaled else 1.0
    rules = Perturbation(norm, 0.2, 0.1, 0.9, scale)
    box = rules.box(CLEAN)
    wild = CLEAN + RNG.standard_normal(CLEAN.shape).astype(np.float32)
    inside = rules.projected(wild, CLEAN, box)
    assert rules.allows(CLEAN, inside).all()
    assert not rules.allows(CLEAN, wild).any()
    np.testing.assert_allclose(rules.projected(inside, CLEAN, box), inside, atol=1e-6)
    assert (rules.sizes(CLEAN, inside) <= 0.2 + 1e-5).all()
    if scaled:
        assert np.array_equal(inside[:, scale == 0], CLEAN[:, scale == 0])


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_step_is_the_steepest_of_its_length(norm):
    """No other change of the same length raises a linear loss more; random ones are tried."""
    scale = np.array([0.5, 1.0, 2.0, 0.0], np.float32)
    rules, clean = Perturbation(norm, 1.0, -9, 9, scale), np.zeros((1, 4), np.float32)
    slope = np.array([[3.0, -1.0, 0.5, 9.0]], np.float32)
    best = rules.moved(clean, slope, np.array([0.7]))
    assert rules.sizes(clean, best) == pytest.approx(0.7, rel=1e-5)
    units = RNG.standard_normal((4000, 4)) * (scale > 0)
    length = np.abs(units).max(1) if norm == "linf" else np.linalg.norm(units, axis=1)
    others = 0.7 * units / length[:, None] * scale
    assert (others @ slope[0]).max() <= (best @ slope[0])[0] * (1 + 1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_are_within_the_budget(norm):
    rules = Perturbation(norm, 0.3, -5, 5)
    sizes = rules.sizes(CLEAN, rules.random(CLEAN, np.random.default_rng(1)))
    assert (sizes <= 0.3 + 1e-5).all() and sizes.mean() > 0.2


def test_a_clean_record_outside_of_the_range_is_not_moved_into_it():
    rules, clean = Perturbation("linf", 0.1), np.array([[1.5, 0.5]], np.float32)
    assert rules.allows(clean, clean).all()
    assert not rules.allows(clean, clean + np.array([[0.05, 0.0]], np.float32)).any()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"norm": "l7", "epsilon": 1.0}, "norm must be linf or l2, got 'l7'"),
        ({"norm": "linf", "epsilon": -1.0}, "epsilon must be a finite number from 0 on, got -1.0"),
        ({"norm": "l2", "epsilon": float("inf")}, "epsilon must be a finite number from 0 on"),
        ({"norm": "l2", "epsilon": 1.0, "scale": -1.0}, "scale must be finite numbers from 0 on"),
        ({"norm": "l2", "epsilon": 1.0, "low": 2.0}, "low must be at most high"),
    ],
)
def test_mistakes_are_one_line(words, message):
    with pytest.raises(UsageError, match=message):
        Perturbation(**words)
