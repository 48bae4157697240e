"""The entropy of a sampled law: its interval holds the truth as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.infotheory.sampled_entropy import entropy_interval


@pytest.mark.parametrize("n", [57, 200])
@pytest.mark.parametrize(
    "weights", [[0.98, 0.02], [1, 1, 1, 1], 0.5 ** np.arange(12), 1 / np.arange(1, 21)]
)
def test_the_interval_holds_the_entropy(weights, n):
    law = np.asarray(weights, float) / np.sum(weights)
    truth = -(law * np.log2(law)).sum()
    samples = np.random.default_rng(0).multinomial(n, law, size=300)
    ends = np.array([entropy_interval(sample)[1:] for sample in samples])
    assert ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean() >= 0.93


def test_draws_that_are_all_alike_have_an_interval_with_a_width():
    value, low, high = entropy_interval([50])
    assert value == low == 0
    assert 0.1 < high < 1


def test_one_draw_is_not_enough():
    with pytest.raises(ValueError, match="needs two draws"):
        entropy_interval([1])
