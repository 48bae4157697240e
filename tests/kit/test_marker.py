"""What owners say about items: exact p-values, messages read by vote or under several keys."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hartley.core import Access, Modality
from hartley.core.errors import UsageError
from hartley.games.watermark import live_marks
from hartley.kit import marker
from hartley.kit.marker import Detection, DetectionService, Marker
from hartley.kit.vision import widespread_marks

M = 32


@pytest.fixture(scope="module", params=["vision", "language", "audio", "graph", "tabular"])
def scene(request):
    return live_marks.scene("live", Modality(request.param), np.random.default_rng(0))


def of(scene):
    return scene.find(Marker), scene.extra["carriers"].x


def test_a_message_is_read_in_the_item_and_nothing_under_another_key(scene):
    mark, items = of(scene)
    rng = np.random.default_rng(1)
    hits = []
    for key, item in enumerate(items):
        message = rng.integers(0, 2, M)
        published = mark.embed(item, message, key, rng)
        assert np.array_equal(mark.decode(published, key, M), message)
        assert mark.verify(published, key, message).log2_p == pytest.approx(-M)
        hits.append(mark.decode(published, key + 1000, M) == message)
    # 768 fair coins: five standard deviations.
    assert abs(np.mean(hits) - 0.5) < 5 * 0.5 / math.sqrt(np.size(hits))


def test_p_values_of_unmarked_items_are_no_smaller_than_uniform(scene):
    """Each level is exceeded as often as it says, by a binomial with fresh keys (5 deviations)."""
    mark, items = of(scene)
    rng = np.random.default_rng(2)
    alone = marker.presence(mark)
    found = np.array(
        [
            2.0 ** alone.verify(items[k % len(items)], int(rng.integers(2**62)), []).log2_p
            for k in range(600)
        ]
    )
    for level in (0.5, 0.2, 0.05):
        # The count of right bits is discrete: the exact test rejects at most at its level.
        assert np.mean(found <= level) < level + 5 * math.sqrt(level * (1 - level) / len(found))


def test_presence_is_detected_and_a_short_item_is_undecided():
    scene = live_marks.scene("live", Modality.LANGUAGE, np.random.default_rng(0))
    mark, items = of(scene)
    alone = marker.presence(mark)
    rng = np.random.default_rng(3)
    assert alone.bits == 0
    published = alone.embed(items[0], np.zeros(0, int), 5, rng)
    assert alone.verify(published, 5, []).marked() is True
    short = alone.verify("three short words", 5, [])
    assert short.marked() is None
    assert "no bit" in short.undecided
    assert Detection(0.0, math.log2(1e-3)).marked() is True
    assert Detection(0.0, math.log2(1.01e-3)).marked() is False


def test_presence_is_tested_as_the_mark_tests_it():
    scene = live_marks.scene("live", Modality.VISION, np.random.default_rng(0))
    mark, items = of(scene)

    def pilots(item, key):
        return Detection(1.0, -77.0 if key == 5 else 0.0, 9)

    alone = marker.presence(replace(mark, detect=pilots))
    assert [alone.verify(items[0], key, []).log2_p for key in (5, 6)] == [-77, 0]
    # A known message is tested by its bits, whatever else the mark has.
    message = np.ones(M, int)
    published = mark.embed(items[0], message, 6, np.random.default_rng(0))
    assert replace(mark, detect=pilots).verify(published, 6, message).log2_p == -M


def test_too_few_bits_for_the_rate_of_false_alarms_are_undecided():
    soft, ones = np.ones(12), np.ones(12, int)
    assert marker.matched(soft[:10], ones[:10]).marked() is True  # 2^-10 < 1e-3 < 2^-9
    nine = marker.matched(soft[:9], ones[:9])
    assert nine.marked() is None
    assert nine.undecided == "undecided at 9 bits"
    assert marker.matched(np.append(soft[:9], np.nan), ones[:10]).marked() is None
    # Under four keys the p-value is multiplied by four: twelve bits can say it, eleven cannot.
    wrong = -soft
    for n, says in ((12, True), (11, None)):
        found = [marker.matched(s[:n], ones[:n]) for s in (soft, wrong, wrong, wrong)]
        assert marker.smallest(found).marked() is says
    # Decided against: it could have been marked.
    assert marker.smallest([marker.matched(wrong, ones)] * 4).marked() is False


def test_votes_repair_what_single_bits_lose():
    """A bit of three votes, each flipped with chance p, is wrong with chance 3p² − 2p³."""
    rng = np.random.default_rng(4)
    p, wrong = 0.2, []

    def embed(item, message, key, rng):
        return message ^ (rng.random(len(message)) < p)

    channel = Marker("noisy", embed, lambda item, key, m: 2.0 * item - 1)
    voted = marker.voting(channel, 3)
    for key in range(400):
        message = rng.integers(0, 2, M)
        wrong.append(voted.decode(voted.embed(None, message, key, rng), key, M) != message)
    truth = 3 * p**2 - 2 * p**3
    assert abs(np.mean(wrong) - truth) < 5 * math.sqrt(truth * (1 - truth) / np.size(wrong))
    with pytest.raises(TypeError, match="has none"):
        marker.voting(marker.presence(channel), 3)


def test_one_of_several_keys_is_read_and_false_alarms_stay_at_their_rate():
    """The share of right bits of unmarked items stays ½ over the most certain of four keys."""
    scene = live_marks.scene("copied", Modality.VISION, np.random.default_rng(0))
    mark, items = of(scene)
    several = marker.multi_keyed(mark, 4)
    rng = np.random.default_rng(5)
    right, unmarked = [], []
    for key, item in enumerate(items):
        message = rng.integers(0, 2, M)
        published = several.embed(item, message, key, rng)
        right.append(several.decode(published, key, M) == message)
        unmarked.append(several.decode(item, key, M) == message)
    assert np.mean(right) > 0.99
    assert abs(np.mean(unmarked) - 0.5) < 5 * 0.5 / math.sqrt(np.size(unmarked))
    both = marker.smallest([Detection(1.0, -20.0), Detection(0.0, -1.0), Detection(0, 0, 0, "x")])
    assert both.log2_p == -19.0


def test_a_detector_answers_as_the_owner_does_and_defenses_go_around_it():
    scene = live_marks.scene("live", Modality.VISION, np.random.default_rng(0))
    mark, items = of(scene)
    message = np.ones(M, int)
    published = mark.embed(items[0], message, 7, np.random.default_rng(0))
    service = DetectionService()

    def detect(item):
        return mark.verify(item, 7, message)

    model = service.model(detect, Modality.VISION, "detector 0")
    answers = model.query(np.stack([items[1], published]))
    assert answers.argmax(1).tolist() == [0, 1]
    shut = service.defended(lambda model, who: model.with_(offers=Access.NOTHING))
    assert shut.model(detect, Modality.VISION, "detector 0").offers is Access.NOTHING


def test_a_marker_that_says_nothing_is_refused():
    with pytest.raises(TypeError, match="must have soft where bits > 0"):
        Marker("none", lambda *_: None)


def test_a_mark_whose_key_says_nothing_of_itself_is_read_under_several_by_a_tag(scene):
    mark, items = of(scene)
    assert not mark.key_shows
    several, rng, m = marker.multi_keyed(mark, 4), np.random.default_rng(5), 8
    assert several.key_shows
    wrong = []
    for key, item in enumerate(items[:12]):
        message = rng.integers(0, 2, m)
        published = several.embed(item, message, key, rng)
        wrong.append(np.mean(several.decode(published, key, m) != message))
    # A tag of 16 fair bits is right under another of four keys by chance in one of 22,000.
    assert np.mean(np.array(wrong) == 0) > 0.9
    # A check of the mark's own holds for the tag too.
    checked = marker.multi_keyed(replace(mark, accept=mark.decode, chance=lambda n: 2.0**-n), 4)
    assert checked.chance(m) == 4 * 2.0 ** -(m + 16)
    assert (checked.accept(published, key, m) == message).all()
    assert checked.accept(items[-1], key, m) is None
    assert several.bits == mark.bits - 16 and several.undefended is mark.undefended
    with pytest.raises(UsageError, match="16 bits have no room for a tag of 16"):
        marker.multi_keyed(replace(mark, bits=16), 4)
    # Where there is no room for the tag, the item does not fit.
    narrow = marker.multi_keyed(replace(mark, fits=lambda _, bits: bits == M), 4)
    assert not narrow.fits(items[0], M) and narrow.fits(items[0], M - 16)


@pytest.mark.parametrize("name", ["widespread_dwt_dct", "dwt_dct_svd"])
def test_marks_of_pictures_whose_key_turns_bits_are_read_under_several(name):
    mark = getattr(widespread_marks, name)()
    several, rng = marker.multi_keyed(mark, 4), np.random.default_rng(0)
    pictures = live_marks.scene("live", Modality.VISION, rng).extra["carriers"].x
    pictures = np.kron(pictures[:6], np.ones((1, 1, 4, 4), np.float32))
    wrong = {"one key": [], "four": []}
    for key, picture in enumerate(pictures):
        message = rng.integers(0, 2, 16)
        for words, way in (("one key", mark), ("four", several)):
            read = way.decode(way.embed(picture, message, key, rng), key, 16)
            wrong[words].append(np.mean(read != message))
    assert np.mean(wrong["four"]) < np.mean(wrong["one key"]) + 0.1
