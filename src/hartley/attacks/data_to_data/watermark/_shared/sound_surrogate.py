"""A surrogate of an owner's detector of marked recordings, and a descent of what it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra
from hartley.kit.audio import RATE, resampled
from hartley.kit.eager_optimizers import eager
from hartley.kit.sound.transforms import fitted

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRANSFORM, HOP = 512, 128
HIDDEN, CLIPS, CUT = 48, 12, RATE
"""Channels of the surrogate; recordings of a step of its training, half of each kind, and the
samples of each that the step looks at."""


def trained(
    marked: NDArray[Any], unmarked: NDArray[Any], training: int, seed: int
) -> Callable[[Any], Any]:
    """Return a network (samples,) → how marked, trained on recordings of both kinds.

    Raises:
        MissingExtra: torch is not installed.
    """
    try:
        import torch
        from torch import nn
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    generator = torch.Generator().manual_seed(seed)
    bins = TRANSFORM // 2 + 1
    network = nn.Sequential(
        nn.Conv1d(bins, HIDDEN, 5, padding=2), nn.LeakyReLU(),
        nn.Conv1d(HIDDEN, HIDDEN, 5, padding=2), nn.LeakyReLU(), nn.Conv1d(HIDDEN, 1, 1),
    )  # fmt: skip
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Conv1d):
                size = layer.weight[0].numel()
                layer.weight.copy_(
                    torch.randn(layer.weight.shape, generator=generator) * (2 / size) ** 0.5
                )
                layer.bias.zero_()

    def logits(waves: Any) -> Any:
        return network(_log_spectra(waves)).mean((1, 2))

    kinds = [[torch.from_numpy(np.array(w, np.float32)) for w in each if len(w) >= TRANSFORM]
             for each in (unmarked, marked)]  # fmt: skip
    if not all(kinds):
        return lambda wave: logits(wave[None])[0]
    size = min(CUT, *(len(wave) for each in kinds for wave in each))
    optimizer = eager("Adam")(list(network.parameters()), lr=1e-3)
    truth = torch.cat([torch.zeros(CLIPS // 2), torch.ones(CLIPS // 2)])
    for _ in range(training):
        waves = []
        for each in (kinds[k] for k in (0, 1) for _ in range(CLIPS // 2)):
            wave = each[int(torch.randint(len(each), (), generator=generator))]
            start = int(torch.randint(len(wave) - size + 1, (), generator=generator))
            waves.append(wave[start : start + size])
        loss = nn.functional.binary_cross_entropy_with_logits(logits(torch.stack(waves)), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.requires_grad_(False)
    return lambda wave: logits(wave[None])[0]


def _log_spectra(waves: Any) -> Any:
    """Return log spectra (n, bins, windows) of waves (n, samples), each without its mean."""
    import torch

    window = torch.hann_window(TRANSFORM)
    spectrum = torch.stft(waves, TRANSFORM, HOP, TRANSFORM, window, return_complex=True)
    logs = torch.log(spectrum.abs() ** 2 + 1e-6)
    return (logs - logs.mean((1, 2), keepdim=True)) / 3


def descended(
    marked: NDArray[Any], read: Callable[[Any], Any], rate: int, descents: int, reach: float
) -> NDArray[np.float32]:
    """Return a change (samples,) that lowers what a surrogate reads, of a signal-to-noise ratio."""
    import torch

    start = torch.from_numpy(resampled(marked, RATE, rate))
    size = float(start.square().sum()) ** 0.5 * 10 ** (-reach / 20)
    change = torch.zeros_like(start, requires_grad=True)
    # A recording's own loudness hides a change, so that quiet places change less.
    envelope = torch.nn.functional.avg_pool1d(start.abs()[None, None], 401, 1, 200)[0, 0]
    for _ in range(descents):
        (slope,) = torch.autograd.grad(read(start + change), change)
        step = slope * envelope
        norm = float(step.square().sum()) ** 0.5
        if not np.isfinite(norm) or norm == 0:
            break
        with torch.no_grad():
            change -= step * (2 * size / descents / norm)
            change *= min(1.0, size / (float(change.square().sum()) ** 0.5 + 1e-20))
    return fitted(resampled(change.detach().numpy(), rate, RATE), len(marked))
