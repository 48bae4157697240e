"""What recordings go through, against what each is known to do."""

import numpy as np
import pytest

from hartley.kit.sound import fidelity, transforms

RATE = transforms.RATE


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(RATE * seconds)) / RATE)).astype("f")


def pitch(wave: np.ndarray) -> float:
    inner = wave[len(wave) // 4 : -len(wave) // 4]
    spectrum = np.abs(np.fft.rfft(inner * np.hanning(len(inner))))
    return float(np.argmax(spectrum) * RATE / len(inner))


@pytest.mark.parametrize("speed", [0.8, 1.1, 1.5])
def test_a_stretch_keeps_the_pitch_and_another_speed_does_not(speed) -> None:
    wave = tone(1000, 2)
    stretched, faster = transforms.stretched(wave, speed), transforms.faster(wave, speed)
    assert len(stretched) == round(len(wave) / speed)
    assert len(faster) == pytest.approx(len(wave) / speed, abs=2)
    assert pitch(stretched) == pytest.approx(1000, abs=3)
    assert pitch(faster) == pytest.approx(1000 * speed, rel=0.003)
    # A steady tone is as loud after it as before.
    size = np.abs(stretched[len(stretched) // 4 : -len(stretched) // 4]).max()
    assert size == pytest.approx(0.3, rel=0.05)


def test_band_limits_and_gains() -> None:
    both = tone(1000) + tone(6000)
    low = transforms.through_rate(both, 8000)
    assert fidelity.snr(low[800:-800], tone(1000)[800:-800]) > 30
    gains = transforms.equalised(both, np.array([-6.0206] * 2))
    assert np.allclose(gains, both / 2, atol=1e-4)
    noise = np.random.default_rng(0).standard_normal(RATE)
    assert fidelity.snr(transforms.noisy(both, 12, noise), both) == pytest.approx(12, abs=0.2)


@pytest.mark.parametrize("codec", ["mp3", "opus", "vorbis", "gsm"])
def test_codecs_give_the_recording_back_in_place(codec) -> None:
    pytest.importorskip("soundfile")
    rng = np.random.default_rng(0)
    wave = (tone(440) + 0.5 * tone(660)) * np.interp(np.arange(RATE), [0, 8000, 16000], [0, 1, 0.2])
    wave = (wave + 0.002 * rng.standard_normal(RATE)).astype("f")
    back = transforms.through_codec(wave, codec, 0.5)
    assert len(back) == len(wave)
    assert fidelity.snr(back, wave) > 9


def test_a_delay_is_taken_out() -> None:
    wave = np.random.default_rng(0).standard_normal(4000).astype("f")
    late = np.concatenate([np.zeros(317, "f"), wave])
    assert np.allclose(transforms.undelayed(late, wave), wave)
    assert np.allclose(transforms.undelayed(wave[100:], wave)[100:], wave[100:])


def test_the_vocoder_keeps_the_length() -> None:
    pytest.importorskip("pycodec2")
    wave = tone(200) * 0.5
    assert transforms.vocoded(wave).shape == wave.shape


def test_linear_prediction_keeps_pitch_loudness_and_formants() -> None:
    from scipy.signal import lfilter

    rng = np.random.default_rng(0)
    pulses = np.zeros(RATE)
    pulses[::125] = 1.0  # 128 Hz
    pole = np.exp(-np.pi * 80 / RATE + 2j * np.pi * 700 / RATE)
    wave = lfilter([1.0], np.real(np.poly([pole, pole.conj()])), pulses)
    wave = (0.1 * wave / wave.std()).astype("f")
    spoken = transforms.spoken_anew(wave, rng.standard_normal(RATE))
    assert spoken.shape == wave.shape and spoken.std() == pytest.approx(wave.std(), rel=0.1)
    match = np.correlate(spoken[4000:8000], spoken[4000:8000], "full")[3999:]
    assert 40 + int(np.argmax(match[40:230])) == pytest.approx(125, abs=1)
    assert abs(pitch(spoken) - 700) < 80
    assert np.abs(np.corrcoef(spoken, wave)[0, 1]) < 0.9, "phases are new"
    assert not transforms.spoken_anew(np.zeros(RATE, "f"), rng.standard_normal(RATE)).any()


def test_nearness() -> None:
    rng = np.random.default_rng(0)
    wave = (0.1 * rng.standard_normal(RATE) * np.hanning(RATE)).astype("f")
    assert fidelity.spectral_snr(wave, wave) == fidelity.snr(wave, wave) == 100
    # Loudness is no change of the spectrum, and 6 dB of the samples.
    assert fidelity.spectral_snr(wave / 2, wave) > 50
    assert fidelity.snr(wave / 2, wave) == pytest.approx(6.02, abs=0.01)
    near = fidelity.spectral_snr(transforms.noisy(wave, 30, rng.standard_normal(RATE)), wave)
    far = fidelity.spectral_snr(transforms.noisy(wave, 10, rng.standard_normal(RATE)), wave)
    assert 100 > near > far + 5
    assert fidelity.distance(wave, wave) == 0
    assert fidelity.spectral_snr(wave * 0, wave * 0) == 100
