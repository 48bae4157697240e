"""Edge-level privacy: the noise has the law it claims, stands everywhere, and has its ceiling."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.channel.measure import measure
from hartley.core import Modality
from hartley.defenses.noise.edge_dp import COUNT_SHARE, edge_dp, noisy
from hartley.engine.run.play import play
from hartley.games.inversion.link_inference import live

NODES = 24
EDGES = np.stack([np.arange(0, 20), np.arange(1, 21)])


def shares(epsilon, mechanism, runs=400):
    """How often a true link, and a pair that is none, come out as links."""
    rng = np.random.default_rng(0)
    true = other = 0.0
    for _ in range(runs):
        out = noisy(EDGES, NODES, epsilon, mechanism, rng)
        assert (out[0] < out[1]).all()
        cells = set(zip(*out.tolist(), strict=True))
        hit = len(cells & set(zip(*EDGES.tolist(), strict=True)))
        true += hit / EDGES.shape[1]
        other += (len(cells) - hit) / (NODES * (NODES - 1) // 2 - EDGES.shape[1])
    return true / runs, other / runs


def test_a_flipped_coin_keeps_exactly_the_ratio_it_promises():
    for epsilon in (0.5, 2.0):
        true, other = shares(epsilon, "response")
        keep = np.exp(epsilon) / (1 + np.exp(epsilon))
        assert true == pytest.approx(keep, abs=0.02) and other == pytest.approx(1 - keep, abs=0.02)


def test_the_largest_cells_keep_the_number_of_links_and_within_the_ratio():
    for epsilon in (1.0, 4.0):
        true, other = shares(epsilon, "laplace")
        pairs = NODES * (NODES - 1) // 2
        found = true * EDGES.shape[1] + other * (pairs - EDGES.shape[1])
        # The noisy count is unbiased but for the cut at zero.
        assert found == pytest.approx(
            EDGES.shape[1], rel=0.05 if COUNT_SHARE * epsilon > 0.1 else 0.5
        )
        assert true / other <= np.exp(epsilon) * 1.1
    assert true > 4 * other
    exact = noisy(EDGES, NODES, 1e6, "laplace", np.random.default_rng(0))
    assert set(zip(*exact.tolist(), strict=True)) == set(zip(*EDGES.tolist(), strict=True))


def test_a_link_named_backwards_is_the_same_link():
    a = noisy(EDGES, NODES, 2.0, "laplace", np.random.default_rng(3))
    b = noisy(EDGES[::-1], NODES, 2.0, "laplace", np.random.default_rng(3))
    assert np.array_equal(np.sort(a), np.sort(b))


def test_the_measured_bits_stay_under_the_ceiling_that_it_proves():
    from hartley.attacks.model_to_data.inversion.link_teller import link_teller

    scene = live(Modality.GRAPH, np.random.default_rng(0))
    before = measure(play(link_teller, scene, seed=0))
    for epsilon in (0.5, 2.0):
        shielded = edge_dp(scene, np.random.default_rng(1), epsilon=epsilon)
        heard = measure(play(link_teller, shielded, seed=0))
        p = 1 / (1 + np.exp(epsilon))
        proved = 1 + p * np.log2(p) + (1 - p) * np.log2(1 - p)
        assert heard.ceiling.value == pytest.approx(proved)
        assert heard.bits.lower <= proved < before.bits.value


def test_victims_and_references_have_noise_of_their_own():
    scene = live(Modality.GRAPH, np.random.default_rng(0))
    shielded = edge_dp(scene, np.random.default_rng(1), epsilon=1.0)
    ones = np.ones((1, len(scene.train)), dtype=bool)
    ask = scene.train.x
    victim, again = (shielded.fit(scene.train, ones, 5).member(0).query(ask) for _ in range(2))
    other = shielded.fit(scene.train, ones, 6).member(0).query(ask)
    reference = shielded.model.fit(scene.train, ones, 5).member(0).query(ask)
    assert np.array_equal(victim, again)
    assert not np.allclose(victim, other) and not np.allclose(victim, reference)
