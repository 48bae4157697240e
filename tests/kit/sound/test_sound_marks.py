"""Marks of sounds: what they hold, through what, and what they say without a mark."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.kit.marker import FALSE_ALARMS, presence
from hartley.kit.sound import fidelity, marks, transforms
from hartley.kit.sound.keyed_pattern import KeyedPattern, best_aligned, log2_tail

RATE, BITS = 16_000, 16
MARKS = [marks.spread_mark, marks.echo_mark]


def voice(seed: int, seconds: float = 4.0) -> np.ndarray:
    """Harmonics of a moving pitch in syllables, with some breath, as a voice has them."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    pitch = 120 * (1 + 0.2 * np.sin(2 * np.pi * 1.5 * t + rng.random() * 6))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    tone = sum(np.sin(k * phase + rng.random() * 6) / k for k in range(1, 40))
    loud = 0.2 + np.clip(np.sin(2 * np.pi * 3 * t), 0, 1)
    return (0.05 * loud * (tone + 0.3 * rng.standard_normal(len(t)))).astype(np.float32)


@pytest.fixture(scope="module", params=MARKS, ids=["spread", "echo"])
def marked(request):
    marker = request.param()
    message = np.random.default_rng(1).integers(0, 2, BITS)
    original = voice(0)
    return marker, original, marker.embed(original, message, 77, np.random.default_rng(0)), message


def test_the_owner_reads_the_message_and_nobody_else_does(marked) -> None:
    marker, original, item, message = marked
    assert np.array_equal(marker.decode(item, 77, BITS), message)
    assert np.array_equal(marker.accept(item, 77, BITS), message)
    assert marker.detect(item, 77).log2_p < -40
    assert marker.detect(item, 78).marked() is False
    assert marker.detect(original, 77).marked() is False
    assert marker.accept(original, 77, BITS) is None
    # It lies below the sound: 12 dB in samples, 16 dB in the log spectrum.
    assert fidelity.snr(item, original) > 12
    assert fidelity.spectral_snr(item, original) > 16


def test_presence_is_what_all_features_say(marked) -> None:
    """A third of them are pilots, and sixteen bits alone would say at most sixteen digits."""
    marker, original, _, _ = marked
    alone, nothing = presence(marker), np.zeros(0, int)
    item = alone.embed(original, nothing, 77, np.random.default_rng(0))
    found = alone.verify(item, 77, nothing)
    assert found.log2_p < 2 * marker.detect(item, 77).log2_p < -80
    assert found.units > 2 * marker.detect(item, 77).units
    assert alone.verify(item, 78, nothing).marked() is False
    assert alone.verify(original, 77, nothing).marked() is False


def test_a_known_message_is_tested_by_all_that_carries_it(marked) -> None:
    marker, original, item, message = marked
    assert marker.verify(item, 77, message).log2_p < 2 * marker.detect(item, 77).log2_p
    # Of another message the pilots alone agree, and the rest disagrees.
    assert marker.verify(item, 77, 1 - message).log2_p > marker.detect(item, 77).log2_p
    assert marker.verify(original, 77, message).marked() is False


@pytest.mark.parametrize(
    "change",
    [
        lambda wave: wave[17_001:],
        lambda wave: 0.3 * wave,
        lambda wave: transforms.faster(wave, 1.05),
        lambda wave: transforms.noisy(wave, 25, np.random.default_rng(0).normal(size=len(wave))),
        lambda wave: transforms.equalised(wave, np.random.default_rng(0).normal(0, 4, 16)),
        lambda wave: transforms.through_codec(wave, "vorbis", 0.5),
    ],
    ids=["cut", "quiet", "faster", "noise", "equaliser", "vorbis"],
)  # fmt: skip
def test_what_the_message_survives(marked, change) -> None:
    marker, _, item, message = marked
    pytest.importorskip("soundfile")
    assert np.array_equal(marker.decode(change(item), 77, BITS), message)


@pytest.mark.parametrize("mark", MARKS)
def test_p_values_hold_over_fresh_keys(mark) -> None:
    """The share of fresh keys under which an unmarked recording has p ≤ a is at most about a."""
    marker, wave = mark(), voice(3, 1.0)
    alone = presence(marker)
    for detect in (marker.detect, alone.detect):
        logs = np.array([detect(wave, key).log2_p for key in range(150)])
        # A union bound: the rate is below the level.
        assert np.mean(logs <= math.log2(0.1)) <= 0.1
        assert (logs <= 0).all()


