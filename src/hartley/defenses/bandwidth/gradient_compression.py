"""Gradient compression: a client sends only the largest entries of its update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.games.inversion.gradient_inversion import protected

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("gradient_inversion",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1712.01887",
    strongest={"keep": 0.01},
    keeps_proof=True,
    requires=("federated_step",),
)
def gradient_compression(
    scene: Scene, rng: Rng, *, keep: Annotated[float, Range(0, 1, open_low=True)] = 0.1
) -> Scene:
    """Set all but the largest entries of each array of an update to 0.

    Training hardly needs the small entries, and an attacker may need them more (arXiv:1906.08935
    recommends this defense). It proves no bound: the entries that are sent are exact. The deployed
    model does not change; the utility ``federated_accuracy`` shows the cost.

    Args:
        keep: share of the entries of each array that is sent.
    """
    del rng
    return protected(scene, keep=keep)
