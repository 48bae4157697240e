"""Regeneration: encode the picture, add noise to the code, denoise it, and decode it.

Zhao et al. (arXiv:2306.01953) prove that noise in the latent space removes any invisible watermark,
and regenerate with a VAE or a diffusion model. Here, by ``components``, the autoencoder is linear:
principal components of 8 × 8 colour patches of the attacker's photographs. The denoiser shrinks
each component by the James–Stein rule and averages four shifted grids of patches. By ``network``
the noise is on the pixels, and a network that learned on the attacker's photographs takes it out.
By ``vae`` a variational autoencoder learned on them, and on pictures of dead leaves: the noise is
that of its posterior, and what a decoded pixel may be off says how much it keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.picture_components import (
    autoencoder,
    denoise,
    largest_level,
)
from hartley.attacks.data_to_data.watermark._shared.picture_denoiser import LOUDEST, denoiser
from hartley.attacks.data_to_data.watermark._shared.picture_vae import latent_noise, redrawer
from hartley.attacks.data_to_data.watermark._shared.pictures import published, strongest
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
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
    light={"training": 2},
    sweep={"shrinkage": (1.0, 16.0)},
)
def regeneration(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    by: Literal["components", "network", "vae"] = "components",
    shrinkage: Annotated[float, Range(0)] = 4.0,
    passes: Annotated[int, Range(1)] = 3,
    training: Annotated[int, Range(1), Stronger.MORE] = 1500,
    steps: Annotated[int, Range(1), Stronger.MORE] = 7,
) -> Outcome:
    """Encode the picture, add as much noise as the quality floor allows, denoise and decode it.

    Args:
        by: what encodes and denoises.
        shrinkage: strength of the denoiser of components, in variances of the noise.
        passes: regenerations by components, each nearer to the floor; the last above it counts.
        training: steps of the training, of the network or of the autoencoder.
        steps: bisections of the level of their noise.

    Raises:
        MissingExtra: torch is not installed, which both need.
    """
    if by != "components":
        return _learned(view, rng, by, training, steps)
    marked = view.data.x[0].astype(np.float32)
    floor = view.brief.floor.get("psnr", 0.0)
    photos = view.brief.public.x if len(view.brief.public) else view.data.x
    basis, centre = autoencoder(photos)
    code = (patches.overlapping(marked) - centre) @ basis
    noise = rng.standard_normal(code.shape, dtype=np.float32)
    # The error of one grid is larger than that of the mean of four, so its level is a safe start.
    level = largest_level(code[: len(code) // 4], noise[: len(code) // 4], shrinkage, floor)
    best = marked
    for _ in range(passes):
        denoised = denoise(code + np.float32(level) * noise, level, shrinkage)
        regenerated = image.eight_bits(patches.assembled(denoised @ basis.T + centre, marked.shape))
        margin = image.psnr(regenerated, marked) - floor
        if margin >= 0 and view.brief.holds(regenerated):
            best = regenerated
        # The error is proportional to the squared level; aim slightly above the floor.
        level *= 10 ** ((margin - 0.05) / 20)
    return published(best, "regenerated")


def _learned(view: View[WatermarkBrief], rng: Rng, by: str, training: int, steps: int) -> Outcome:
    """Add noise to pixels or to a code, and take it out, as much as the floor allows."""
    marked = view.data.x[0].astype(np.float32)
    photos = list(view.brief.public.x) if len(view.brief.public) else [marked]
    if by == "vae":
        redraw = redrawer(photos, training, latent_noise(marked.shape, rng))
    else:
        cleaned = denoiser(photos, training)
        noise = rng.standard_normal(marked.shape, dtype=np.float32)

    def change(strength: float) -> NDArray[Any]:
        if by == "vae":
            return redraw(marked, strength)
        return cleaned(marked + np.float32(LOUDEST * strength) * noise, LOUDEST * strength)

    return published(strongest(change, view.brief.holds, marked, steps), "regenerated")
