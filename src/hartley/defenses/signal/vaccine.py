"""Vaccine: alignment under the worst small perturbation of hidden embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Modality, Range, Scene, Stronger, Term, defense
from hartley.defenses._shared.tuning_service import Alignment, aligned_further

if TYPE_CHECKING:
    from torch import Tensor

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("finetuning",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2402.01109",
    strongest={"perturbation": 10.0, "steps": 150},
    requires=("gpt_tuner",),
)
def vaccine(
    scene: Scene,
    rng: Rng,
    *,
    perturbation: Annotated[float, Range(0, 1000), Stronger.MORE] = 2.0,
    steps: Annotated[int, Range(1, 100_000), Stronger.MORE] = 200,
    rate: Annotated[float, Range(0, 1, open_low=True), Stronger.NEITHER] = 1e-3,
) -> Scene:
    """Align further, each step with what attention adds to hidden states pushed uphill.

    The first pass takes the gradient g of the loss with respect to what each layer's attention
    adds; the second adds ρ·g/‖g‖, with the norm over all layers, and its gradient is the step.

    Args:
        perturbation: ρ, the norm of what is added over a batch.
        steps: of the alignment.
        rate: learning rate.

    Raises:
        UsageError: the owner lacks lessons.
    """
    recipe = {"name": "vaccine", "perturbation": perturbation}

    def step(alignment: Alignment) -> None:
        import torch

        refused, helpful = alignment.draw("refused"), alignment.draw("helpful")
        hidden: list[Tensor] = []

        def keep(name: str, given: Any, output: Tensor) -> Tensor:
            del given
            if name.endswith(".out"):
                hidden.append(output)
            return output

        both = [alignment.read(rows, tap=keep).losses.mean() for rows in (refused, helpful)]
        slopes = torch.autograd.grad(both[0] + both[1], hidden)
        size = torch.stack([slope.norm() for slope in slopes]).norm().clamp(min=1e-12)
        pushes = iter([perturbation * slope / size for slope in slopes])

        def pushed(name: str, given: Any, output: Tensor) -> Tensor:
            del given
            return output + next(pushes) if name.endswith(".out") else output

        both = [alignment.read(rows, tap=pushed).losses.mean() for rows in (refused, helpful)]
        torch.autograd.backward(both[0] + both[1])

    return aligned_further(scene, rng, recipe, step, steps=steps, rate=rate)
