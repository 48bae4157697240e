"""No picture is on both sides of a split, under any caption."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hartley.core import Data, Modality, Model, Output
from hartley.core.errors import UsageError
from hartley.data import paired
from hartley.scenes import _captioned, _pictures_read
from hartley.scenes._pictures_read import Thing, Things


def shapes(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)


def test_captions_that_share_a_picture_are_one_group() -> None:
    # Captions 0 and 1 share a picture, 1 and 2 another one; 3 is alone.
    alike = paired.alike_pictures(shapes([7, 7, 9, 9, 4, 5]))
    assert alike.tolist() == [0, 0, 1, 1, 2, 3]
    groups = paired.groups_of(alike, np.array([0, 1, 1, 2, 3, 3]))
    assert groups.tolist() == [0, 0, 0, 0, 1, 1]


def test_captions_that_differ_in_sex_age_or_number_are_alike() -> None:
    captions = (
        *("man cook, chef, hat", "A woman cook, chef, pan", "cook, chef, hat", "Two cooks"),
        *("ship, sea, boat", "ferry, sea, boat", "tug, boat", "barge, boat", "women", "!", "?"),
    )
    stems, tags = paired.alike_captions(captions)
    assert stems.tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert tags.tolist() == [0, 1, 0, 2, 3, 3, 4, 5, 6, 7, 8]
    groups = paired.groups_of(np.arange(len(captions)), stems, tags)
    assert groups.tolist() == [0, 0, 0, 1, 2, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("captions", "twins"),
    [
        (("кот XL", "собака XL"), False),
        (("Bär", "Bör"), False),
        (("हिन्दी", "हान्दा"), False),
        (("Photo 1", "Photo 2"), False),
        (("Ba\u0308r", "bär!"), True),
        (("a man with 2 dogs", "The woman with 2 dogs"), True),
    ],
)
def test_letters_of_every_script_and_digits_make_captions_of_a_user_unlike(
    captions: tuple[str, str], twins: bool
) -> None:
    stems, _ = paired.alike_captions(captions, numbered=True)
    assert (stems[0] == stems[1]) == twins


def test_coins_of_several_values_are_twins_among_the_pictures_of_the_packs() -> None:
    stems, _ = paired.alike_captions(("10 yen", "50 yen", "50 cents"))
    assert stems.tolist() == [0, 0, 1]


def test_too_few_captions_are_named_by_two_that_count_once() -> None:
    captions = ("a red ship", "a man cook", "a woman cook")
    stems, _ = paired.alike_captions(captions, numbered=True)
    with pytest.raises(UsageError, match=r"got 2: .*such as 'a man cook' and 'a woman cook'"):
        _captioned.parts_of(stems, np.arange(3), 0, captions)


def test_no_picture_and_no_caption_is_in_two_parts() -> None:
    rng = np.random.default_rng(0)
    captions = np.repeat(np.arange(600), 2)
    # One of four pictures is drawn for another caption too.
    pictures = np.arange(1200)
    pictures[::4] = rng.permutation(1200)[:300]
    alike = paired.alike_pictures(pictures[:, None].astype(np.int64))
    for seed in range(5):
        parts = _captioned.parts_of(paired.groups_of(alike, captions), alike, seed)
        every = [parts[name] for name in ("train", "clean", "every test picture", "public")]
        assert all(len(rows) for rows in every)
        for of in (pictures, captions):
            times = Counter(one for rows in every for one in {*of[rows].tolist()})
            assert max(times.values()) == 1
        held_out = parts["every test picture"]
        assert len({*pictures[held_out].tolist()}) == len(held_out)
        assert {*pictures[parts["test"]].tolist()} <= {*pictures[held_out].tolist()}


def test_any_caption_of_a_picture_is_right_and_another_one_as_near_is_nearer() -> None:
    model = Model("plain", Modality.PAIRED, lambda x: x, Output.EMBEDDINGS, 4)
    pictures = Data("pictures", Modality.PAIRED, np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]]))
    texts = Data("texts", Modality.PAIRED, np.array([[0.0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 1]]))
    right = np.array([[True, False, True], [False, True, False]])
    gallery = _captioned.Gallery(pictures, texts, right, np.array([0, 1]))
    # The first is as near to two captions, both its own; the second to one that is not.
    assert gallery.recall(model)["recall_at_1"] == 0.5
    assert gallery.recall(model)["recall_at_10"] == 1


def test_two_files_of_the_same_pixels_are_refused(tmp_path) -> None:
    image = pytest.importorskip("PIL.Image")
    for name, colour in (("red.png", (255, 0, 0)), ("rose.bmp", (255, 0, 0)), ("sea.png", "blue")):
        image.new("RGB", (6, 3), colour).save(tmp_path / name)
    listed = tmp_path / "pairs.csv"
    rows = "picture,caption\nred.png,red\nsea.png,blue\n"
    listed.write_text(rows, encoding="utf-8")
    assert len(paired.own(listed, 6).captions) == 2
    listed.write_text(rows + "rose.bmp,rose\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"once, got red\.png and rose\.bmp of the same pixels"):
        paired.own(listed, 6)


def test_twins_of_what_was_learnt_from_are_named() -> None:
    each = [
        *(Thing("man cooking", ("chef", "cook"), ""), Thing("up arrow", ("north",), "")),
        *(Thing("sea", (), ""), Thing("chef", ("chef", "cook"), "")),
        *(Thing("woman cooking", ("hat",), ""), Thing("north", ("north",), "")),
        *(Thing("ocean", (), ""), Thing("woman", (), "")),
    ]
    held_out = np.array([False] * 3 + [True] * 5)
    some = Things(shapes([1, 2, 3, 4, 5, 6, 3, 7]), tuple(each), held_out)
    # By tags, by the rest of the name, not by one tag that is the same, by pixels, not at all.
    assert _pictures_read.twins(some)[3:].tolist() == [True, True, False, True, False]
    assert not _pictures_read.twins(some)[:3].any()
    assert paired.stem("two women") == "two women"
