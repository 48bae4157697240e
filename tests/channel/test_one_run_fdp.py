"""The one-run audit of a Gaussian trade-off: published values, mechanisms of known μ, its place."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from tests.channel.trials import score_trials

from hartley.channel.bounds import one_run_dp, one_run_fdp
from hartley.channel.measure import measure
from hartley.core import Bound
from hartley.infotheory.differential_privacy import epsilon_of_mu


@pytest.mark.parametrize(
    ("guesses", "correct", "levels", "epsilon"),
    [(406, 379, 386, 2.164749), (938, 934, 374, 4.7218075), (5436, 5436, 140, 9.133752)],
)
def test_it_is_the_published_audit(guesses, correct, levels, epsilon):
    """Values of jax-privacy's own test (20,000 scores, δ = 1e-6, Bonferroni over its levels)."""
    assert one_run_fdp.epsilon_lower(
        20_000, guesses, correct, 0.05 / levels, 1e-6
    ) == pytest.approx(epsilon, abs=4e-6)


def published_excess(m, guesses, correct, mu, tau):
    """The recursion as printed, from the number of right guesses down to none."""
    r, h = tau * correct / m, tau * (guesses - correct) / m
    for i in range(correct - 1, -1, -1):
        more = max(h, norm.cdf(norm.ppf(min(r, 1.0)) - mu))
        r, h = r + i / (guesses - i) * (more - h), more
    return r + h - guesses / m


@pytest.mark.parametrize(
    ("m", "guesses", "correct"), [(1000, 200, 160), (300, 300, 200), (30, 5, 5), (500, 100, 99)]
)
def test_its_bound_is_where_the_printed_recursion_turns(m, guesses, correct):
    mu = one_run_fdp.mu_lower(m, guesses, correct)
    assert published_excess(m, guesses, correct, mu * (1 - 1e-4), 0.05) > 0
    assert published_excess(m, guesses, correct, mu * (1 + 1e-4), 0.05) <= 0


@pytest.mark.parametrize("mu", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_it_covers_a_gaussian_mechanism_of_known_mu(mu, share):
    rng, m, over = np.random.default_rng(7), 400, 0
    k = int(share * m / 2)
    for _ in range(200):
        truth = rng.integers(0, 2, m)
        order = np.argsort(rng.normal(mu * truth, 1.0))
        right = int(truth[order[-k:]].sum() + (1 - truth[order[:k]]).sum())
        over += one_run_fdp.refuted(m, 2 * k, right, mu)
    assert over <= 20  # 99.9 % of Bin(200, 0.05) is at most 21


@pytest.mark.parametrize(("rate", "error"), [(0.05, 0.2), (0.05, 0.05), (0.3, 0.1), (0.01, 0.3)])
def test_it_is_sharp_where_runs_leak_rarely(rate, error):
    """A run leaks all m bits through a BSC with probability ``rate``, and nothing otherwise.

    Its μ is that of its one corner; at alpha = rate no valid bound on many canaries exceeds it, and
    this one reaches it.
    """
    mu = norm.ppf(rate * (1 - error)) - norm.ppf(rate * error)
    m = 10**6
    bound = one_run_fdp.mu_lower(m, m, round((1 - error) * m), rate)
    assert 0.98 * mu < bound < mu + 1e-6


def test_a_gaussian_family_gives_more_epsilon_than_none():
    for m, guesses, correct in ((1000, 200, 160), (2000, 200, 190), (500, 500, 400)):
        gain = one_run_fdp.epsilon_lower(
            m, guesses, correct, delta=1e-5
        ) / one_run_dp.epsilon_lower(m, guesses, correct, delta=1e-5)
        assert 1.4 < gain < 2.0


def test_its_edges():
    assert one_run_fdp.mu_lower(100, 50, 25) == 0.0
    assert one_run_fdp.mu_lower(100, 50, 0) == 0.0
    assert one_run_fdp.mu_lower(5, 5, 5, 0.05) < one_run_fdp.mu_lower(50, 50, 50, 0.05) < 10
    with pytest.raises(ValueError, match="counts must be"):
        one_run_fdp.mu_lower(10, 11, 3)


@pytest.mark.parametrize("clusters", [0, 40])
def test_a_row_shows_epsilon_of_the_family_beside_that_of_any_release(clusters):
    found = measure(score_trials(2.0, 800, clusters=clusters)).metrics
    delta = found["epsilon_delta"]
    assert found["epsilon_lower_gaussian"] == epsilon_of_mu(found["mu_lower"], delta)
    assert found["epsilon_lower_gaussian"] > 1.2 * found["epsilon_lower"] > 0
    assert found["mu_lower"] < 2.0
    pure = (Bound("dp", {"epsilon": 9.0}),)
    at_zero = measure(score_trials(2.0, 800, clusters=clusters, bounds=pure)).metrics
    assert at_zero["epsilon_lower"] > 0
    assert "epsilon_lower_gaussian" not in at_zero
