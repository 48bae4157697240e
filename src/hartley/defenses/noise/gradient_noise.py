"""Gradient noise: clip the update that a client sends, and add Gaussian noise to every entry."""

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
    """Clip each update to a norm and blur it before it leaves the client.

    One update is then 2/noise²-zCDP, whatever its records are, and that bounds what anybody can
    read from it. The bound says little at a noise that still trains one client at a time; the cost
    shows in the utility ``federated_accuracy``. The deployed model is left as it is.

    Args:
        noise: standard deviation on every entry, in units of ``clip``.
        clip: largest norm of an update.
    """
    del rng
    return protected(scene, noise=noise, clip=clip)
