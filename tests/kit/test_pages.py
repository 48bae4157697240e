"""Pages: what is drawn is read again, and how near a page is however its text is set."""

import numpy as np
import pytest

from hartley.core import Modality
from hartley.kit import item_quality
from hartley.kit.marker import Detection, Marker
from hartley.kit.media.page_mark import page_mark
from hartley.kit.media.pages import block_letters, psnr, remembered
from hartley.kit.vision import marks

WORDS = "the mark outlives a page that is drawn anew"


@pytest.fixture(scope="module")
def pages():
    return block_letters()


def test_what_is_drawn_is_read_again_under_noise_and_what_has_no_room_is_left_out(pages):
    page = pages.written(pages.blank(), WORDS)
    assert page.shape == pages.shape
    assert pages.text(page) == WORDS
    noisy = page + np.random.default_rng(0).normal(0, 0.03, page.shape)
    assert pages.text(noisy) == WORDS
    assert pages.text(pages.written(page, WORDS * 9)) == (WORDS * 9)[: 8 * 12].strip()


def test_a_text_that_is_set_anew_is_near_and_grey_paper_is_not(pages):
    page = pages.written(pages.blank(), WORDS)
    noise = 0.01 * np.random.default_rng(0).choice([-1.0, 1.0], page.shape)
    published = page + noise
    assert psnr(pages, published, published) == 100
    # 0.01 everywhere is 40 dB, against the published page or against paper.
    assert psnr(pages, page + noise[:, ::-1], page) == pytest.approx(40, abs=0.01)
    assert psnr(pages, pages.written(page, "another text"), published) == 100
    assert psnr(pages, page - 0.04, page) == pytest.approx(20 * np.log10(1 / 0.04), abs=0.01)
    # Ink everywhere leaves no paper to judge by.
    assert psnr(pages, page - 0.2, published) < 15


@pytest.mark.parametrize("share", [0.08, 0.3])
def test_dark_speckle_is_a_change_of_the_paper_and_not_ink(pages, share):
    """A pattern that a forger turns up would else count less, the darker it is."""
    page = pages.written(pages.blank(), "another text")
    rng = np.random.default_rng(0)
    speckled = page - 0.06 * (rng.random(page.shape[1:]) < share)
    published = pages.written(page, WORDS)
    assert pages.text(speckled) == "another text"
    assert pages.clear(speckled).mean() < 0.5
    assert psnr(pages, page, published) == 100
    assert psnr(pages, speckled, published) < 34
    # As blank paper alone, of the same darkness.
    assert psnr(pages, page - 0.04 * (page == pages.paper), published) < 34


def test_the_floor_is_of_the_words_that_are_read_and_of_the_page(pages):
    quality = item_quality.pages(pages)
    page = pages.written(pages.blank(), WORDS)
    anew = quality.figures(pages.written(page, WORDS), page)
    assert item_quality.holds(anew, quality.least)
    other = quality.figures(pages.written(page, WORDS[::-1]), page)
    assert other["psnr"] >= quality.least["psnr"] and other["word_f1"] < 0.5
    beside = quality.beside(page, [pages.written(page, "what the victim has written on this page")])
    assert beside(page)["own_words"] == 1
    quoted = pages.written(page, "what the victim has written on this page")
    assert beside(quoted)["own_words"] == 0
    with pytest.raises(ValueError, match="of shape"):
        quality.read(page[:, 1:], page)


def test_a_picture_is_read_once():
    count = []

    def read(grey):
        count.append(grey.shape)
        return "text"

    reader = remembered(read)
    grey = np.zeros((4, 6), np.uint8)
    assert reader(grey) == reader(grey.copy()) == "text"
    assert reader(grey + np.uint8(1)) == "text"
    assert count == [(4, 6), (4, 6)]


def test_a_page_is_marked_in_its_picture_its_words_or_both(pages):
    """A toy writer appends the word of its key, which a redrawn page keeps."""

    def detect(text, key):
        return Detection(1.0, -30.0 if f"word {LETTERS[key % 26]}" in text else 0.0, 40)

    author = Marker(
        "endings", lambda prompt, message, key, rng: f"{prompt} word {LETTERS[key % 26]}",
        modality=Modality.LANGUAGE, bits=0, detect=detect,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    pixels = marks.lowest_bit()
    alive = {}
    for name, picture, text in (("picture", pixels, False), ("text", None, True),
                                ("both", pixels, True)):  # fmt: skip
        mark = page_mark(pages, author, [(None, "a page with")], picture=picture, text=text)
        page = mark.embed(0, np.zeros(0, int), 5, rng)
        plain = mark.plain(0, rng)
        assert mark.detect(page, 5).marked()
        assert not mark.detect(page, 6).marked()
        assert not mark.detect(plain, 5).marked()
        alive[name] = mark.detect(pages.written(page, pages.text(page)), 5).marked()
    assert alive == {"picture": False, "text": True, "both": True}
    # Two marks are two tests: the smaller p-value is doubled.
    assert mark.detect(page, 5).log2_p == pytest.approx(-31)


LETTERS = "abcdefghijklmnopqrstuvwxyz"
