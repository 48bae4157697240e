"""Regeneration: encode the picture, add noise to the code, and decode what a denoiser makes of it.

Zhao et al. (arXiv:2306.01953) prove that noise in the latent space removes any invisible mark and
regenerate with a VAE or a diffusion model. Here the autoencoder is linear: principal components of
8 × 8 colour patches learned from the attacker's own photographs; the denoiser shrinks each
component by James and Stein's rule and averages four shifted grids of patches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit.vision import image, patches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.VISION,),
    paper="arXiv:2306.01953",
    sweep={"shrinkage": (1.0, 16.0)},
)
def regeneration(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    shrinkage: Annotated[float, Range(0)] = 4.0,
    passes: Annotated[int, Range(1)] = 3,
) -> Outcome:
    """Regenerate the picture with as much latent noise as the quality floor allows.

    Args:
        shrinkage: how hard the denoiser shrinks, in variances of the noise.
        passes: whole regenerations tried, each nearer to the floor; the last good one is sent.
    """
    marked = view.data.x[0].astype(np.float32)
    floor = view.brief.quality_floor
    own = view.brief.public.x if len(view.brief.public) else view.data.x
    basis, centre = _autoencoder(own)
    code = (patches.overlapping(marked) - centre) @ basis
    noise = rng.standard_normal(code.shape, dtype=np.float32)
    # One grid alone errs more than the mean of four: a level that it can bear is safe to start at.
    level = _bearable(code[: len(code) // 4], noise[: len(code) // 4], shrinkage, floor)
    kept = marked
    for _ in range(passes):
        clean = _denoise(code + np.float32(level) * noise, level, shrinkage)
        made = image.eight_bits(patches.assembled(clean @ basis.T + centre, marked.shape))
        spare = image.psnr(made, marked) - floor
        if spare >= 0:
            kept = made
        # The error grows with the level's square: aim a hair inside the floor.
        level *= 10 ** ((spare - 0.05) / 20)
    return Outcome(asset=Data("regenerated", Modality.VISION, kept[None], role="cleaned image"))


def _denoise(heard: NDArray[Any], level: float, shrinkage: float) -> NDArray[Any]:
    """James and Stein's positive-part rule on every component."""
    power = np.maximum(heard * heard, np.float32(1e-12))
    keep = np.maximum(np.float32(0), 1 - np.float32(shrinkage * level**2) / power)
    out: NDArray[Any] = heard * keep
    return out


def _bearable(code: NDArray[Any], noise: NDArray[Any], shrinkage: float, floor: float) -> float:
    """The largest noise level (of 8 bisections) whose error in the code stays above the floor."""
    allowed, low, high = 10 ** (-floor / 10), 0.0, 0.25
    for _ in range(8):
        level = (low + high) / 2
        gap = _denoise(code + np.float32(level) * noise, level, shrinkage) - code
        low, high = (level, high) if float(np.mean(gap * gap)) <= allowed else (low, level)
    return low


def _autoencoder(photos: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Principal directions (192, 192) and the mean (192,) of the patches of photographs."""
    rows = np.concatenate([patches.grid(photo.astype(np.float32)) for photo in photos])
    rows = rows[:: max(1, len(rows) // 2048)]
    centre = rows.mean(0)
    spread = rows - centre
    _, basis = np.linalg.eigh((spread.T @ spread).astype(np.float64))
    return basis.astype(np.float32), centre
