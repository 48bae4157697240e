"""HAMP: the order of the classes is kept, the numbers are a random record's."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.defenses.bandwidth.hamp import BANK, Doubtful, hamp, label_probability
from hartley.engine.defend import defended


@pytest.fixture(scope="module")
def bare(tiny):
    return tiny.scene()


def test_the_order_stays_and_the_numbers_tell_nothing(tiny, bare):
    doubting = defended(bare, hamp, {"output": False})
    shielded = defended(bare, hamp)
    assert [d.name for d in shielded.defenses] == ["hamp"]
    clear, _, pool = tiny.victims(doubting)
    hidden, _, _ = tiny.victims(shielded)
    before, after = clear.query(pool.x), hidden.query(pool.x)
    np.testing.assert_array_equal(before.argsort(2), after.argsort(2))
    np.testing.assert_allclose(after.sum(2), 1, atol=1e-5)
    for k in range(len(after)):
        rows = np.unique(np.sort(after[k], 1).round(7), axis=0)
        assert len(rows) <= BANK  # the numbers of one of a few random records
        assert abs(np.corrcoef(before[k].max(1), after[k].max(1))[0, 1]) < 0.25
    np.testing.assert_allclose(hidden.member(2).query(pool.x), after[2], atol=1e-6)
    np.testing.assert_array_equal(hidden.query(pool.x), after)  # asked twice, told the same
    np.testing.assert_allclose(hidden.query(pool.x[5:9]), after[:, 5:9], atol=1e-6)


def test_victims_and_references_do_not_share_their_random_numbers(tiny, bare):
    shielded = hamp(bare, tiny.rng())
    pool, include = shielded.extra["pool"], np.ones((1, 200), bool)
    one = shielded.fit(pool, include, 0).query(pool.x)
    other = shielded.model.fit(pool, include, 0).query(pool.x)
    np.testing.assert_array_equal(one.argsort(2), other.argsort(2))
    assert not np.allclose(one, other)


@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_labels_have_the_entropy_asked_for(share):
    own = label_probability(share, 10)
    law = np.array([own, *[(1 - own) / 9] * 9])
    assert -(law * np.log(law)).sum() / np.log(10) == pytest.approx(share, abs=1e-6)
    hard = np.eye(10, dtype=np.float32)[[3]]
    soft = Doubtful(share, 0.0).teach(None, hard, None, seed=0, first=0, apprentice=None)
    np.testing.assert_allclose(np.sort(soft[0]), np.sort(law), atol=1e-6)
    assert soft[0].argmax() == 3


def test_doubt_is_learnt_and_rewarded(tiny, bare):
    def entropy(**params):
        made, _, pool = tiny.victims(hamp(bare, tiny.rng(), output=False, **params), 2)
        p = made.query(pool.x)
        return float(-(p * np.log(p + 1e-12)).sum(2).mean())

    plain, _, pool = tiny.victims(bare, 2)
    p = plain.query(pool.x)
    sure = float(-(p * np.log(p + 1e-12)).sum(2).mean())
    soft, rewarded = entropy(entropy=0.6, price=0.0), entropy(entropy=0.6, price=0.3)
    assert sure + 0.5 < soft < rewarded - 0.05
