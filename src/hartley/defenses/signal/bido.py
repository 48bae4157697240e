"""BiDO: train hidden layers to depend little on the record and much on its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.core.errors import RunError
from hartley.kit.fleet import ForwardPass, Objective
from hartley.models.training_defense import owner_pipeline, trained_for

if TYPE_CHECKING:
    import torch

    from hartley.core.parts import Rng

WIDTH = 0.5
"""Width of the Gaussian kernels, in units of the square root of the dimension. The paper uses 5,
for standardised records. On records in 0..1 kernels of that width are so flat that no price has an
effect."""


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("membership", "class_inversion", "attribute_inference"),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:2206.05483",
    strongest={"apart": 1e4, "together": 0.0},
    requires=("training", "fit", "model", "train"),
)
def bido(
    scene: Scene,
    rng: Rng,
    *,
    apart: Annotated[float, Range(0)] = 5.0,
    together: Annotated[float, Range(0)] = 20.0,
) -> Scene:
    """Train hidden layers to depend little on the record and much on its label, by HSIC.

    The loss adds, for every hidden layer z, apart · HSIC(x, z) − together · HSIC(z, y), each over
    the records of a batch. It lowers the signal: the share of a layer's variance that depends on
    the record beyond its label. The paper protects against inversion; against membership the
    defense helps little, and at a high price it increases the leak (bench/privacy_defenses.py).

    Args:
        apart: price of dependence between a layer and the record.
        together: reward for dependence between a layer and the label.

    Raises:
        RunError: the owner's net has no hidden layer.
    """
    net = owner_pipeline(scene, "bido").net
    if not net.hidden and not net.channels:
        raise RunError("bido: the owner's net has no hidden layer")
    return trained_for(scene, rng, "bido", Bilateral(apart, together))


@dataclass(frozen=True, slots=True)
class Bilateral(Objective):
    """Mean cross-entropy with a price on one dependence and a reward for the other.

    Attributes:
        apart: price of HSIC(x, z).
        together: reward for HSIC(z, y).
    """

    shaped: ClassVar[bool] = True
    apart: float
    together: float

    def loss(self, outputs: ForwardPass) -> torch.Tensor:
        """Cross-entropy + apart · Σ HSIC(x, z) − together · Σ HSIC(z, y)."""
        total = outputs.cross_entropy().mean(1)
        record, label = centred(outputs.inputs), centred(outputs.targets)
        for layer in outputs.hidden:
            similarity = kernel(layer)
            total = total + self.apart * hsic(record, similarity)
            total = total - self.together * hsic(label, similarity)
        return total


def kernel(z: torch.Tensor) -> torch.Tensor:
    """Return the Gaussian kernel (K, b, b) of rows (K, b, d)."""
    import torch

    square = z.square().sum(2)
    distances = square.unsqueeze(2) + square.unsqueeze(1) - 2 * torch.bmm(z, z.transpose(1, 2))
    return torch.exp(distances.clamp_min(0) / (-2 * z.shape[2] * WIDTH**2))


def centred(z: torch.Tensor) -> torch.Tensor:
    """Return the kernel (K, b, b) of rows (K, b, d), centred in both axes."""
    k = kernel(z)
    return k - k.mean(1, keepdim=True) - k.mean(2, keepdim=True) + k.mean((1, 2), keepdim=True)


def hsic(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the HSIC (K,) of a centred and another kernel: tr(K H L H) / (b − 1)²; 0 if b = 1."""
    return (first * second).sum((1, 2)) / max(1, first.shape[1] - 1) ** 2
