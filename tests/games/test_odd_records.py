"""Records as people have them: saved with fewer digits, empty, in small number formats."""

import numpy as np
import pytest

from hartley.core import Data, Modality
from hartley.games.membership.split_checks import twins

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 6))
SAVED = {
    "as they are": lambda x: x.copy(),
    "single precision": lambda x: x.astype(np.float32),
    "half precision": lambda x: x.astype(np.float16),
    "single precision, read as double": lambda x: x.astype(np.float32).astype(np.float64),
    "half precision, read as single": lambda x: x.astype(np.float16).astype(np.float32),
    "six decimals": lambda x: np.round(x, 6),
    "three decimals, single precision": lambda x: np.round(x, 3).astype(np.float32),
    "three decimals": lambda x: np.array([[float(f"{v:.3f}") for v in row] for row in x]),
}


def data(x):
    return Data("d", Modality.TABULAR, x, None)


@pytest.mark.parametrize("name", SAVED)
def test_twins_are_found_in_the_coarser_precision(name):
    others = np.concatenate([SAVED[name](X[:20]), SAVED[name](RNG.normal(size=(180, 6)))])
    assert twins(data(X), data(others)) == pytest.approx(0.1)
    assert twins(data(others), data(X)) == pytest.approx(0.1)


def test_rounding_makes_no_twins_of_records_that_differ():
    close = X + 1e-3 * RNG.normal(size=X.shape)
    assert twins(data(X), data(close)) == 0.0
    # One number a record, saved with one digit: all records would be twins of some other.
    one = RNG.normal(size=(500, 1))
    assert twins(data(one), data(np.round(RNG.normal(size=(500, 1)), 1))) < 0.05
    whole = RNG.integers(0, 9, (200, 6))
    assert twins(data(whole), data(whole.astype(np.float32))) == 1.0
