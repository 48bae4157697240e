"""The purifier's network: it takes noise out, and its slope is its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.kit.denoiser import trained_denoiser


@pytest.fixture(scope="module")
def plane():
    """Records on a plane of 2 of 16 dimensions, in 0..1, and a denoiser of them."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(2, 16)) / 8
    x = np.clip(rng.normal(size=(400, 2)) @ mixing + 0.5, 0, 1).reshape(-1, 1, 4, 4)
    x = x.astype(np.float32)
    denoiser = trained_denoiser(
        x, sigma=0.2, epsilon=0.1, width=64, epochs=60, scale=1.0, low=0.0, high=1.0, seed=3
    )
    return x, denoiser


def test_it_takes_most_of_the_noise_out_of_new_records(plane):
    x, denoiser = plane
    rng = np.random.default_rng(1)
    noisy = (x + 0.1 * rng.standard_normal(x.shape)).astype(np.float32)
    before, after = (np.mean((v - x) ** 2) for v in (noisy, denoiser(noisy)))
    # 2 of 16 directions of the noise lie in the plane, and nothing can take these out.
    assert 2 / 16 * before < after < 0.4 * before
    assert np.mean((denoiser(x) - x) ** 2) < 0.1 * before


def test_its_slope_is_the_finite_difference(plane):
    _, denoiser = plane
    exact = replace(
        denoiser,
        low=np.full(16, -9.0, np.float32),
        high=np.full(16, 9.0, np.float32),
        **{
            name: getattr(denoiser, name).astype(np.float64)
            for name in ("into", "bias", "out", "last")
        },
    )
    rng = np.random.default_rng(2)
    x, above = rng.random((3, 1, 4, 4)), rng.normal(size=(3, 1, 4, 4)).astype(np.float32)
    slope = exact.pulled_back(x, above)
    step = 1e-2
    for row, entry in ((0, 0), (1, 7), (2, 15)):
        moved = np.zeros_like(x)
        moved[row].flat[entry] = step
        difference = ((exact(x + moved) - exact(x - moved)) * above)[row].sum() / (2 * step)
        assert slope[row].flat[entry] == pytest.approx(difference, rel=0.05, abs=5e-3)


def test_an_entry_without_a_scale_passes_as_it_is(plane):
    x, _ = plane
    scale = np.ones((1, 4, 4))
    scale[0, 0] = 0.0
    part = trained_denoiser(
        x[:100], sigma=0.3, epsilon=0.1, width=8, epochs=3, scale=scale, low=0.0, high=1.0, seed=0
    )
    noisy = np.random.default_rng(4).random((5, 1, 4, 4), dtype=np.float32)
    out = part(noisy)
    np.testing.assert_array_equal(out[:, :, 0], noisy[:, :, 0])
    assert np.abs(out[:, :, 1:] - noisy[:, :, 1:]).max() > 1e-4


def test_the_same_seed_gives_the_same_network_and_no_epochs_the_identity(plane):
    x, _ = plane
    given = {"sigma": 0.2, "epsilon": 0.1, "width": 8, "scale": 1.0, "low": 0.0, "high": 1.0}
    one, other, third = (
        trained_denoiser(x[:80], epochs=2, seed=seed, **given) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one.into, other.into)
    assert not np.array_equal(one.into, third.into)
    np.testing.assert_allclose(trained_denoiser(x, epochs=0, seed=0, **given)(x), x)
