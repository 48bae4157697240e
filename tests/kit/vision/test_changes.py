"""Changes of pictures, against their definitions."""

import numpy as np
import pytest

from hartley.data.photos import carriers
from hartley.kit.vision import changes, image


@pytest.fixture(scope="module")
def photo():
    return carriers(1, 128).x[0]


def test_halving_is_the_mean_of_four(photo):
    # Bilinear without a filter, at exactly half the size, is the mean of 2 × 2 pixels.
    small = changes._bilinear(image.to_pillow(photo), (64, 64))
    mean = photo.reshape(3, 64, 2, 64, 2).mean((2, 4))
    assert np.abs(image.from_pillow(small) - mean).max() <= 1.01 / 255


def test_noise_has_its_deviation(photo):
    grey = np.full_like(photo, 0.5)
    noisy = changes.noisy(grey, 5.0, np.random.default_rng(0))
    assert np.std(noisy) * 255 == pytest.approx(np.sqrt(25 + 1 / 12), rel=0.02)


def test_blur_is_the_kernel(photo):
    point = np.zeros((3, 9, 9))
    point[:, 4, 4] = 1.0
    taps = np.exp(-np.array([1.0, 0.0, 1.0]) / (2 * 0.8**2))
    taps /= taps.sum()
    blurred = changes.blurred(point, 0.8, taps=3)[0]
    assert np.abs(blurred[3:6, 3:6] - np.outer(taps, taps)).max() <= 0.51 / 255
    assert blurred.sum() == pytest.approx(1.0, abs=9 / 255)


def test_a_whole_crop_and_no_turn_change_nothing(photo):
    for same in (changes.cropped(photo, 1.0), changes.turned(photo, 0.0)):
        assert np.abs(same - photo).max() <= 0.51 / 255


def test_a_quarter_turn_is_exact():
    ramp = np.broadcast_to(np.arange(32) / 64.0, (3, 32, 32)).astype(np.float32)
    turned = changes.turned(ramp, 90.0)
    assert np.abs(turned - np.rot90(ramp, 1, (1, 2))).max() <= 1.01 / 255


def test_brightness_and_colour(photo):
    grey = np.full((3, 4, 4), 0.4)
    assert np.allclose(changes.brightened(grey, 1.2), 122 / 255)
    assert (changes.brightened(grey, 3.0) == 1.0).all()
    assert np.abs(changes.coloured(photo, 0.0) - photo).max() <= 0.51 / 255
    pale = changes.coloured(photo, 1.0)
    assert image.to_ycc(pale)[2].std() < 0.6 * image.to_ycc(photo)[2].std()


def test_webp_is_a_real_trip(photo):
    assert image.psnr(changes.webp(photo, 90), photo) > image.psnr(changes.webp(photo, 20), photo)
