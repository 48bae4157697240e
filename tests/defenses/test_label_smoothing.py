"""Label smoothing: the targets are mixed as the paper says, and confidence follows them."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.defenses.signal.label_smoothing import Smoothed, label_smoothing


@pytest.mark.parametrize("amount", [-0.1, 0.0, 0.3, 1.0])
def test_targets(amount):
    hard = np.eye(4, dtype=np.float32)[[1, 3]]
    soft = Smoothed(amount).teach(None, hard, None, seed=0, first=0, apprentice=None)
    np.testing.assert_allclose(soft.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(soft[0, 1], 1 - 0.75 * amount, atol=1e-6)
    np.testing.assert_allclose(soft[0, [0, 2, 3]], amount / 4, atol=1e-6)


def test_confidence_in_members_follows_the_amount(tiny):
    bare = tiny.scene()
    sure = {}
    for amount in (-0.1, 0.0, 0.3):
        made, include, pool = tiny.victims(label_smoothing(bare, tiny.rng(), amount=amount))
        assert made.facts["strategy"] == "batched"  # smoothed targets need no loss of their own
        top = made.query(pool.x).max(2)
        odds = np.log(top / (1 - top + 1e-9))
        sure[amount] = float(odds[include].mean())
    assert sure[0.3] < sure[0.0] - 1 < sure[-0.1] - 2
    # 0.7 + 0.03 of the label, 0.03 of each other class
    assert sure[0.3] == pytest.approx(np.log(0.73 / 0.27), abs=0.3)
