"""A user's own sounds: a folder with a sub-folder for each class → waveforms of one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.data.user_arrays import UserRecords

SOUNDS = (".wav", ".flac", ".ogg", ".aiff", ".aif", ".mp3", ".opus")
RATE, LENGTH = "sample rate", "sounds"
"""Notes: the rate of a folder, and what was done to the lengths."""
MOST = 2**32
"""Bytes of all waveforms of a folder, at most."""


def read_sounds(classes: Sequence[Path], what: str) -> tuple[Any, Any, dict[str, Any]]:
    """Read the sounds of each class.

    They are float32 in −1…1, of shape (channels, samples), as torchaudio loads them; the shorter
    ones are followed by zeros.

    Args:
        classes: a folder each.
        what: they are, for messages: "--train sounds".

    Returns:
        Waveforms (n, channels, samples), labels (n,) and notes by name.

    Raises:
        UsageError: a file is not a sound, or they differ in their rate or their channels.
        MissingExtra: soundfile is not installed and a file is not .wav.
    """
    waves: list[NDArray[np.float32]] = []
    labels: list[int] = []
    first = ""
    rate = total = 0
    for label, place in enumerate(classes):
        files = sorted(p for p in place.rglob("*") if p.suffix.lower() in SOUNDS)
        if not files:
            raise UsageError(
                f"{place} must hold sounds ({', '.join(SOUNDS[:3])} …), got none; each sub-folder "
                f"of {place.parent} is a class"
            )
        for path in files:
            wave, of_file = _read(path)
            if not wave.size or not np.isfinite(wave).all():
                raise UsageError(f"{path} must hold a sound, got one without finite samples")
            rate, first = rate or of_file, first or path.name
            if of_file != rate:
                raise UsageError(
                    f"{what} must hold sounds of one sample rate, got {rate} Hz ({first}) and "
                    f"{of_file} Hz ({path.name}); resample them as your training does"
                )
            if waves and len(wave) != len(waves[0]):
                raise UsageError(
                    f"{what} must hold sounds of equally many channels, got {len(waves[0])} "
                    f"({first}) and {len(wave)} ({path.name}); mix them as your training does"
                )
            waves.append(wave)
            labels.append(label)
        total = len(waves) * max(wave.size for wave in waves) * 4
        if total > MOST:
            raise UsageError(
                f"{what} must be at most {MOST / 2**30:.0f} GiB of samples at the longest sound's "
                f"length, got {total / 2**30:.1f}; cut the sounds as your training does"
            )
    notes = {"classes": ", ".join(place.name for place in classes), RATE: f"{rate} Hz"}
    return padded(waves, max(wave.shape[1] for wave in waves)), np.array(labels), notes


def of_one_length(parts: Mapping[str, UserRecords]) -> dict[str, UserRecords]:
    """Return folders of sounds at the length of their longest sound.

    Raises:
        UsageError: the folders differ in their sample rate.
    """
    rates = {what: str(part.notes[RATE]) for what, part in parts.items()}
    if len(set(rates.values())) > 1:
        got = " and ".join(f"{rate} ({what})" for what, rate in rates.items())
        raise UsageError(
            f"{' and '.join(parts)} must have one sample rate, got {got}; resample them as your "
            "training does"
        )
    most = max(part.x.shape[2] for part in parts.values())
    note = {LENGTH: f"shorter ones are followed by zeros, up to {most} samples"}
    return {
        what: replace(part, x=padded(part.x, most), notes={**part.notes, **note})
        for what, part in parts.items()
    }


def padded(waves: Sequence[NDArray[Any]], samples: int) -> NDArray[np.float32]:
    """Return waveforms (n, channels, samples) with zeros at their ends."""
    out = np.zeros((len(waves), len(waves[0]), samples), dtype=np.float32)
    for row, wave in zip(out, waves, strict=True):
        row[:, : wave.shape[1]] = wave
    return out


def _read(path: Path) -> tuple[NDArray[np.float32], int]:
    """Return the waveform (channels, samples) of a file, and its rate in Hz."""
    try:
        import soundfile  # type: ignore[import-untyped]
    except (ModuleNotFoundError, OSError) as absent:
        if path.suffix.lower() != ".wav":
            raise MissingExtra("soundfile", "audio") from absent
        return _read_wav(path)
    try:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (RuntimeError, OSError, ValueError) as error:
        raise UsageError(f"{path} must be a sound, got a file that is not") from error
    return np.ascontiguousarray(wave.T), int(rate)


def _read_wav(path: Path) -> tuple[NDArray[np.float32], int]:
    from scipy.io import wavfile

    try:
        rate, samples = wavfile.read(path)
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} must be a sound, got a file that is not") from error
    wave = np.asarray(samples).reshape(len(samples), -1).T
    if wave.dtype == np.uint8:  # the one kind without a sign
        return ((wave.astype(np.float32) - 128) / 128).astype(np.float32), int(rate)
    if wave.dtype.kind == "i":
        return (wave / -float(np.iinfo(wave.dtype).min)).astype(np.float32), int(rate)
    return wave.astype(np.float32), int(rate)
