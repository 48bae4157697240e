"""Albums of spoken sounds under one key, for the decryption game."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Form, Modality
from hartley.games.decryption.albums import CANDIDATES, albums
from hartley.games.decryption.sound_scramblers import BANDS, HOP, band_scramble, energies, waves

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.kit.protection import PlantedItems

FRAMES = 61
"""Frames of a sound less one, of 256 samples each: 0.98 seconds at 16 kHz."""

SEGMENT = 4
"""Frames over which the matcher compares energies."""


def of_recordings(candidates: int = CANDIDATES) -> PlantedItems:
    """Return albums of a second of speech each, from the pack ``klettres``.

    The attacker's sounds are of other languages, and other speakers, than the secret ones.

    Args:
        candidates: of a place.

    Raises:
        MissingPack: the pack was not fetched.
    """
    from hartley.data.audio import recordings

    speech = recordings(1.0)
    x, odd = speech.x[:, : FRAMES * HOP], np.asarray(speech.y) % 2 == 1
    return _voices(x[odd], x[~odd], candidates)


def of_hisses(sounds: int = 240) -> PlantedItems:
    """Return albums of coloured noise; bands swell on their own, each lower than the one below.

    Args:
        sounds: how many, half of which are the attacker's.
    """
    rng = np.random.default_rng(5)
    swell = rng.standard_normal((sounds, FRAMES // 8 + 2, BANDS)).repeat(8, axis=1)
    level = swell[:, : FRAMES + 1].repeat(HOP // BANDS, axis=2) - np.arange(HOP) / 32
    x = waves(np.exp(level) * rng.standard_normal(level.shape))
    return _voices(x[::2], x[1::2], CANDIDATES)


def _voices(public: NDArray[Any], pool: NDArray[Any], candidates: int) -> PlantedItems:
    return albums(
        "sound",
        Data("sounds", Modality.AUDIO, public, role="public", form=Form.ARRAY),
        pool,
        band_scramble(),
        matched=matched,
        figures=likeness,
        candidates=candidates,
    )


def matched(rebuilt: NDArray[Any], candidates: NDArray[Any]) -> NDArray[np.int64]:
    """Return the candidate that each sound is most like: (m,).

    Energies by band and time are correlated, without what all candidates have in common, and
    without the loudness of each moment, which scrambling leaves as it is.
    """

    def shape(sounds: NDArray[Any]) -> NDArray[Any]:
        logs = energies(sounds)[..., :-1, :]
        length = logs.shape[-2] // SEGMENT * SEGMENT
        cut = logs[..., :length, :].reshape(*logs.shape[:-2], -1, SEGMENT, logs.shape[-1]).mean(-2)
        return np.asarray(cut - cut.mean(-1, keepdims=True))

    true, given = shape(candidates), shape(rebuilt)
    common = true.mean(1)
    true, given = true - common[:, None], given - common
    product = np.einsum("mtb,mntb->mn", given, true)
    return np.asarray((product / np.sqrt((true**2).sum((2, 3)) + 1e-9)).argmax(1), dtype=np.int64)


def likeness(true: NDArray[Any], rebuilt: NDArray[Any]) -> dict[str, float]:
    """Return how like the rebuilt sounds (m, samples) are to the true ones.

    Returns:
        ``psnr``, against a full scale of 1; ``solved``, the share with less than a thousandth of
        the energy wrong.
    """
    error = ((np.asarray(rebuilt, np.float64) - true) ** 2).mean(1)
    return {
        "psnr": float(np.minimum(100, -10 * np.log10(error + 1e-12)).mean()),
        "solved": float((error < 1e-3 * (np.asarray(true, np.float64) ** 2).mean(1)).mean()),
    }
