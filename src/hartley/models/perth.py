"""Perth from its pack: a neural watermark of sound that says only that a recording is marked.

Trained by others (Resemble AI, MIT). An encoder adds to the log magnitudes below 2 kHz; a decoder
reads them at three speeds and answers with a score that is near 1 on marked recordings. There is
no key and no message. Weights are read from safetensors into plain torch layers; resampling and
short-time Fourier transforms, which the package takes from librosa and torchaudio, are scipy's and
torch's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra, UsageError
from hartley.data.packs import locate
from hartley.kit import audio
from hartley.kit.cache import cached, digest
from hartley.kit.sound.marks import zero_bit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.kit.marker import Marker

PACK = "perth"
RATE = 32_000
"""Samples a second that the networks read; recordings are resampled."""

TRANSFORM, HOP, BINS = 2048, 320, 128
"""Samples of a window and from window to window; bins below 2 kHz, which carry the mark."""

HIDDEN, WIDTH, DEPTH = 256, 7, 5
LEAST, HEADROOM = -180.0, 15.0
"""Decibels of the least magnitude, and those above 0 that still fit the scale of the networks."""

QUIET = 0.05
"""A window is marked and read if its summed log magnitudes exceed this share of the loudest's."""

SHORTEST = TRANSFORM
"""Samples at ``RATE`` below which there is not one whole window to read."""


@dataclass(frozen=True, slots=True, eq=False)
class Perth:
    """The mark.

    Attributes:
        encoder: (n, bins, windows) scaled log magnitudes → what to add to them.
        decoders: at 1.25, 1 and 0.75 times the windows: (n, bins, windows) → (n, 2, windows).
    """

    encoder: Any
    decoders: tuple[Any, Any, Any]

    def embed(self, wave: NDArray[Any], rate: int) -> NDArray[np.float32]:
        """Return the marked recording (samples,).

        Args:
            wave: (samples,) real numbers, one channel.
            rate: samples a second.

        Raises:
            UsageError: it is shorter than one window.
        """
        import torch

        with torch.no_grad():
            spectrum = _spectrum(_tensor(wave, rate))
            scaled, active = _scaled(spectrum)
            # The phase stays, so the change is a real factor for each entry of the spectrum.
            added = self.encoder(scaled[None, :BINS])[0] * active
            gain = torch.ones_like(scaled)
            gain[:BINS] = 10 ** (added * (HEADROOM - LEAST) / 20)
            # What is below the least magnitude is raised to it, as the scale of the networks does.
            floor = spectrum.abs().clamp(min=10 ** (LEAST / 20))
            spectrum = torch.polar(floor, torch.angle(spectrum)) * gain
            window = torch.hann_window(TRANSFORM)
            marked = torch.istft(spectrum, TRANSFORM, HOP, TRANSFORM, window).numpy()
        back = audio.resampled(marked, RATE, rate)
        out = np.asarray(wave, np.float32).copy()
        # The last windows of a recording may not fill a hop; what they leave stays as it is.
        out[: len(back)] = back[: len(out)]
        return out

    def score(self, wave: NDArray[Any], rate: int) -> float:
        """Return how marked a recording (samples,) is, in 0..1.

        Args:
            wave: (samples,) real numbers, one channel.
            rate: samples a second.

        Raises:
            UsageError: it is shorter than one window.
        """
        import torch

        with torch.no_grad():
            return float(self.read(_tensor(wave, rate)).clamp(0, 1))

    def read(self, wave: Any) -> Any:
        """Return the score of a tensor (samples,) at ``RATE``, before it is clipped to 0..1.

        It has a gradient with respect to the recording.
        """
        import torch
        from torch.nn.functional import interpolate

        scaled, active = _scaled(_spectrum(wave))
        low, count = scaled[None, :BINS], scaled.shape[1]
        means = []
        for decoder, share in zip(self.decoders, (1.25, 1.0, 0.75), strict=True):
            windows = int(count * share)
            mask, branch = active[None, None], low
            if windows != count:
                branch = interpolate(low, size=windows, mode="linear", align_corners=True)
                mask = interpolate(mask, size=windows, mode="nearest")
            means.append((decoder(branch) * mask).sum(2) / mask.sum(2))
        attention, marks = torch.cat(means).T
        return (torch.softmax(attention, 0) * marks).sum()


@cache
def perth() -> Perth:
    """Return the mark of the pack.

    Raises:
        MissingPack: the pack ``perth`` was not fetched.
        MissingExtra: torch is not installed.
    """
    home = locate(PACK)
    try:
        from safetensors.torch import load_file
        from torch import nn
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    (path,) = sorted(home.rglob("*.safetensors"))
    state = load_file(path)

    def network(prefix: str, answers: int) -> Any:
        layers: list[Any] = [nn.Conv1d(BINS, HIDDEN, 1), nn.LeakyReLU()]
        for _ in range(DEPTH):
            layers += [nn.Conv1d(HIDDEN, HIDDEN, WIDTH, padding=WIDTH // 2), nn.LeakyReLU()]
        layers.append(nn.Conv1d(HIDDEN, answers, 1))
        for index, layer in enumerate(layers[::2]):
            name = f"{prefix}.{index}.conv."
            layer.load_state_dict({k: state[name + k] for k in ("weight", "bias")})
        return nn.Sequential(*layers).requires_grad_(False).eval()

    return Perth(
        network("encoder.layers", BINS),
        (
            network("decoder.slow_layers", 2),
            network("decoder.normal_layers", 2),
            network("decoder.fast_layers", 2),
        ),
    )


def perth_mark(unmarked: NDArray[Any]) -> Marker:
    """Return Perth as an owner's mark of presence.

    Args:
        unmarked: (n, samples) recordings at ``kit.audio.RATE`` that are like those to be tested;
            what the network makes of them is stored.

    Raises:
        MissingPack: the pack ``perth`` was not fetched.
        MissingExtra: torch is not installed.
    """
    network = perth()

    def score(wave: NDArray[Any]) -> float:
        import torch

        with torch.no_grad():
            # Not clipped: most marked recordings and some others are above 1.
            return float(network.read(_tensor(wave, audio.RATE)))

    scores = cached(
        "perth",
        ["unmarked", 1, digest(unmarked)],
        lambda: {"scores": np.array([score(wave) for wave in unmarked])},
    )["scores"]
    return zero_bit(
        "perth",
        lambda wave: network.embed(wave, audio.RATE),
        score,
        scores,
        -(-SHORTEST * audio.RATE // RATE),
    )


def _tensor(wave: NDArray[Any], rate: int) -> Any:
    import torch

    samples = audio.resampled(np.asarray(wave, np.float32), rate, RATE)
    if len(samples) < SHORTEST:
        raise UsageError(
            f"a recording must have at least {-(-SHORTEST * rate // RATE)} samples at {rate} a "
            f"second for Perth, got {len(wave)}"
        )
    return torch.from_numpy(samples)


def _spectrum(wave: Any) -> Any:
    import torch

    window = torch.hann_window(TRANSFORM)
    return torch.stft(wave, TRANSFORM, HOP, TRANSFORM, window, return_complex=True)


def _scaled(spectrum: Any) -> tuple[Any, Any]:
    """Return log magnitudes (bins, windows) on the networks' scale, and which windows count."""
    import torch

    decibels = 20 * torch.log10(spectrum.abs().clamp(min=10 ** (LEAST / 20)))
    scaled = (decibels - LEAST) / (HEADROOM - LEAST)
    loudness = scaled.detach().sum(0)
    return scaled, (loudness > QUIET * loudness.max()).float()
