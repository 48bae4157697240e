import numpy as np
import pytest

from hartley.kit.vision import image


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(64), np.arange(48))
    waves = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 11)]) * 0.3 + 0.5
    return image.eight_bits(waves + 0.02 * rng.standard_normal(waves.shape))


def test_colour_goes_there_and_back(picture):
    assert np.array_equal(image.from_ycc(image.to_ycc(picture)), picture)


def test_psnr_is_its_definition_and_finite(picture):
    assert image.psnr(picture, picture) == 100
    assert image.psnr(np.zeros((3, 4, 4)), np.full((3, 4, 4), 0.1)) == pytest.approx(20)


def test_jpeg_loses_more_at_lower_quality_and_with_halved_colour(picture):
    quality = [image.psnr(image.jpeg(picture, q), picture) for q in (95, 50, 5)]
    assert quality[0] > quality[1] > quality[2]
    whole = image.psnr(image.jpeg(picture, 95, halved=False), picture)
    assert whole > quality[0]


def test_shrinking_loses_detail_and_keeps_the_shape(picture):
    small = image.shrink(picture, 0.25)
    assert small.shape == picture.shape
    assert image.psnr(small, picture) < image.psnr(image.shrink(picture, 0.75), picture)


def test_tiles_go_there_and_back(picture):
    cut = image.tiles(picture, 8)
    assert cut.shape == (3, 48, 8, 8)
    assert np.array_equal(cut[1, 9], picture[1, 8:16, 8:16])
    assert np.array_equal(image.untile(cut, 48, 64), picture)


def test_ssim_is_one_only_for_the_same_picture(picture):
    assert image.ssim(picture, picture) == pytest.approx(1)
    assert image.ssim(image.jpeg(picture, 5), picture) < 0.97
