"""Gradient noise: clip a client's update and add Gaussian noise to every entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.games.inversion.gradient_inversion import protected

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("gradient_inversion",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1710.06963",
    strongest={"noise": 10.0},
    keeps_proof=True,
    requires=("federated_step",),
)
def gradient_noise(
    scene: Scene,
    rng: Rng,
    *,
    noise: Annotated[float, Range(0)] = 0.02,
    clip: Annotated[float, Range(0, open_low=True)] = 1.0,
) -> Scene:
    """Clip the norm of each update and add Gaussian noise before the client sends it.

    One update is then 2/noise²-zCDP for any records, which bounds what an attacker can read from
    it. The bound is loose at a noise with which single clients can still train. The utility
    ``federated_accuracy`` shows the cost; the deployed model does not change.

    Args:
        noise: standard deviation of the noise on every entry, in units of ``clip``.
        clip: largest norm of an update.
    """
    del rng
    return protected(scene, noise=noise, clip=clip)
