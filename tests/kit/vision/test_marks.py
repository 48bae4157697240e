import numpy as np
import pytest

from hartley.data.photos import carriers
from hartley.kit.vision import image, marks

SCHEMES = {
    "dwt_dct": marks.dwt_dct(),
    "spread_spectrum": marks.spread_spectrum(),
    "diverse": marks.diverse(),
    "coded": marks.coded(marks.diverse()),
    "lowest_bit": marks.lowest_bit(),
}
M = 32


@pytest.fixture(scope="module")
def photos():
    return carriers(8).x


def rates(marker, photos, change):
    """Share of bits read right after ``change``, and the mark's PSNR, over the photographs."""
    rng = np.random.default_rng(0)
    right, quality = [], []
    for key, photo in enumerate(photos):
        bits = rng.integers(0, 2, M)
        marked = marker.embed(photo, bits, key, rng)
        right.append(np.mean(marker.decode(change(marked), key, M) == bits))
        quality.append(image.psnr(marked, photo))
    return float(np.mean(right)), float(np.mean(quality))


@pytest.mark.parametrize("name", SCHEMES)
def test_the_owner_reads_his_message_in_a_picture_that_looks_the_same(name, photos):
    right, quality = rates(SCHEMES[name], photos, lambda x: x)
    assert right == 1
    assert quality > 37


@pytest.mark.parametrize("name", SCHEMES)
def test_without_the_key_there_is_nothing_to_read(name, photos):
    marker, rng = SCHEMES[name], np.random.default_rng(1)
    hits = []
    for key, photo in enumerate(photos):
        bits = rng.integers(0, 2, M)
        hits.append(marker.decode(marker.embed(photo, bits, key, rng), key + 1, M) == bits)
    # 256 fair coins: five standard deviations.
    assert abs(np.mean(hits) - 0.5) < 5 * 0.5 / np.sqrt(np.size(hits))


def test_an_unmarked_picture_reads_coins(photos):
    right, _ = rates(marks.unmarked(), photos, lambda x: x)
    assert abs(right - 0.5) < 5 * 0.5 / np.sqrt(M * len(photos))


def test_jpeg_90_erases_the_widespread_mark_and_not_the_spread_one(photos):
    """As measured for invisible-watermark's dwtDct: 0.984 clean, about one half at JPEG 90."""

    def jpeg(x):
        return image.jpeg(x, 90)

    assert rates(marks.dwt_dct(), photos, jpeg)[0] < 0.75
    assert rates(marks.spread_spectrum(), photos, jpeg)[0] > 0.99
    assert rates(marks.coded(marks.diverse()), photos, jpeg)[0] > 0.99


def test_the_lowest_bit_does_not_survive_any_change(photos):
    noise = np.random.default_rng(2).integers(0, 2, photos[0].shape) / 255
    right, _ = rates(marks.lowest_bit(), photos, lambda x: image.eight_bits(x + noise))
    assert right < 0.65


def test_a_marked_picture_is_an_eight_bit_picture(photos):
    marked = marks.dwt_dct().embed(photos[0], np.ones(M, dtype=np.int64), 0, None)
    assert marked.dtype == np.float32
    assert np.array_equal(image.eight_bits(marked), marked)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_picture_of_any_size_carries_a_mark(name, photos):
    photo, bits = photos[0][:, :203, :190], np.arange(M) % 2
    marked = SCHEMES[name].embed(photo, bits, 5, None)
    assert marked.shape == photo.shape
    assert np.array_equal(SCHEMES[name].decode(marked, 5, M), bits)
