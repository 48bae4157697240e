"""JPEG on arrays, held against Pillow's real files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from hartley.data import vision
from hartley.kit.vision.image import jpeg, psnr
from hartley.kit.vision.jpeg_rounding import jpeg_rounded


def _grey_file(picture, quality):
    stream = io.BytesIO()
    Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(stream, "jpeg", quality=quality)
    return np.asarray(Image.open(stream), np.float32) / 255


def _smooth(shape):
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    return (x + np.roll(x, 1, -1) + np.roll(x, 1, -2)) / 3


@pytest.mark.parametrize("quality", [10, 50, 75, 95])
def test_grey_pictures_come_back_as_from_a_file(quality):
    """But for coefficients that lie between two steps, where libjpeg's whole numbers decide."""
    for x in (vision.digits().x[:40], _smooth((20, 1, 13, 21))):
        ours = jpeg_rounded(x, quality)
        files = np.stack([_grey_file(picture[0], quality) for picture in x])[:, None]
        gaps = np.abs(ours - files) * 255
        assert (gaps <= 1.001).mean() > 0.9 and gaps.mean() < 0.8
        # The file is nearer to ours than to the picture by far, where it changed that at all.
        assert quality > 90 or psnr(ours, files) > psnr(x, files) + 6


def test_coloured_pictures_come_back_as_from_a_file():
    x = _smooth((10, 3, 16, 16))
    for quality in (50, 90):
        files = np.stack([jpeg(picture, quality, halved=False) for picture in x])
        assert psnr(jpeg_rounded(x, quality), files) > psnr(x, files) + 6


def test_the_range_of_a_picture_is_kept_and_rounding_again_changes_little():
    x = _smooth((5, 1, 8, 8)) * 4 - 2
    once = jpeg_rounded(x, 50, -2.0, 2.0)
    assert once.min() >= -2 and once.max() <= 2 and once.dtype == np.float32
    np.testing.assert_allclose(once, jpeg_rounded((x + 2) / 4, 50) * 4 - 2, atol=1e-5)
    assert np.abs(jpeg_rounded(once, 50, -2.0, 2.0) - once).max() < 0.05
    flat = np.full((1, 1, 8, 8), 0.5, np.float32)
    np.testing.assert_allclose(jpeg_rounded(flat, 1), np.round(127.5) / 255, atol=2 / 255)
