"""MID: squeeze what the last layer reads of a record through a noisy channel of few bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.core.errors import RunError
from hartley.kit.fleet import Objective, Seen
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
    """Train with a variational bottleneck before the last layer, priced by its information.

    In training the last layer reads h + σ(h)·noise, where h is the last hidden layer and σ a
    learnt function of it, and the loss adds beta times the mean divergence of that law from a
    standard normal: an upper bound, in nats, on what the layer learns of the record. What it moves
    is the noise: the bottleneck is a Gaussian channel, and beta buys its noise. The answers of the
    deployed model are those at the middle of the law, without noise, so that asking twice gives
    the same; the weights are what the noise has shaped. A client's gradient keeps the noise: who
    matches it without misses much, and who searches it with the records rebuilds them as if there
    were none (bench/gradient_inversion.py). Against membership it helps where the attacker does not
    know of it; one who does is stopped at prices that cost accuracy first.

    Args:
        beta: price of a nat through the bottleneck, in nats of cross-entropy.

    Raises:
        RunError: the owner's net has no hidden layer.
    """
    net = owner_pipeline(scene, "mid").net
    if not net.hidden and not net.channels:
        raise RunError("mid: the owner's net has no hidden layer to squeeze")
    return trained_for(scene, rng, "mid", Bottleneck(beta))


@dataclass(frozen=True, slots=True)
class Bottleneck(Objective):
    """Cross-entropy through a noisy bottleneck plus its price.

    Attributes:
        beta: the price of a nat.
    """

    shaped: ClassVar[bool] = True
    beta: float

    def extra(self, net: Net) -> dict[str, tuple[int, ...]]:
        """The layer that settles the noise: log σ = −1 at first, then whatever is learnt."""
        width = net.shapes[f"{net.steps[-1][1]}.weight"][1]
        return {"spread.weight": (width, width), "spread.bias": (1, width)}

    def loss(self, seen: Seen) -> torch.Tensor:
        """Mean cross-entropy of the noisy answers, plus beta · KL."""
        import torch

        mean, log = seen.hidden[-1], self.log_spread(seen)
        noisy = mean + log.exp() * seen.noise(mean.shape[2])
        logs = torch.log_softmax(seen.head(noisy), 2)
        cross = -(seen.targets * logs).sum(2).mean(1)
        return cross + self.beta * divergence(mean, log).mean(1)

    def log_spread(self, seen: Seen) -> torch.Tensor:
        """(K, b, width) natural logarithm of σ."""
        import torch

        bias, weight = seen.extra["spread.bias"], seen.extra["spread.weight"]
        return torch.baddbmm(bias, seen.hidden[-1], weight.transpose(1, 2)).clamp(-6, 3) - 1


def divergence(mean: torch.Tensor, log: torch.Tensor) -> torch.Tensor:
    """(K, b) KL divergence in nats of N(mean, exp(log)²) from N(0, 1), over the last axis."""
    return 0.5 * (mean.square() + (2 * log).exp() - 1 - 2 * log).sum(2)
