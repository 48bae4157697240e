"""Text as speech: spoken by espeak-ng, worn down by a room and a telephone, cut at pauses."""

from __future__ import annotations

import ctypes
import io
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra, RunError, UsageError
from hartley.kit.audio import RATE, resampled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PAUSE, SILENCE = 0.4, 0.25
"""Seconds between two sentences as they are spoken, and from which on silence ends a passage."""

LONGEST = 60.0
"""Seconds of a recording, at most."""


@dataclass(frozen=True, slots=True)
class Speaking:
    """How a text is spoken.

    Attributes:
        voice: of espeak-ng, for example ``en-us``.
        speed: words a minute.
        gap: pause between words, in units of 10 ms.
    """

    voice: str = "en-us"
    speed: int = 150
    gap: int = 0


@dataclass(frozen=True, slots=True)
class SpeechWear:
    """What a recording goes through before it is read.

    Attributes:
        snr: decibels of speech above the noise of the room; infinite for none.
        telephone: whether only 300 to 3,400 Hz get through.
    """

    snr: float = float("inf")
    telephone: bool = False


def speak(text: str, speaking: Speaking) -> NDArray[np.float32]:
    """Return a text as speech (samples,) at ``RATE``, sentence by sentence.

    Raises:
        MissingExtra: espeakng-loader is not installed.
        UsageError: espeak-ng has no such voice.
    """
    pause = np.zeros(int(PAUSE * RATE), np.float32)
    parts = [_spoken(sentence, speaking) for sentence in sentences(text)]
    return np.concatenate([pause, *(wave for part in parts for wave in (part, pause))])


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, each as it is spoken in one breath."""
    parts = re.split(r"(?<=[.!?:;])\s+|\n+", text)
    return [part.strip() for part in parts if any(letter.isalnum() for letter in part)]


def passages(wave: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
    """Yield what is between the pauses of a recording (samples,)."""
    loud = np.abs(wave) > 0.01 * float(np.abs(wave).max(initial=0.0))
    at = np.flatnonzero(loud)
    if not len(at):
        return
    cuts = np.flatnonzero(np.diff(at) > SILENCE * RATE)
    starts = [int(at[0]), *(int(k) for k in at[cuts + 1])]
    ends = [*(int(k) for k in at[cuts]), int(at[-1])]
    for first, last in zip(starts, ends, strict=True):
        yield np.asarray(wave[first : last + 1], dtype=np.float32)


def worn(wave: NDArray[Any], wear: SpeechWear, seed: int) -> NDArray[np.float32]:
    """Return speech (samples,) as it is after noise and a telephone.

    Args:
        wave: speech at ``RATE``.
        wear: what it goes through.
        seed: of the noise.
    """
    from scipy.signal import butter, sosfilt

    out = np.asarray(wave, dtype=np.float64)
    if np.isfinite(wear.snr) and len(out):
        power = float((out**2).mean()) * 10 ** (-wear.snr / 10)
        out = out + np.random.default_rng(seed).normal(0, np.sqrt(power), len(out))
    if wear.telephone:
        out = sosfilt(butter(4, [300, 3400], "bandpass", fs=RATE, output="sos"), out)
    return np.asarray(out, dtype=np.float32)


def flac(wave: NDArray[Any]) -> bytes:
    """Return speech (samples,) at ``RATE`` as a FLAC file.

    Raises:
        MissingExtra: soundfile is not installed.
    """
    stored = io.BytesIO()
    _soundfile().write(stored, np.clip(wave, -1, 1), RATE, format="FLAC")
    return stored.getvalue()


def from_file(content: bytes) -> NDArray[np.float32]:
    """Return the speech (samples,) of a file, one channel at ``RATE``.

    Raises:
        UsageError: it is not a recording, or it is longer than ``LONGEST``.
        MissingExtra: soundfile is not installed.
    """
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            rate = file.samplerate
            # Before it is decoded: hours of silence are a few kilobytes.
            if file.frames > LONGEST * rate:
                raise UsageError(
                    f"a recording must be at most {LONGEST:g} seconds, got {file.frames / rate:.0f}"
                )
            wave = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, TypeError) as error:
        raise UsageError(f"a recording must be a sound file, got {error}") from None
    return resampled(wave.mean(1), rate)


def _soundfile() -> Any:
    try:
        import soundfile  # type: ignore[import-untyped]
    except (ImportError, OSError) as error:
        raise MissingExtra("soundfile", "audio") from error
    return soundfile


def _spoken(sentence: str, speaking: Speaking) -> NDArray[np.float32]:
    return resampled(*_synthesiser().spoken(sentence, speaking))


@cache
def _synthesiser() -> _Espeak:
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingExtra("espeakng_loader", "speech") from error
    return _Espeak(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())


class _Espeak:
    """The library espeak-ng, which hands on what it speaks by a callback."""

    SYNCHRONOUS, NO_EXIT, CHARACTERS, UTF8 = 2, 0x8000, 1, 1
    SPEED, GAP = 1, 7

    def __init__(self, library: str, data: str) -> None:
        """Load the library.

        Args:
            library: its path.
            data: the folder of its voices.

        Raises:
            RunError: it does not start.
        """
        self.library = ctypes.CDLL(str(library))
        self.samples: list[NDArray[np.int16]] = []
        folder = str(data).encode()
        self.rate = int(self.library.espeak_Initialize(self.SYNCHRONOUS, 0, folder, self.NO_EXIT))
        if self.rate <= 0:
            raise RunError(f"espeak-ng must start, got {self.rate} from it")
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self.callback = kind(self._take)
        self.library.espeak_SetSynthCallback(self.callback)
        self.library.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        ]

    def _take(self, samples: Any, count: int, events: Any) -> int:
        del events
        if count > 0 and samples:
            self.samples.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def spoken(self, sentence: str, speaking: Speaking) -> tuple[NDArray[np.float64], int]:
        """Return a sentence as samples in −1..1, and their rate."""
        if self.library.espeak_SetVoiceByName(speaking.voice.encode()):
            raise UsageError(f"voice must be one of espeak-ng, got {speaking.voice!r}")
        self.library.espeak_SetParameter(self.SPEED, speaking.speed, 0)
        self.library.espeak_SetParameter(self.GAP, speaking.gap, 0)
        self.samples.clear()
        text = sentence.encode() + b"\0"
        self.library.espeak_Synth(text, len(text), 0, self.CHARACTERS, 0, self.UTF8, None, None)
        self.library.espeak_Synchronize()
        if not self.samples:
            return np.zeros(1), self.rate
        return np.concatenate(self.samples) / 32768.0, self.rate
