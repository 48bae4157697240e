"""Adversarial training: every step is taken on records that were changed to be misread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.games.jailbreak.evasion import rules_of
from hartley.kit.fleet import Objective
from hartley.models.training_defense import trained_for

if TYPE_CHECKING:
    import torch

    from hartley.core.parts import Rng


def _usual(scene: Scene) -> Mapping[str, Any]:
    return {"epsilon": rules_of(scene).epsilon}


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("evasion", "blocked_class"),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "graph": "it trains on records that PGD changed within a norm; training on flips that "
        "link_pgd found at every step (arXiv:1906.04214) is another training, and not "
        "built",
    },
    paper="arXiv:1706.06083",
    strongest={"steps": 7},
    requires=("training", "fit", "model", "train"),
    usual=_usual,
)
def adversarial_training(
    scene: Scene,
    rng: Rng,
    *,
    steps: Annotated[int, Range(1, 100)] = 5,
    epsilon: Annotated[float, Range(0)] = 0.0,
) -> Scene:
    """Train on records that projected gradient steps changed within the scene's budget.

    For each batch the records are changed from a random start by steps of 2.5 / steps of the
    budget, in the norm that the scene declares, to raise the loss of the nets as they are then. The
    nets learn the changed records alone. It costs clean accuracy and, with n steps, n more passes.

    Args:
        steps: of the inner attack; 1 is the fast form of arXiv:2001.03994.
        epsilon: budget of the inner attack; 0 is the scene's.
    """
    rules = rules_of(scene)
    plain = {
        name: tuple(np.asarray(value, float).reshape(-1).tolist())
        for name, value in (("low", rules.low), ("high", rules.high), ("scale", rules.scale))
    }
    objective = Adversarial(rules.norm, epsilon, steps, **plain)
    return trained_for(scene, rng, "adversarial_training", objective)


@dataclass(frozen=True, slots=True)
class Adversarial(Objective):
    """Cross-entropy of records that were changed within a budget.

    Attributes:
        norm: ``linf`` or ``l2``.
        epsilon: the budget, in units of scale.
        steps: of the inner attack.
        low, high, scale: one number, or one for each entry of a record.
    """

    shaped: ClassVar[bool] = True

    norm: str
    epsilon: float
    steps: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    scale: tuple[float, ...]

    def inputs(
        self,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        logits: Callable[[torch.Tensor], torch.Tensor],
        noise: Callable[[int], torch.Tensor],
    ) -> torch.Tensor:
        """Return records that steps up the slope of the loss changed."""
        import torch

        flat = inputs.flatten(2)
        low, high, scale = (torch.tensor(v) for v in (self.low, self.high, self.scale))
        low, high = torch.minimum(low, flat), torch.maximum(high, flat)
        reach, start = self.epsilon * scale, noise(flat.shape[2])
        if self.norm == "linf":
            low, high = torch.maximum(low, flat - reach), torch.minimum(high, flat + reach)
            # A uniform number of a normal one: each net keeps its own stream.
            change = torch.erf(start / 2**0.5) * reach
        else:
            change = self._short(start * (scale > 0), torch) * scale
        step = 2.5 / self.steps
        for _ in range(self.steps):
            now = torch.clamp(flat + change, low, high).requires_grad_()
            z = logits(now.reshape(inputs.shape))
            loss = -(targets * torch.log_softmax(z, 2)).sum()
            (slope,) = torch.autograd.grad(loss, now)
            now = now.detach()
            if self.norm == "linf":
                now = now + step * reach * slope.sign()
            else:
                moved = now - flat + step * self._short(slope * scale, torch, full=True) * scale
                units = moved / torch.where(scale > 0, scale, 1.0)
                now = flat + self._short(units, torch) * scale
            change = torch.clamp(now, low, high) - flat
        return (flat + change).reshape(inputs.shape)

    def _short(self, rows: torch.Tensor, torch: Any, *, full: bool = False) -> torch.Tensor:
        """Rows (K, b, d) of a length of at most epsilon, or of just epsilon."""
        factor = self.epsilon / rows.norm(dim=2, keepdim=True).clamp_min(1e-12)
        return rows * (factor if full else torch.clamp(factor, max=1.0))
