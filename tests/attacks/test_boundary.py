"""Distances to a boundary from labels alone, and the ways to ask about a picture again."""

from __future__ import annotations

import numpy as np

from hartley.attacks.model_to_data.membership._shared.augmentations import MOVES, noisy, pictures
from hartley.attacks.model_to_data.membership._shared.decision_boundary import distances


def test_the_distance_to_a_plane_is_found_from_above_and_turns_come_closer():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 6)).astype(np.float32)
    normal = np.array([3.0, 1, 0, 0, 0, 0]) / np.sqrt(10)

    def ask(points):
        return (points @ normal > 0.2).astype(int)

    exact = np.abs(x @ normal - 0.2)
    gaps = []
    for turns in (0, 1, 3):
        found = distances(ask, x, ask(x), rng, starts=3, halvings=12, turns=turns, probes=60)
        assert (found >= exact - 1e-3).all()
        gaps.append(float(np.mean(found / exact)))
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1.25
    assert np.corrcoef(found, exact)[0, 1] > 0.98


def test_where_there_is_one_label_all_are_equally_far():
    x = np.random.default_rng(0).random((30, 2), dtype=np.float32)
    found = distances(
        lambda p: np.zeros(len(p), int), x, np.zeros(30, int), np.random.default_rng(0)
    )
    assert (found == found[0]).all() and found[0] > 0


def test_pictures_come_first_as_they_are_and_then_moved():
    x = np.random.default_rng(1).random((3, 2, 5, 5), dtype=np.float32)
    made = pictures(x, 50)
    assert made.shape == (50, 3, 2, 5, 5)
    assert (made[0] == x).all()
    assert len({one.tobytes() for one in made}) == 50
    for k, (down, right) in enumerate(MOVES):
        inside = made[k][..., max(down, 0) : 5 + min(down, 0), max(right, 0) : 5 + min(right, 0)]
        source = x[..., max(-down, 0) : 5 + min(-down, 0), max(-right, 0) : 5 + min(-right, 0)]
        assert (inside == source).all()
    assert (made[25] == x[..., ::-1]).all()


def test_noise_has_the_sizes_that_were_asked_for():
    x = np.zeros((400, 10), np.float32)
    made = noisy(x, np.array([0.1, 1.0]), np.random.default_rng(0))
    assert made.shape == (2, 400, 10)
    np.testing.assert_allclose(made.std((1, 2)), [0.1, 1.0], rtol=0.05)
