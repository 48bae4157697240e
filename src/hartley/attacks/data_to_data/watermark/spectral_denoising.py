"""Spectral denoising: a network that learnt what clean recordings look like redraws a marked one.

Regeneration (arXiv:2306.01953) for sounds: noise of the size of a mark is added to the log spectra
of the attacker's own recordings, and a network learns to take it out. What it takes out of a marked
recording is the mark, as far as it looks like noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.recordings import published
from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit.cache import cached, digest
from hartley.kit.denoiser import Denoiser, trained_denoiser
from hartley.kit.sound import tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CELL = (6, 4)
"""Windows and bins whose log magnitudes are averaged: 48 ms and 125 Hz."""

AROUND = 7
"""Cells to a side of a patch that the network looks at; it redraws the one in the middle."""

UNIT, SPAN = 10.0, 200.0
"""Decibels: the size of a spectrum's own changes, and more than any bin is off the mean."""

FIELDS = ("into", "bias", "out", "last", "scale", "low", "high")


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.AUDIO,),
    paper="arXiv:2306.01953",
    light={"epochs": 1, "patches": 512},
    sweep={"noise": (1.5, 4.0)},
)
def spectral_denoising(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    noise: Annotated[float, Range(0, 20, open_low=True)] = 2.0,
    most: Annotated[float, Range(0, open_low=True)] = 4.0,
    patches: Annotated[int, Range(1), Stronger.MORE] = 30_000,
    width: Annotated[int, Range(1)] = 64,
    epochs: Annotated[int, Range(0), Stronger.MORE] = 6,
    steps: Annotated[int, Range(1), Stronger.MORE] = 6,
) -> Outcome:
    """Take the noise out of the log spectrum, several times over if the quality floor allows.

    Args:
        noise: standard deviation and largest change of a bin in training, in dB.
        most: how many times what the network takes for noise is taken out, at most.
        patches: of the attacker's recordings, for training.
        width: of the network's hidden layer.
        epochs: passes over the patches.
        steps: bisections of that factor.
    """
    del rng  # the network's seed is fixed, so that it is trained once for all rounds
    marked = view.data.x[0]
    clean = view.brief.public.x if len(view.brief.public) else view.data.x
    recipe = ["log spectra", 2, digest(list(clean)), noise, patches, width, epochs]

    def train() -> dict[str, NDArray[Any]]:
        network = _train(clean, noise, patches, width, epochs)
        return {name: getattr(network, name) for name in FIELDS}

    network = Denoiser(**cached("sound-denoiser", recipe, train))
    spectrum = tiles.spectrum(marked)
    cells = _cells(spectrum)
    middle = AROUND // 2
    redrawn = network(_patches(cells))[:, middle, middle].reshape(cells.shape)
    correction = np.zeros(spectrum.shape)
    whole = np.kron(redrawn - cells, np.ones(CELL))
    correction[: len(whole), : whole.shape[1]] = whole

    def change(strength: float) -> NDArray[Any]:
        gain = 10 ** (np.clip(most * strength * correction, -20, 20) / 20)
        return tiles.wave_of(spectrum * gain, len(marked))

    return published(strongest(change, view.brief.holds, marked, steps), "denoised")


def _train(clean: NDArray[Any], noise: float, patches: int, width: int, epochs: int) -> Denoiser:
    """Return a network that was trained on patches which a fixed seed draws from recordings."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([_patches(_cells(tiles.spectrum(wave))) for wave in clean])
    rows = rows[rng.permutation(len(rows))[:patches]]
    return trained_denoiser(
        rows, sigma=noise / UNIT, epsilon=noise / UNIT, width=width, epochs=epochs,
        scale=UNIT, low=-SPAN, high=SPAN, seed=0,
    )  # fmt: skip


def _cells(spectrum: NDArray[Any]) -> NDArray[np.float32]:
    """Return log magnitudes of cells in dB, above their mean, as the network's weights begin."""
    logs = 20 * np.log10(np.maximum(np.abs(spectrum), 1e-4))
    height, width = (size // cell for size, cell in zip(logs.shape, CELL, strict=True))
    blocks = logs[: height * CELL[0], : width * CELL[1]].reshape(height, CELL[0], width, CELL[1])
    cells = blocks.mean((1, 3))
    return np.asarray(cells - cells.mean(), np.float32)


def _patches(cells: NDArray[Any]) -> NDArray[np.float32]:
    """Return each cell with those around it, (cells, AROUND, AROUND)."""
    padded = np.pad(cells, AROUND // 2, mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, (AROUND, AROUND))
    return np.asarray(views.reshape(-1, AROUND, AROUND), np.float32)
