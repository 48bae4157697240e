"""Self-destructing: alignment from which withheld answers are hard to learn, by meta-learning."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Stronger, Term, defense
from hartley.defenses._shared.tuning_service import Alignment, aligned_further

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("finetuning",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2211.14946",
    strongest={"weight": 1.0},
    requires=("gpt_tuner",),
)
def self_destructing(
    scene: Scene,
    rng: Rng,
    *,
    weight: Annotated[float, Range(0, 1000), Stronger.MORE] = 0.3,
    inner: Annotated[int, Range(1, 100), Stronger.MORE] = 3,
    reach: Annotated[float, Range(0, 100, open_low=True), Stronger.NEITHER] = 0.3,
    steps: Annotated[int, Range(1, 100_000), Stronger.MORE] = 60,
    rate: Annotated[float, Range(0, 1, open_low=True), Stronger.NEITHER] = 1e-3,
) -> Scene:
    """Align further so that tuning on withheld answers does not lower their loss.

    Each step follows a simulated attacker through steps along the normed gradient of withheld
    answers, and differentiates their loss after each of these through the whole way (censoring by
    meta-learning). The loss is raised up to that of a uniform law, where it is forgotten.

    Args:
        weight: of the loss after the attacker's steps.
        inner: steps of the simulated attacker.
        reach: the norm of one of them.
        steps: of the alignment.
        rate: learning rate.

    Raises:
        UsageError: the owner lacks lessons.
    """
    recipe = {"name": "self_destructing", "weight": weight, "inner": inner, "reach": reach}

    def step(alignment: Alignment) -> None:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        most = math.log(alignment.tuner.shape.vocabulary)
        total = alignment.duties()
        here, names = dict(alignment.state), list(alignment.state)
        # The other kernels of attention have no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            for _ in range(inner):
                loss = alignment.read(alignment.draw("withheld"), here).losses.mean()
                slopes = torch.autograd.grad(loss, [here[n] for n in names], create_graph=True)
                size = torch.stack([slope.square().sum() for slope in slopes]).sum().sqrt() + 1e-8
                here = {
                    name: here[name] - reach * slope / size
                    for name, slope in zip(names, slopes, strict=True)
                }
                after = alignment.read(alignment.draw("withheld"), here).losses.mean()
                total = total + weight / inner * torch.relu(most - after)
            torch.autograd.backward(total)

    return aligned_further(scene, rng, recipe, step, steps=steps, rate=rate)
