"""The synchronised mark: what it survives, how it finds its place, what it accepts by chance."""

import numpy as np
import pytest

from hartley.data.photos import carriers
from hartley.kit import convolutional_code
from hartley.kit.vision import changes, image
from hartley.kit.vision import synchronised_mark as mark

KEY = 11


@pytest.fixture(scope="module")
def marked():
    rng = np.random.default_rng(0)
    photo = carriers(2, 427).x[1]
    message = rng.integers(0, 2, 32)
    return photo, message, mark.synchronised().embed(photo, message, KEY, rng)


def test_the_checksum_is_crc_24():
    # The check value of CRC-24 (RFC 9580) is that of the text 123456789.
    bits = np.unpackbits(np.frombuffer(b"123456789", np.uint8)).astype(np.int64)
    assert int("".join(map(str, mark.checksum(bits))), 2) == 0x21CF02


def test_quality_is_what_was_asked(marked):
    photo, _, picture = marked
    assert 40.0 <= image.psnr(picture, photo) <= 40.2
    assert image.ssim(picture, photo) > 0.95


@pytest.mark.parametrize(
    "change",
    [
        lambda x: image.jpeg(x, 50),
        lambda x: changes.webp(x, 50),
        lambda x: changes.noisy(x, 5.0, np.random.default_rng(1)),
        lambda x: changes.resized(x, 0.5),
        lambda x: changes.cropped(x, 0.9),
        lambda x: np.ascontiguousarray(x[:, 31:, 17:-20]),
        lambda x: changes.turned(x, 1.7),
        lambda x: changes.brightened(x, 1.2),
    ],
    ids=["jpeg", "webp", "noise", "resize", "crop", "cut", "turn", "bright"],
)
def test_the_message_survives(marked, change):
    _, message, picture = marked
    accepted = mark.synchronised().accept(change(picture), KEY, 32)
    assert accepted is not None
    assert np.array_equal(accepted, message)


def test_the_message_survives_webp_around_lines_on_a_plain_ground():
    # WebP leaves nothing of a faint mark on a plain ground, and lines drown it.
    rows, columns = np.mgrid[:512, :512]
    drawing = np.full((3, 512, 512), 0.72, np.float32)
    for centre, radius in (((170, 200), 120), ((300, 330), 90), ((380, 170), 70)):
        away = np.abs(np.hypot(rows - centre[0], columns - centre[1]) - radius)
        drawing[:, away < 4] = 0.05
    rng = np.random.default_rng(2)
    message = rng.integers(0, 2, 32)
    marked = mark.synchronised().embed(drawing, message, KEY, rng)
    assert image.psnr(marked, drawing) >= 40
    accepted = mark.synchronised().accept(changes.webp(marked, 50), KEY, 32)
    assert accepted is not None
    assert np.array_equal(accepted, message)


def test_the_place_of_a_cut_is_found(marked):
    _, _, picture = marked
    cut = np.ascontiguousarray(picture[:, 31:, 17:])
    keyed = mark.pattern(KEY, convolutional_code.length(32 + mark.CHECK_BITS))
    scale, turn, row, column = mark.Suspect.of(cut).align(keyed)
    assert (scale, turn) == (1.0, 0.0)
    # The pattern lies 31 rows and 17 columns before the cut, of a period of 512.
    assert (row, column) == (mark.SIDE - 31, mark.SIDE - 17)


def test_another_key_is_not_accepted_and_reads_fair_bits(marked):
    _, message, picture = marked
    suspect = mark.Suspect.of(picture)
    words = np.stack([mark.decoded(suspect, key, 32)[0] for key in range(100, 116)])
    assert not any(mark.passes(word) for word in words)
    # 16 words of 32 fair bits: 512 coins, five standard deviations.
    assert abs(np.mean(words[:, :32] == message) - 0.5) < 5 * 0.5 / np.sqrt(512)


def test_a_masked_code_decodes_any_picture_to_a_uniform_word():
    # What ``chance`` rests on, of a code short enough to count: 3 bits, all masks of its 27 bits
    # would be too many, but every code word as a mask moves the decoded word by its own.
    soft = np.random.default_rng(0).normal(size=convolutional_code.length(3))
    words = [(k >> np.arange(3)) & 1 for k in range(8)]
    code = convolutional_code
    read = [tuple(code.decode(-soft * code.signs(w), 3)) for w in words]
    assert len(set(read)) == 8


def test_a_picture_of_one_colour_is_not_accepted_and_warns_of_nothing():
    flat = np.full((3, 128, 128), 0.5, np.float32)
    with np.errstate(all="raise"):
        assert [mark.synchronised().accept(flat, key, 32) for key in range(2)] == [None, None]


def test_a_small_picture_does_not_fit():
    marker = mark.synchronised()
    assert marker.fits(np.zeros((3, 128, 128)), 32)
    assert not marker.fits(np.zeros((3, 64, 64)), 32)
    assert marker.chance(32) == 2.0**-24
