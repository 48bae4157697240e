"""The mel front end: against another implementation, and against what a tone must look like."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.kit import audio


@pytest.mark.parametrize(("bins", "low"), [(201, 0), (257, 50)])
def test_filters_are_those_of_another_implementation(bins: int, low: int) -> None:
    from transformers.audio_utils import mel_filter_bank

    theirs = mel_filter_bank(bins, 40, low, 8000, 16000, norm="slaney", mel_scale="slaney")
    assert np.allclose(audio.mel_bank(bins, 40, low, 8000), theirs.T, atol=1e-12)


def test_energies_are_those_of_a_short_time_fourier_transform() -> None:
    import torch

    wave = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    spectrum = torch.stft(
        torch.tensor(wave), 400, 160, window=torch.hann_window(400), center=True,
        pad_mode="constant", return_complex=True,
    ).abs() ** 2  # fmt: skip
    theirs = audio.mel_bank(201, 40, 0, 8000) @ spectrum.numpy()
    assert np.allclose(audio.mel(wave, window=400, hop=160), theirs, rtol=1e-4, atol=1e-4)


def test_a_tone_sounds_in_its_band() -> None:
    time = np.arange(8000) / audio.RATE
    bank = audio.mel_bank(201, 40, 0, 8000)
    for hertz in (300, 1000, 4000):
        picture = audio.mel(np.sin(2 * np.pi * hertz * time), window=400, hop=160)
        loudest = int(picture.mean(1).argmax())
        assert abs(int(bank[:, round(hertz / 40)].argmax()) - loudest) <= 1


def test_the_scale_of_records_can_be_undone() -> None:
    energies = 10.0 ** np.random.default_rng(0).uniform(-7.5, 1, (40, 9))
    records = audio.scaled(energies)
    assert records.min() >= 0 and records.max() <= 1
    assert np.allclose(audio.energies(records), energies, rtol=1e-4)


def test_clips_are_cut_or_repeated() -> None:
    picture = np.arange(6).reshape(2, 3)
    assert audio.fitted(picture, 2).tolist() == [[0, 1], [3, 4]]
    assert audio.fitted(picture, 5).tolist() == [[0, 1, 2, 0, 1], [3, 4, 5, 3, 4]]
