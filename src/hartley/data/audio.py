"""Spoken letters and syllables in twenty languages, from the pack ``klettres``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality
from hartley.core.errors import MissingExtra, UsageError
from hartley.data.packs import locate
from hartley.kit import audio
from hartley.kit.cache import cached

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 2
QUIET = 0.05
"""Share of the loudest sample below which a clip has not begun."""

LEAD = 800
"""Samples kept before a clip begins."""

LOUDNESS = 10 ** (-30 / 20)
"""Root mean square that the speaker encoder was trained at."""

SPOKEN = 0.05
"""Root mean square of a clip in a recording; its loudest sample is at most 0.9."""

SILENT = 1e-5
"""Mean energy over 800 samples below which speech is cut out for the speaker encoder."""


def keywords() -> Data:
    """1,836 clips as log-mel records for a recogniser; which of 20 languages each is in.

    Returns:
        x float32 (1836, 1, 40, 101) in 0..1 (one second, each clip's own mean and spread), y int64;
        ``facts["names"]`` are the languages.

    Raises:
        MissingPack: the pack ``klettres`` was not fetched.
        MissingExtra: soundfile is not installed.
    """
    return _data("keywords")


def speech() -> Data:
    """The same clips as log-mel records for the speaker encoder.

    Returns:
        x float32 (1836, 1, 40, 160) in 0..1 on the scale of ``kit.audio``, y int64 the language,
        which for most of them is one speaker; ``facts["names"]`` are the languages.

    Raises:
        MissingPack: the pack ``klettres`` was not fetched.
        MissingExtra: soundfile is not installed.
    """
    return _data("speech")


def recordings(seconds: float = 5.0) -> Data:
    """The same clips as recordings of one length, to carry a watermark.

    Clips of a language are joined in the order of their names, without the silence around them, at
    one loudness; what is left at the end of a language is dropped.

    Args:
        seconds: length of a recording.

    Returns:
        x float32 (n, samples) in −1..1 at the rate of ``kit.audio``, y int64 (n,) the language,
        which for most of them is one speaker; ``facts["names"]`` are the languages.

    Raises:
        MissingPack: the pack ``klettres`` was not fetched.
        MissingExtra: soundfile is not installed.
    """
    home = locate("klettres")
    files = sorted(home.rglob("*.ogg"))
    names = sorted({_language(path, home) for path in files})
    recipe = ["klettres voices", VERSION, [f"{_language(p, home)}/{p.name}" for p in files]]
    voices = cached("klettres", recipe, lambda: _voices(files, home))
    size = round(seconds * audio.RATE)
    cut = [voices[name][: len(voices[name]) // size * size].reshape(-1, size) for name in names]
    y = np.repeat(np.arange(len(names)), [len(rows) for rows in cut])
    title = f"klettres recordings of {seconds:g} s"
    return Data(title, Modality.AUDIO, np.concatenate(cut), y, facts={"names": tuple(names)})


def _voices(files: list[Path], home: Path) -> dict[str, NDArray[Any]]:
    """Return all that is spoken in each language, (samples,)."""
    voices: dict[str, list[NDArray[Any]]] = {}
    for path in files:
        wave = _read(path)
        wave = wave - wave.mean()
        loud = np.flatnonzero(np.abs(wave) > QUIET * np.abs(wave).max())
        if len(loud):
            wave = wave[max(0, int(loud[0]) - LEAD) : int(loud[-1]) + LEAD]
            # Two clips of one language may differ by 30 dB.
            wave = wave * min(SPOKEN / float(np.sqrt((wave**2).mean())), 0.9 / np.abs(wave).max())
            voices.setdefault(_language(path, home), []).append(wave.astype(np.float32))
    return {name: np.concatenate(waves) for name, waves in voices.items()}


def _data(kind: str) -> Data:
    home = locate("klettres")
    files = sorted(home.rglob("*.ogg"))
    names = sorted({_language(path, home) for path in files})
    if not files:
        raise UsageError("the pack klettres must contain .ogg files, got none")
    recipe = ["klettres", VERSION, [f"{_language(p, home)}/{p.name}" for p in files]]
    arrays = cached("klettres", recipe, lambda: _build(files))
    y = np.array([names.index(_language(path, home)) for path in files], dtype=np.int64)
    title = f"klettres {kind}"
    return Data(title, Modality.AUDIO, arrays[kind], y, facts={"names": tuple(names)})


def _language(path: Path, home: Path) -> str:
    return path.relative_to(home).parts[0]


def _build(files: list[Path]) -> dict[str, NDArray[Any]]:
    waves = [_read(path) for path in files]
    return {
        "keywords": np.stack([_keyword(wave) for wave in waves])[:, None],
        "speech": np.stack([_spoken(wave) for wave in waves])[:, None],
    }


def _read(path: Path) -> NDArray[np.float32]:
    """One clip, one channel, at the rate of ``kit.audio``."""
    try:
        import soundfile  # type: ignore[import-untyped]
    except (ImportError, OSError) as error:
        raise MissingExtra("soundfile", "audio") from error
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return audio.resampled(wave.mean(1), rate)


def keyword_energies(second: NDArray[Any]) -> NDArray[np.float32]:
    """Return mel energies (40, 101) of a second of sound (samples,), as :func:`keywords` does."""
    return audio.mel(second, window=512, hop=160, low=50)


def keyword_records(energies: NDArray[Any]) -> NDArray[np.float32]:
    """Return mel energies (n, 40, 101) as records of :func:`keywords`, (n, 40, 101)."""
    logs = np.log(energies + 1e-6)
    mean, spread = logs.mean((1, 2), keepdims=True), logs.std((1, 2), keepdims=True)
    # Two and a half standard deviations to either side of a clip's own mean fill 0..1.
    return np.asarray(np.clip(0.5 + (logs - mean) / (5 * spread + 1e-6), 0, 1), dtype=np.float32)


def _keyword(wave: NDArray[Any]) -> NDArray[np.float32]:
    wave = wave / max(float(np.abs(wave).max()), 1e-6)
    loud = np.flatnonzero(np.abs(wave) > QUIET)
    first = max(0, int(loud[0]) - LEAD) if len(loud) else 0
    second = np.zeros(audio.RATE, np.float32)
    clip = wave[first : first + audio.RATE]
    second[: len(clip)] = clip
    (record,) = keyword_records(keyword_energies(second)[None])
    return np.asarray(record)


def _spoken(wave: NDArray[Any]) -> NDArray[np.float32]:
    wave = wave * (LOUDNESS / (np.sqrt(float((wave**2).mean())) + 1e-9))
    energy = np.convolve(wave**2, np.full(800, 1 / 800), "same")
    voiced = energy > SILENT
    if voiced.sum() > audio.RATE // 10:
        wave = wave[voiced]
    picture = audio.mel(wave, window=400, hop=160)
    return audio.scaled(audio.fitted(picture, 160))
