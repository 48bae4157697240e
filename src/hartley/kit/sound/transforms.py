"""What recordings go through on their way: codecs, filters, other speeds, a vocoder.

Every function takes and returns a recording (samples,) at ``kit.audio.RATE``, in −1..1, of the
same length unless it changes the speed. Delays of codecs are taken out.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.core.errors import MissingExtra
from hartley.kit.audio import RATE, resampled

if TYPE_CHECKING:
    from numpy.typing import NDArray

Codec = Literal["mp3", "opus", "vorbis", "gsm"]

FORMATS = {
    "mp3": ("MP3", "MPEG_LAYER_III", RATE),
    "opus": ("OGG", "OPUS", RATE),
    "vorbis": ("OGG", "VORBIS", RATE),
    "gsm": ("WAV", "GSM610", 8_000),
}
"""What libsndfile calls a codec, and the rate it is used at."""

DELAY = 2_048
"""Samples by which a codec may delay a recording."""

WINDOW = 1_024
"""Samples of a window of the phase vocoder, which a hop of a quarter of it moves on."""

SPOKEN, ORDER, PITCHES = 640, 18, (40, 230)
"""Samples of a window of the vocoder, its coefficients, and its periods: 70 to 400 Hz."""


def through_rate(wave: NDArray[Any], rate: int) -> NDArray[np.float32]:
    """Return a recording that was stored at a lower rate."""
    return fitted(resampled(resampled(wave, RATE, rate), rate, RATE), len(wave))


def through_codec(wave: NDArray[Any], codec: Codec, level: float = 1.0) -> NDArray[np.float32]:
    """Return a recording that was stored by a codec of libsndfile.

    Args:
        wave: (samples,).
        codec: MP3, Opus, Vorbis, or GSM 06.10 (13 kbit/s speech at 8 kHz, without levels).
        level: how much is thrown away, 0..1 (libsndfile ends just below 1).

    Raises:
        MissingExtra: soundfile is not installed.
    """
    try:
        import soundfile  # type: ignore[import-untyped]
    except (ImportError, OSError) as error:
        raise MissingExtra("soundfile", "audio") from error
    form, subtype, rate = FORMATS[codec]
    levels = {} if codec == "gsm" else {"compression_level": min(level, 0.99)}
    file = io.BytesIO()
    sound = resampled(np.clip(wave, -1, 1), RATE, rate)
    soundfile.write(file, sound, rate, format=form, subtype=subtype, **levels)
    file.seek(0)
    back, got = soundfile.read(file, dtype="float32")
    return undelayed(resampled(back, got, RATE), wave)


def vocoded(wave: NDArray[Any], rate: int = 3200) -> NDArray[np.float32]:
    """Return a recording that was spoken anew by the vocoder Codec 2.

    Only pitch, voicing and the envelope of the spectrum are kept, at ``rate`` bits a second.

    Raises:
        MissingExtra: pycodec2 is not installed.
    """
    try:
        import pycodec2
    except (ImportError, OSError) as error:
        raise MissingExtra("pycodec2", "vocoder") from error
    vocoder = pycodec2.Codec2(rate)
    size = vocoder.samples_per_frame()
    low = np.clip(resampled(wave, RATE, 8_000), -1, 1) * 32767
    whole = np.pad(low, (0, -len(low) % size)).astype(np.int16).reshape(-1, size)
    frames = np.concatenate([vocoder.decode(vocoder.encode(frame)) for frame in whole])
    return fitted(resampled(frames / np.float32(32768), 8_000, RATE), len(wave))


def spoken_anew(wave: NDArray[Any], noise: NDArray[Any]) -> NDArray[np.float32]:
    """Return a recording that a vocoder spoke anew from pitch, voicing and envelope.

    The envelope is that of linear prediction, excited by pulses as far as a window is voiced and by
    noise as far as it is not (Atal and Hanauer's, doi:10.1121/1.1912679). No phase and no fine
    detail of the spectrum passes.

    Args:
        wave: (samples,).
        noise: (samples,) normal noise of mean square 1.
    """
    from scipy.linalg import solve_toeplitz
    from scipy.signal import lfilter

    window = np.hanning(SPOKEN + 1)[:-1]
    sound = np.asarray(wave, np.float64)
    padded = np.pad(sound, (SPOKEN // 2, SPOKEN))
    total, weight = np.zeros((2, len(padded) + SPOKEN))
    pulses, last = np.zeros(len(padded) + SPOKEN), 0
    rough = np.pad(noise, (SPOKEN // 2, 2 * SPOKEN), mode="wrap")
    for start in range(0, len(padded) - SPOKEN + 1, SPOKEN // 4):
        frame = padded[start : start + SPOKEN] * window
        match = np.correlate(frame, frame, "full")[SPOKEN - 1 :]
        if match[0] <= 1e-9:
            weight[start : start + SPOKEN] += window
            continue
        lag = PITCHES[0] + int(np.argmax(match[PITCHES[0] : PITCHES[1]]))
        voiced = float(np.clip(match[lag] / match[0], 0, 1))
        # Pulses go on from where the windows before left them.
        last = max(last, start)
        while last < start + SPOKEN:
            pulses[last] = np.sqrt(lag)
            last += lag
        column = match[: ORDER + 1] * (1 + 1e-4 * (np.arange(ORDER + 1) == 0))
        filters = np.concatenate([[1.0], -solve_toeplitz(column[:-1], column[1:])])
        piece = slice(start, start + SPOKEN)
        excitation = voiced * pulses[piece] + np.sqrt(1 - voiced**2) * rough[piece]
        synthetic = lfilter([1.0], filters, excitation) * window
        total[piece] += synthetic * np.sqrt(match[0] / max(float((synthetic**2).sum()), 1e-20))
        weight[piece] += window
    out = total / np.maximum(weight, 1e-3)
    return np.asarray(out[SPOKEN // 2 : SPOKEN // 2 + len(sound)], np.float32)


def equalised(wave: NDArray[Any], decibels: NDArray[Any]) -> NDArray[np.float32]:
    """Return a recording with gains (bands,) in dB, from 0 Hz to half the rate, interpolated."""
    spectrum = np.fft.rfft(np.asarray(wave, np.float64))
    at = np.linspace(0, len(decibels) - 1, len(spectrum))
    gains = np.interp(at, np.arange(len(decibels)), decibels)
    return np.asarray(np.fft.irfft(spectrum * 10 ** (gains / 20), len(wave)), np.float32)


def faster(wave: NDArray[Any], speed: float) -> NDArray[np.float32]:
    """Return a recording that is played faster: shorter and higher."""
    return resampled(wave, round(1000 * speed), 1000)


def stretched(wave: NDArray[Any], speed: float) -> NDArray[np.float32]:
    """Return a recording that is spoken faster at the same pitch, by a phase vocoder.

    Flanagan and Golden's (doi:10.1002/j.1538-7305.1966.tb01706.x): magnitudes are read at other
    times, and the phase of each bin goes on at the rate it had there.
    """
    hop, window = WINDOW // 4, np.hanning(WINDOW + 1)[:-1]
    # Not before the beginning: phases that begin in silence would not go together.
    padded = np.pad(np.asarray(wave, np.float64), (0, 2 * WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::hop]
    spectrum = np.fft.rfft(frames * window, axis=1)
    at = np.arange(0, len(spectrum) - 1, speed)
    low, part = at.astype(int), (at % 1)[:, None]
    sizes = (1 - part) * np.abs(spectrum[low]) + part * np.abs(spectrum[low + 1])
    steady = 2 * np.pi * hop * np.arange(spectrum.shape[1]) / WINDOW
    turns = np.angle(spectrum[low + 1]) - np.angle(spectrum[low]) - steady
    turns = steady + (turns + np.pi) % (2 * np.pi) - np.pi
    phases = np.angle(spectrum[0]) + np.concatenate([turns[:1] * 0, turns[:-1]]).cumsum(0)
    pieces = np.fft.irfft(sizes * np.exp(1j * phases), WINDOW, axis=1) * window
    total, weight = np.zeros((2, len(pieces) * hop + WINDOW))
    for index, piece in enumerate(pieces):
        total[index * hop : index * hop + WINDOW] += piece
        weight[index * hop : index * hop + WINDOW] += window**2
    return fitted(total / np.maximum(weight, 1e-3), round(len(wave) / speed))


def noisy(wave: NDArray[Any], snr: float, noise: NDArray[Any]) -> NDArray[np.float32]:
    """Return a recording plus noise (samples,) of mean square 1, at a ratio in dB."""
    size = np.sqrt(np.mean(np.square(wave, dtype=np.float64))) * 10 ** (-snr / 20)
    return np.asarray(wave + size * noise, np.float32)


def fitted(wave: NDArray[Any], samples: int) -> NDArray[np.float32]:
    """Return a recording of a length: cut, or followed by silence."""
    out = np.zeros(samples, np.float32)
    out[: len(wave)] = wave[:samples]
    return out


def undelayed(wave: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float32]:
    """Return a recording moved in time so that it fits a reference best, of its length."""
    size = 1 << int(np.ceil(np.log2(len(wave) + len(reference) + 1)))
    product = np.fft.rfft(wave, size) * np.conj(np.fft.rfft(reference, size))
    match = np.fft.irfft(product, size)
    lags = np.concatenate([np.arange(DELAY + 1), np.arange(size - DELAY, size)])
    lag = int(lags[np.argmax(match[lags])])
    lag = lag - size if lag > DELAY else lag
    moved = wave[lag:] if lag >= 0 else np.concatenate([np.zeros(-lag, np.float32), wave])
    return fitted(moved, len(reference))