def test_pilots_are_exact_over_fresh_keys() -> None:
    """On a fixed recording the tail itself, without a search, is uniform up to its steps."""
    features = np.random.default_rng(0).standard_normal(300) ** 3
    pilots = (KeyedPattern.of(k, 300, 8).pilots for k in range(1000))
    tails = np.array([log2_tail(features, signs)[0] for signs in pilots])
    for level in (0.5, 0.1, 0.02):
        assert np.mean(tails <= math.log2(level)) == pytest.approx(level, abs=3 * level**0.5 / 44)


def test_shares_of_false_alarms_add_up() -> None:
    """Each group of places alarms as often as its share says, and all together at the level."""
    rng, level = np.random.default_rng(0), 0.1
    features = rng.standard_normal((9, 200))
    alarms = []
    for _ in range(500):
        signs = rng.choice([-1.0, 1.0], 200)
        some = features[1:][int(np.argmax(features[1:] @ signs))]
        groups = [(0.5, 1, features[0]), (0.5, 8, some)]
        alarms.append(best_aligned(groups, signs).log2_p <= math.log2(level))
    # Nine nearly independent sums at 0.05 and eight times 0.05 / 8.
    assert np.mean(alarms) == pytest.approx(0.097, abs=0.04)


def test_messages_of_unmarked_features_are_uniform() -> None:
    """So that a count of right bits is binomial, code and all."""
    features = np.random.default_rng(0).standard_normal(300)
    bits = np.array([KeyedPattern.of(k, 300, 8).soft(features, 8) > 0 for k in range(400)])
    assert np.abs(bits.mean(0) - 0.5).max() < 4 * 0.5 / 20
    correlation = np.corrcoef(bits.T) - np.eye(8)
    assert np.abs(correlation).max() < 4 / 20


@pytest.mark.parametrize("mark", MARKS)
def test_what_cannot_be_tested_is_undecided(mark) -> None:
    marker = mark()
    short = marker.detect(voice(0, 0.5), 1)
    assert short.marked() is None and short.undecided.startswith("undecided at 8000 samples")
    silent = marker.detect(np.zeros(2 * RATE, np.float32), 1)
    assert silent.marked() is None and "silent" in silent.undecided
    assert np.isnan(marker.read(voice(0, 0.5), 1, BITS)).all()
    assert not marker.fits(voice(0, 0.5), BITS) and not marker.fits(voice(0), 200)
    # A recording that cannot be marked is published as it is.
    short_one = voice(0, 0.5)
    same = marker.embed(short_one, np.zeros(BITS, int), 1, np.random.default_rng(0))
    assert np.array_equal(same, short_one)


def test_one_click_in_silence_is_undecided_or_unmarked() -> None:
    click = np.zeros(2 * RATE, np.float32)
    click[5000] = 0.5
    for mark in MARKS:
        assert mark().detect(click, 1).marked() is not True


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (np.zeros((RATE, 2), np.float32), "average its channels"),
        (np.zeros(RATE, np.int16), "divide whole numbers"),
        (np.full(RATE, np.nan), "finite"),
    ],
)
def test_what_is_no_recording_is_said_in_one_line(item, says) -> None:
    for mark in MARKS:
        with pytest.raises(UsageError, match=says) as caught:
            mark().detect(item, 1)
        assert "\n" not in str(caught.value)


def test_rank_among_unmarked_recordings() -> None:
    marker = marks.zero_bit("loud", lambda w: 2 * w, lambda w: float(np.abs(w).max()),
                            np.arange(999) / 1000, 100)  # fmt: skip
    wave = np.full(200, 0.4, np.float32)
    # 599 of the unmarked score 0.4 or more: p = 600 in 1,000.
    assert 2 ** marker.detect(wave - 1e-4, 0).log2_p == pytest.approx(0.6)
    assert marker.detect(marker.embed(0 * wave + 0.5, [], 0, None), 0).marked() is True
    assert 2 ** marker.detect(wave + 0.6, 0).log2_p == pytest.approx(FALSE_ALARMS)
    assert marker.detect(wave[:50], 0).marked() is None
    few = marks.zero_bit("few", lambda w: w, lambda w: 1.0, np.zeros(100), 100)
    assert "too few" in few.detect(wave, 0).undecided
    assert replace(marker, name="other").fits(wave, 0) and not marker.fits(wave, 8)
