"""Marks of recordings as owners use them: a message, its exact test, and bad inputs.

A recording is (samples,) real numbers in −1..1 at ``kit.audio.RATE``, one channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality
from hartley.core.errors import UsageError
from hartley.kit.audio import RATE
from hartley.kit.marker import FALSE_ALARMS, Detection, Marker
from hartley.kit.sound.echo_mark import EchoMark
from hartley.kit.sound.keyed_pattern import Aligned, KeyedPattern
from hartley.kit.sound.spread_mark import SpreadMark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

BITS = 16
"""Usual length of a message; five seconds hold it."""

SHORTEST = 0.8
"""Seconds below which a recording is not marked or read."""

TAKEN = -20.0
"""A message is taken where log2 of the pilots' p-value is at most this."""


def spread_mark(strength: float = 2.0) -> Marker:
    """Spread-spectrum in the log energies of time-frequency tiles (``kit.sound.spread_mark``).

    Args:
        strength: most that a tile is changed, in dB (twice as much where little carries sound).
    """
    scheme = SpreadMark(strength=strength)
    return _marker("spread_tiles", scheme, scheme.size, (("strength", strength),))


def echo_mark(strength: float = 0.2) -> Marker:
    """A thousand faint echoes with signs of the key (``kit.sound.echo_mark``).

    Args:
        strength: size of all echoes together, as a share of the sound.
    """
    scheme = EchoMark(strength=strength)
    return _marker("spread_echo", scheme, scheme.lags, (("strength", strength),))


def as_recording(item: Any) -> NDArray[np.float32]:
    """Return an item as a recording.

    Raises:
        UsageError: it is not one: several channels, integers, NaN, or nothing at all.
    """
    wave = np.asarray(item)
    if wave.ndim != 1 or wave.dtype.kind != "f":
        raise UsageError(
            f"a recording must be real numbers (samples,) in -1..1, got {wave.dtype} of shape "
            f"{wave.shape}; average its channels, and divide whole numbers by their largest"
        )
    if not np.isfinite(wave).all():
        raise UsageError("a recording must be finite, got NaN or infinity")
    return wave.astype(np.float32)


def too_short(wave: NDArray[Any]) -> str:
    """Return why a recording cannot be tested, or an empty text."""
    if len(wave) < SHORTEST * RATE:
        return f"undecided at {len(wave)} samples: at least {round(SHORTEST * RATE)} are needed"
    if not np.abs(wave).max() > 0:
        return f"undecided at {len(wave)} samples: all are silent"
    return ""


