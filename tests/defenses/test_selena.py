"""SELENA: no member is answered by a sub-model that trained on it, and the student learns that."""

from __future__ import annotations

import numpy as np

from hartley.core import spawn
from hartley.defenses.signal.selena import Distilled, adaptive, missed, selena
from hartley.kit.fleet import Training, train


def test_every_record_is_missed_by_as_many_as_were_asked():
    missing = missed(200, 10, 3, seed=1)
    assert missing.shape == (10, 200) and (missing.sum(0) == 3).all()
    assert missing.sum(1).min() > 30 and missing.sum(1).max() < 90  # spread over the sub-models
    assert not np.array_equal(missing, missed(200, 10, 3, seed=2))


def test_no_record_is_answered_by_a_sub_model_that_trained_on_it(tiny):
    data = tiny.part("d", 0, 80)
    include = tiny.rng(1).random((3, 80)) < 0.6
    targets = np.eye(10, dtype=np.float32)[data.y]
    asked: list[tuple[np.ndarray, int, int]] = []

    class Told:
        """Sub-model i answers 1 in class i, and so gives itself away."""

        def __init__(self, models: int) -> None:
            self.models = models

        def query(self, x):
            return 40.0 * np.repeat(np.eye(10)[: self.models, None], len(x), 1)

    def apprentice(rows, seed, first):
        asked.append((rows, seed, first))
        return Told(len(rows))

    out = Distilled(10, 4).teach(data.x, targets, include, seed=9, first=5, apprentice=apprentice)
    assert out.shape == (3, 80, 10)
    assert [first for _, _, first in asked] == [50, 60, 70]
    for k, (rows, _, _) in enumerate(asked):
        assert not rows[:, ~include[k]].any()  # strangers train nobody
        own = np.flatnonzero(include[k])
        by = out[k, own] > 1e-6  # which sub-models answered each member
        assert (by.sum(1) == 4).all()
        assert not (by & rows[:, own].T).any()
        np.testing.assert_allclose(out[k, own].max(1), 0.25, atol=1e-6)
        np.testing.assert_array_equal(out[k, ~include[k]], targets[~include[k]])


def test_a_model_number_has_its_own_split_and_the_same_one_always(tiny):
    data = tiny.part("d", 0, 60)
    include = np.ones((3, 60), bool)
    recipe = Training(epochs=4, batch=16)
    whole = train(tiny.DENSE, data.x, data.y, include, recipe, objective=Distilled(4, 2))
    alone = train(
        tiny.DENSE, data.x, data.y, include[2:], recipe, first=2, objective=Distilled(4, 2)
    )
    np.testing.assert_allclose(whole.query(data.x)[2], alone.query(data.x)[0], atol=1e-4)
    assert not np.array_equal(
        missed(60, 4, 2, spawn(0, "split", 0)), missed(60, 4, 2, spawn(0, "split", 2))
    )


def test_the_mean_is_over_those_who_missed():
    said = np.array([[[1.0, 0.0]], [[0.5, 0.5]], [[0.0, 1.0]]])
    got = adaptive(said, np.array([[True], [True], [False]]))
    np.testing.assert_allclose(got, [[0.75, 0.25]])


def test_members_are_told_apart_less(tiny):
    bare = tiny.noisy(tiny.scene(epochs=100))
    shielded = selena(bare, tiny.rng(), parts=5, apart=2)
    assert tiny.told_apart(shielded) < 0.8 < 0.9 < tiny.told_apart(bare)
