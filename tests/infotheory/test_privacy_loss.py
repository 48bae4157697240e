"""The bits of DP-SGD's own pair of laws: closed forms, quadrature, simulation, composition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from hartley.channel.bounds.ceilings import ceiling, dp_mi, gdp_mi
from hartley.core import Bound, ChannelSpec
from hartley.core.errors import UsageError
from hartley.infotheory.privacy_loss import subsampled_gaussian_mi


@pytest.mark.parametrize(
    ("noise", "steps"), [(1.0, 1), (2.0, 4), (10.0, 100), (0.3, 1), (0.7, 2), (50.0, 1)]
)
def test_without_sampling_it_is_the_closed_form_rounded_up(noise, steps):
    exact = gdp_mi(math.sqrt(steps) / noise)
    assert exact <= subsampled_gaussian_mi(noise, 1.0, steps) <= exact * (1 + 1e-4)


def test_it_is_the_exact_case_c30():
    assert subsampled_gaussian_mi(1.0, 1.0, 1) == pytest.approx(0.160747, abs=2e-6)


@pytest.mark.parametrize(("noise", "rate"), [(1.0, 0.25), (0.5, 0.1), (2.0, 0.9), (0.8, 0.01)])
def test_one_sampled_step_is_the_integral(noise, rate):
    def density(x):
        q = norm.pdf(x, 0, noise)
        p = (1 - rate) * q + rate * norm.pdf(x, 1, noise)
        return 0.5 * (p * math.log2(2 * p / (p + q)) + q * math.log2(2 * q / (p + q)))

    exact = quad(density, -9 * noise, 1 + 9 * noise, epsabs=1e-14, limit=500)[0]
    assert exact <= subsampled_gaussian_mi(noise, rate, 1) <= exact * (1 + 1e-3) + 1e-9


def test_many_sampled_steps_are_what_is_simulated():
    noise, rate, steps, n = 1.0, 0.25, 20, 20_000
    rng, gains = np.random.default_rng(0), []
    for coin in (0, 1):
        drawn = rng.normal(0, noise, (n, steps)) + coin * (rng.random((n, steps)) < rate)
        loss = np.log(1 - rate + rate * np.exp((2 * drawn - 1) / (2 * noise**2))).sum(1)
        gains.append(1 - np.logaddexp(0, -loss if coin else loss) / math.log(2))
    bits = 0.5 * (gains[0].mean() + gains[1].mean())
    error = 0.5 * math.hypot(gains[0].std(), gains[1].std()) / math.sqrt(n)
    assert subsampled_gaussian_mi(noise, rate, steps) == pytest.approx(bits, abs=4 * error)


def test_it_grows_with_steps_and_rate_and_falls_with_noise():
    bits = subsampled_gaussian_mi(2.0, 0.25, 40)
    assert bits < subsampled_gaussian_mi(2.0, 0.25, 80) < 2 * bits
    assert bits < subsampled_gaussian_mi(2.0, 0.5, 40)
    assert bits > subsampled_gaussian_mi(3.0, 0.25, 40)
    assert subsampled_gaussian_mi(0.01, 0.5, 3) == 1.0


def test_impossible_settings_are_refused():
    for noise, rate, steps in ((0.0, 0.5, 1), (1.0, 0.0, 1), (1.0, 1.5, 1), (1.0, 0.5, 0)):
        with pytest.raises(UsageError, match="noise must be above 0"):
            subsampled_gaussian_mi(noise, rate, steps)


def test_a_row_of_one_record_a_coin_has_this_ceiling_and_others_the_old_one():
    params = {"epsilon": 4.0, "delta": 1e-5, "mi_bits": 0.13}

    def limit(alphabet=2, **more):
        bounds = (Bound("dp", params | more),)
        return ceiling(ChannelSpec(alphabet=alphabet, bounds=bounds), 100).value

    assert limit() == 0.13
    assert limit(mi_bits=0.95) == dp_mi(4.0, 1e-5)
    assert limit(group=2) > 0.9
    assert limit(alphabet=4) == dp_mi(4.0, 1e-5, 4)
    with pytest.raises(UsageError, match="mi_bits must be 0 or more"):
        limit(mi_bits=-1.0)