def _marker(
    name: str, scheme: SpreadMark | EchoMark, size: int, facts: tuple[tuple[str, Any], ...]
) -> Marker:
    def embed(item: Any, message: NDArray[Any], key: int, rng: Rng) -> NDArray[np.float32]:
        del rng
        wave = as_recording(item)
        return wave if too_short(wave) else stored(scheme.embed(wave, message, key))

    def fits(item: Any, m: int) -> bool:
        wave = np.asarray(item)
        # Three features for each bit of the code are the least that add anything up.
        features = size - size // 3
        return len(wave) >= SHORTEST * RATE and 3 * KeyedPattern.of(0, size, m).count <= features

    # Readings do not look at the key, and one recording is often read under several keys, or for
    # its pilots and for its message.
    reader = _Reader(
        scheme,
        size,
        lru_cache(maxsize=2)(lambda wave: scheme.readings(np.frombuffer(wave, np.float32))),
    )
    return Marker(
        name,
        embed,
        reader.soft,
        facts,
        fits,
        modality=Modality.AUDIO,
        bits=BITS,
        detect=reader.detect,
        test=reader.test,
        accept=reader.accept,
        chance=_chance,
        plain=_plain,
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """The owner's reader.

    Attributes:
        scheme: of the mark.
        size: features of a pattern.
        readings: bytes of a recording → what it says at all places, whatever the key.
    """

    scheme: SpreadMark | EchoMark
    size: int
    readings: Callable[[bytes], NDArray[np.float64]]

    def soft(self, item: Any, key: int, m: int) -> NDArray[np.float64]:
        wave = as_recording(item)
        if too_short(wave):
            return np.full(m, np.nan)
        pattern = KeyedPattern.of(key, self.size, m)
        return pattern.soft(self._aligned(wave, pattern.pilots).features, m)

    def detect(self, item: Any, key: int) -> Detection:
        return self._tested(item, KeyedPattern.of(key, self.size, 0).pilots)

    def test(self, item: Any, key: int, message: NDArray[Any]) -> Detection:
        return self._tested(item, KeyedPattern.of(key, self.size, len(message)).wanted(message))

    def accept(self, item: Any, key: int, m: int) -> NDArray[np.int64] | None:
        if self.detect(item, key).log2_p > TAKEN:
            return None
        return (self.soft(item, key, m) > 0).astype(np.int64)

    def _tested(self, item: Any, signs: NDArray[Any]) -> Detection:
        wave = as_recording(item)
        if reason := too_short(wave):
            return Detection(0.0, 0.0, 0, reason)
        best = self._aligned(wave, signs)
        if best.least > math.log2(FALSE_ALARMS):
            reason = f"undecided at {len(wave)} samples: too few of them carry sound"
            return Detection(0.0, 0.0, best.units, reason)
        return Detection(-best.log2_p, best.log2_p, best.units, least_log2_p=best.least)

    def _aligned(self, wave: NDArray[Any], signs: NDArray[Any]) -> Aligned:
        return self.scheme.aligned(self.readings(wave.tobytes()), signs)


def stored(wave: NDArray[Any]) -> NDArray[np.float32]:
    """Return a recording as a file of 16 bits holds it, in −1..1."""
    levels = np.round(np.clip(np.asarray(wave, np.float64), -1, 1) * 32767)
    return np.asarray(levels / 32767, np.float32)


def _plain(item: Any, rng: Rng) -> NDArray[np.float32]:
    del rng
    return stored(as_recording(item))


def _chance(m: int) -> float:
    """Most that ``accept`` takes a recording without the mark, over fresh keys, at any length."""
    del m
    return float(2.0**TAKEN)


def zero_bit(
    name: str,
    embed: Callable[[NDArray[Any]], NDArray[Any]],
    score: Callable[[NDArray[Any]], float],
    unmarked: NDArray[Any],
    shortest: int,
) -> Marker:
    """Return a mark without key or message, tested by rank among unmarked recordings.

    The p-value is exact where a suspect unmarked recording is as likely in any place among them
    (conformal; doi:10.1007/b106715): (1 + those that score as high)/(1 + n).

    Args:
        name: of the mark.
        embed: recording → marked one.
        score: recording → how marked it is.
        unmarked: (n,) scores of n unmarked recordings; a test at 1 in 1,000 needs 999.
        shortest: samples of the shortest recording that can be read.
    """
    ranked = np.sort(unmarked)

    def marked(item: Any, message: NDArray[Any], key: int, rng: Rng) -> NDArray[np.float32]:
        del message, key, rng
        return stored(embed(as_recording(item)))

    def detect(item: Any, key: int) -> Detection:
        del key
        wave = as_recording(item)
        if len(wave) < shortest:
            reason = f"undecided at {len(wave)} samples: at least {shortest} are needed"
            return Detection(0.0, 0.0, 0, reason)
        if not np.abs(wave).max() > 0:
            return Detection(0.0, 0.0, 0, f"undecided at {len(wave)} samples: all are silent")
        if (len(ranked) + 1) * FALSE_ALARMS < 1:
            reason = f"undecided: {len(ranked)} unmarked recordings are too few for a test"
            return Detection(0.0, 0.0, 0, reason)
        value = score(wave)
        above = len(ranked) - int(np.searchsorted(ranked, value, "left"))
        log2_p, least = (math.log2((1 + k) / (1 + len(ranked))) for k in (above, 0))
        return Detection(value, log2_p, len(ranked), least_log2_p=least)

    return Marker(
        name,
        marked,
        modality=Modality.AUDIO,
        bits=0,
        detect=detect,
        plain=_plain,
        fits=lambda item, m: m == 0 and len(item) >= shortest,
    )
