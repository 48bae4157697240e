"""Exact tails of sums with random signs, against every choice of signs."""

from itertools import product

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.infotheory.exact_tails import log2_sign_sum_tail


@pytest.mark.parametrize("weights", [[1], [3, 3, 1], [0, 2, 5, 5, 7], [4, 1, 1, 6, 2, 0, 3]])
def test_the_tail_is_that_of_all_choices_of_signs(weights) -> None:
    w = np.array(weights)
    sums = np.array([np.dot(signs, w) for signs in product((-1, 1), repeat=len(w))])
    for total in range(-int(w.sum()) - 2, int(w.sum()) + 3):
        share = float(np.mean(sums >= total))
        assert 2.0 ** log2_sign_sum_tail(w, total) == pytest.approx(share, abs=1e-15)


def test_equal_weights_are_binomial_far_out() -> None:
    from hartley.infotheory.surprisal import log2_binomial_tail

    # 380 of 400 signs agree: the sum is 360.
    ours = log2_sign_sum_tail(np.ones(400, dtype=int), 360)
    assert ours == pytest.approx(log2_binomial_tail(380, 400, 0.5), abs=1e-6)


def test_edges() -> None:
    w = np.array([2, 0, 1])
    assert log2_sign_sum_tail(w, 4) == -np.inf
    assert log2_sign_sum_tail(w, 3) == pytest.approx(-2)
    assert log2_sign_sum_tail(np.zeros(3, dtype=int), 0) == 0
    # Far below the least float.
    assert log2_sign_sum_tail(np.ones(2000, dtype=int), 2000) == pytest.approx(-2000)
    with pytest.raises(UsageError, match="whole numbers"):
        log2_sign_sum_tail(np.array([0.5]), 0)
