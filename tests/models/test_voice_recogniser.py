"""The recogniser of voices that judges recordings: what it hears, and what the figure says."""

import numpy as np
import pytest

from hartley.core import Data, Modality
from hartley.kit import item_quality
from hartley.kit.audio import RATE
from hartley.kit.sound import transforms
from hartley.models.voice_recogniser import by_voice, voice_recogniser, windows

VOICES = (100, 170, 290)
"""Pitches in Hz; each has a formant at eight times as much."""


def voice(pitch: float, seed: int, seconds: float = 2.0) -> np.ndarray:
    """Syllables of a buzz of one pitch with a formant."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.05 * np.sin(6 * t + rng.random() * 6))) / RATE
    size = [1 / k + (abs(k - 8) < 2) for k in range(1, 24)]
    tone = sum(a * np.sin(k * phase + rng.random() * 6) for k, a in enumerate(size, 1))
    loud = np.clip(np.sin(2 * np.pi * 3 * t + rng.random() * 6), 0.1, 1)
    return (0.05 * loud * tone + 0.002 * rng.standard_normal(len(t))).astype(np.float32)


@pytest.fixture(scope="module")
def recogniser():
    waves = np.stack([voice(pitch, seed) for pitch in VOICES for seed in range(8)])
    names = {"names": tuple(map(str, VOICES))}
    clean = Data("voices", Modality.AUDIO, waves, np.repeat(range(3), 8), facts=names)
    return voice_recogniser(clean)


def test_it_names_the_voice_in_noise_and_through_a_narrow_channel(recogniser) -> None:
    noise = np.random.default_rng(0).standard_normal(2 * RATE)
    for k, pitch in enumerate(VOICES):
        wave = voice(pitch, 100)
        for heard in (
            wave,
            transforms.noisy(wave, 20, noise),
            transforms.through_rate(wave, 8_000),
        ):
            shares = recogniser(windows(heard, 2))
            assert shares.sum(1) == pytest.approx(1)
            assert (shares[:, k] > 0.5).all()


def test_the_figure_is_1_for_the_same_and_small_for_another_voice(recogniser) -> None:
    quality = by_voice(item_quality.sounds(), recogniser, 0.4)
    wave, other = voice(100, 200), voice(290, 200)
    assert quality.figures(wave, wave)["recognised"] == pytest.approx(1)
    assert quality.figures(0.2 * wave, wave)["recognised"] > 0.9
    assert quality.figures(other, wave)["recognised"] < 0.3
    # A recording of another length is heard at the same places; one under a second is padded.
    assert quality.figures(transforms.stretched(wave, 1.2), wave)["recognised"] > 0.7
    assert windows(wave[: RATE // 2], 1).shape == (1, 1, 40, 101)


def test_the_figure_is_what_two_laws_have_in_common() -> None:
    tone, click = voice(100, 1), np.zeros(2 * RATE, np.float32)
    click[RATE // 2 :: RATE] = 0.5
    silent = windows(click, 1)[0]

    def recogniser(records):
        return np.array(
            [[0.2, 0.5, 0.3] if np.allclose(x, silent) else [0.7, 0.2, 0.1] for x in records]
        )

    quality = by_voice(item_quality.sounds(3.0), recogniser, 0.6)
    assert quality.figures(click, tone)["recognised"] == pytest.approx(0.2 + 0.2 + 0.1)
    assert quality.least == {"spectral_snr": 3.0, "recognised": 0.6}
    assert quality.floors(7.0) == {"spectral_snr": 7.0, "recognised": 0.6}
    assert by_voice(quality, recogniser, 0.0).least == quality.least
