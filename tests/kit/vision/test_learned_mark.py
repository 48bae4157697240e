"""The learned mark: two networks learn to carry bits, a key turns them, tiles add up."""

import numpy as np
import pytest

from hartley.data.photos import carriers
from hartley.kit.vision import dead_leaves, image, learned_mark
from hartley.kit.vision.marks import published

BITS = learned_mark.BITS


@pytest.fixture(scope="module")
def marker():
    """A mark that learned for a second, at an energy that anybody sees, without noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learned_mark, "_noised", lambda tiles, _: tiles)
        for name, value in {"EXAMPLES": 2, "BATCH": 8, "STRONG": 14.0, "WEAK": 14.0}.items():
            patch.setattr(learned_mark, name, value)
        patch.setattr(learned_mark, "cached", lambda _, __, build, **___: build())
        return learned_mark.learned(psnr=20.0, training=60)


def test_what_was_learned_on_leaves_is_read_in_a_photograph(marker):
    photo, rng = carriers(1).x[0], np.random.default_rng(3)
    message = rng.integers(0, 2, BITS)
    marked = marker.embed(photo, message, 5, rng)
    assert 20.0 <= image.psnr(marked, photo) < 20.1
    assert np.mean(marker.decode(marked, 5, BITS) == message) >= 0.9
    # Under another key the bits are turned, whatever the networks read.
    other = marker.decode(marked, 6, BITS)
    turned = learned_mark._turned(5) ^ learned_mark._turned(6)
    assert np.array_equal(other, marker.decode(marked, 5, BITS) ^ turned)


def test_an_unmarked_picture_reads_fair_bits_over_keys(marker):
    photo, rng = carriers(2).x[1], np.random.default_rng(0)
    read = np.array([marker.decode(published(photo, rng), key, BITS) for key in range(60)])
    # 1,920 fair bits: four deviations are 0.046.
    assert abs(read.mean() - 0.5) < 0.046


def test_tiles_are_cut_and_put_back_at_their_place():
    photo = carriers(1).x[0][:, :200, :140]
    tiles, (rows, columns) = learned_mark._tiles(photo)
    assert (rows, columns) == (3, 2)
    assert np.array_equal(tiles[3], photo[:, 64:128, 64:128])


def test_the_low_pass_keeps_what_jpeg_keeps():
    import torch

    x = torch.from_numpy(np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32))
    once = learned_mark._low_pass(x)
    # A projection: 25 of 64 cosines of each block are left.
    assert torch.allclose(learned_mark._low_pass(once), once, atol=1e-5)
    left = float((once - 0.5).square().sum() / (x - 0.5).square().sum())
    assert left == pytest.approx(25 / 64, abs=0.03)
    assert torch.allclose(once.mean((2, 3)), x.mean((2, 3)), atol=1e-5)


def test_leaves_have_the_spectrum_of_photographs():
    pictures = dead_leaves.dead_leaves(2, 128, np.random.default_rng(0))
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    spectrum = np.abs(np.fft.rfft2(pictures - pictures.mean((2, 3), keepdims=True))) ** 2
    radius = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)[None])
    power = spectrum.mean((0, 1))
    low = np.log(power[(radius > 0.03) & (radius < 0.06)].mean())
    high = np.log(power[(radius > 0.2) & (radius < 0.4)].mean())
    # Photographs: a power law with an exponent near −2; white noise has 0.
    slope = (high - low) / np.log(0.28 / 0.043)
    assert -3.2 < slope < -1.5
