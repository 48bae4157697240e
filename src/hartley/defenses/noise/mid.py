"""MID: train with a noisy bottleneck that limits what the last layer learns of a record."""

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
    from hartley.kit.nets import Net


@defense(
    term=Term.NOISE,
    stage="training",
    protects=("membership", "class_inversion", "gradient_inversion", "attribute_inference"),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:2009.05241",
    strongest={"beta": 10.0},
    requires=("training", "fit", "model", "train"),
)
def mid(scene: Scene, rng: Rng, *, beta: Annotated[float, Range(0)] = 0.04) -> Scene:
    """Train with a noisy bottleneck before the last layer, and a price on its information.

    In training the last layer reads h + σ(h)·noise, where h is the last hidden layer and σ a
    learnt function of it. The loss adds beta times the mean divergence of this distribution from a
    standard normal, an upper bound, in nats, on what the layer learns of the record. The defense
    raises the noise: the bottleneck is a Gaussian channel, and a larger beta makes it noisier. The
    deployed model answers at the mean of the distribution, without noise, so that its answers are
    deterministic. The gradient of a client contains the noise: an attacker who ignores it rebuilds
    the records badly, and one who searches for noise and records together rebuilds them as well as
    without it (bench/gradient_inversion.py). Against membership the defense works on a static
    attacker; an adaptive attacker loses bits only at prices that cost accuracy first.

    Args:
        beta: price of a nat through the bottleneck, in nats of cross-entropy.

    Raises:
        RunError: the owner's net has no hidden layer.
    """
    net = owner_pipeline(scene, "mid").net
    if not net.hidden and not net.channels:
        raise RunError("mid: the owner's net must have a hidden layer, got none")
    return trained_for(scene, rng, "mid", Bottleneck(beta))


@dataclass(frozen=True, slots=True)
class Bottleneck(Objective):
    """Cross-entropy through a noisy bottleneck plus its price.

    Attributes:
        beta: price of a nat through the bottleneck.
    """

    shaped: ClassVar[bool] = True
    beta: float

    def extra(self, net: Net) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the layer that computes log σ, which is −1 before training."""
        width = net.shapes[f"{net.steps[-1][1]}.weight"][1]
        return {"spread.weight": (width, width), "spread.bias": (1, width)}

    def loss(self, outputs: ForwardPass) -> torch.Tensor:
        """Return the mean cross-entropy (K,) of the noisy answers, plus beta · KL."""
        import torch

        mean, log_spread = outputs.hidden[-1], self.log_spread(outputs)
        noisy = mean + log_spread.exp() * outputs.noise(mean.shape[2])
        logs = torch.log_softmax(outputs.head(noisy), 2)
        cross = -(outputs.targets * logs).sum(2).mean(1)
        return cross + self.beta * divergence(mean, log_spread).mean(1)

    def log_spread(self, outputs: ForwardPass) -> torch.Tensor:
        """Return the natural logarithm of σ (K, b, width)."""
        import torch

        bias, weight = outputs.extra["spread.bias"], outputs.extra["spread.weight"]
        return torch.baddbmm(bias, outputs.hidden[-1], weight.transpose(1, 2)).clamp(-6, 3) - 1


def divergence(mean: torch.Tensor, log_spread: torch.Tensor) -> torch.Tensor:
    """Return the KL divergence (K, b), in nats, of N(mean, exp(log_spread)²) from N(0, 1)."""
    return 0.5 * (mean.square() + (2 * log_spread).exp() - 1 - 2 * log_spread).sum(2)
