"""A recogniser of voices as a judge of recordings: does it name the same voice as before?

The net of the scene ``keywords``, trained on one-second windows of recordings that nobody marks.
The language that it names is, for most of them, one speaker. Most of the windows that it learns
from are coloured, band-limited or noisy, so that a voice on the telephone is the same voice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data
from hartley.data import audio
from hartley.kit.audio import RATE
from hartley.kit.cache import cached, digest
from hartley.kit.fleet import Fleet, Training, train
from hartley.kit.item_quality import Figures, ItemQuality
from hartley.kit.nets import conv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Recogniser = Callable[[NDArray[Any]], NDArray[Any]]

VERSION, SHAPE = 1, (1, 40, 101)
"""Of what is stored, and of a record."""

EPOCHS, BATCH, SEED = 10, 32, 0
"""Of the training."""

COPIES = 4
"""Times that a window is in the training, all but one of them changed."""

COLOUR, QUIETEST, LOUDEST = 6.0, 40.0, 5.0
"""Decibels: spread of the gains of bands; ratios of signal to noise, from and to."""

LOWEST = 24
"""Bands, of 40, that the narrowest channel passes: up to 3 kHz."""


def voice_recogniser(clean: Data) -> Recogniser:
    """Return what a recogniser says: records (n, 1, 40, 101) → shares (n, voices) of each voice.

    Args:
        clean: recordings (n, samples) without marks, and their voices.

    Raises:
        MissingExtra: torch is not installed.
    """
    net = conv(SHAPE, len(clean.facts["names"]), channels=(16, 32, 32, 32), hidden=(64,))
    training = Training(epochs=EPOCHS, batch=BATCH, lr=3e-3, anneal=True)

    def fit() -> dict[str, NDArray[Any]]:
        seconds = _seconds(clean.x[0])
        energies = np.concatenate([_energies(wave, seconds) for wave in clean.x])
        rng = np.random.default_rng(SEED)
        copies = [energies, *(_changed(energies, rng) for _ in range(COPIES - 1))]
        records = audio.keyword_records(np.concatenate(copies))[:, None]
        y = np.tile(np.repeat(clean.labels, seconds), COPIES)
        include = np.ones((1, len(y)), dtype=bool)
        return dict(train(net, records, y, include, training, seed=SEED).weights)

    recipe = [VERSION, net.recipe, training.recipe, digest([clean.x, clean.labels])]
    fleet = Fleet(net, cached("voice-recogniser", recipe, fit))

    def shares(records: NDArray[Any]) -> NDArray[Any]:
        logits = fleet.query(records)[0].astype(np.float64)
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))

    return shares


def windows(wave: NDArray[Any], count: int) -> NDArray[np.float32]:
    """Return records (count, 1, 40, 101) of windows of a second, evenly over a recording."""
    return audio.keyword_records(_energies(wave, count))[:, None]


def by_voice(quality: ItemQuality, recogniser: Recogniser, least: float) -> ItemQuality:
    """Return floors of recordings that also ask a recogniser.

    The figure ``recognised`` is, as a mean over windows of a second, how much the shares that it
    gives to the voices have in common before and after (1 minus their total variation): the chance
    that it names the same voice twice, if it can.

    Args:
        quality: floors and figures of recordings.
        recogniser: records (n, 1, 40, 101) → shares (n, voices).
        least: least of the figure; 0 sets none.
    """

    @lru_cache(maxsize=4)
    def shares_of(wave: bytes, count: int) -> NDArray[Any]:
        return recogniser(windows(np.frombuffer(wave, np.float32), count))

    def figures(candidate: NDArray[Any], published: NDArray[Any]) -> Figures:
        count = _seconds(published)
        before, after = (
            shares_of(np.asarray(wave, np.float32).tobytes(), count)
            for wave in (published, candidate)
        )
        common = float(np.minimum(before, after).sum(1).mean())
        return {**quality.figures(candidate, published), "recognised": min(1.0, common)}

    floors = {**quality.least, "recognised": least} if least else quality.least
    return replace(quality, figures=figures, least=floors)


def _seconds(wave: NDArray[Any]) -> int:
    return max(1, round(len(wave) / RATE))


def _energies(wave: NDArray[Any], count: int) -> NDArray[np.float32]:
    """Return mel energies (count, 40, 101) of windows of a second, evenly over a recording."""
    padded = np.zeros(max(len(wave), RATE), np.float32)
    padded[: len(wave)] = wave
    starts = np.linspace(0, len(padded) - RATE, count).astype(int)
    return np.stack([audio.keyword_energies(padded[at : at + RATE]) for at in starts])


def _changed(energies: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return mel energies (n, 40, 101) behind channels of random colour, width and noise."""
    n, bands, _ = energies.shape
    gains = rng.normal(0, COLOUR, (n, 8))
    curve = np.stack([np.interp(np.linspace(0, 7, bands), np.arange(8), row) for row in gains])
    passed = np.arange(bands) < rng.integers(LOWEST, 2 * bands - LOWEST, (n, 1))
    out = energies * (10 ** (curve / 10) * passed)[:, :, None]
    ratio = 10 ** (-rng.uniform(LOUDEST, QUIETEST, (n, 1, 1)) / 10)
    # White noise: on the mel scale of equal areas it is as loud in every band.
    noise = ratio * out.mean((1, 2), keepdims=True) * rng.chisquare(8, out.shape) / 8
    return np.asarray(out + noise * (rng.random((n, 1, 1)) < 0.5))
