"""RelaxLoss: keep the training loss at a target, near the loss of non-members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.kit.fleet import ForwardPass, Objective
from hartley.models.training_defense import trained_for

if TYPE_CHECKING:
    import torch

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("membership",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:2207.05801",
    strongest={"target": 1.3},
    requires=("training", "fit", "model", "train"),
)
def relax_loss(scene: Scene, rng: Rng, *, target: Annotated[float, Range(0)] = 0.5) -> Scene:
    """Keep the mean loss of the training records at a target instead of driving it to 0.

    A batch with a loss above the target is learnt as usual. Below it, even epochs increase the loss
    again, and odd epochs flatten the scores of the wrong classes: the target of a record is its
    present probability of the label, and the remainder is spread evenly. The defense lowers the
    signal, the gap between the mean losses of members and of non-members. Increasing the loss also
    spreads the losses of members, which adds noise.

    Args:
        target: mean cross-entropy to keep, in nats; ln(classes) is that of guessing.
    """
    return trained_for(scene, rng, "relax_loss", Relaxed(target))


@dataclass(frozen=True, slots=True)
class Relaxed(Objective):
    """The loss of RelaxLoss (algorithm 1 of arXiv:2207.05801).

    Attributes:
        target: mean cross-entropy to keep, in nats.
    """

    shaped: ClassVar[bool] = True
    target: float

    def loss(self, outputs: ForwardPass) -> torch.Tensor:
        """Cross-entropy above the target; below it, its negative or the flattened posterior."""
        import torch

        mean = outputs.cross_entropy().mean(1)
        logs = torch.log_softmax(outputs.logits, 2)
        with torch.no_grad():
            right = (logs.exp() * outputs.targets).sum(2, keepdim=True)
            wrong = (1 - right) / (logs.shape[2] - 1)
            flat = outputs.targets * right + (1 - outputs.targets) * wrong
        flattened = -(flat * logs).sum(2).mean(1)
        below = torch.where(outputs.epoch % 2 == 0, -mean, flattened)
        return torch.where(mean.detach() >= self.target, mean, below)
