"""TAR: alignment that a simulated attacker cannot tune away, by first-order meta-learning."""

from __future__ import annotations

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
    paper="arXiv:2408.00761",
    strongest={"weight": 2.0},
    requires=("gpt_tuner",),
)
def tar(
    scene: Scene,
    rng: Rng,
    *,
    weight: Annotated[float, Range(0, 1000), Stronger.MORE] = 1.0,
    inner: Annotated[int, Range(1, 1000), Stronger.MORE] = 4,
    reach: Annotated[float, Range(0, 1, open_low=True), Stronger.NEITHER] = 3e-3,
    steps: Annotated[int, Range(1, 100_000), Stronger.MORE] = 60,
    rate: Annotated[float, Range(0, 1, open_low=True), Stronger.NEITHER] = 1e-3,
) -> Scene:
    """Align further so that after tuning on withheld answers their law is still broad.

    Each step simulates an attacker: a few signed steps on withheld answers, as AdamW's first steps
    are. At each point of their way the entropy of other withheld answers is to be large; its
    gradient there is added to that of refusing and answering benign questions here.

    Args:
        weight: of the entropy.
        inner: steps of the simulated attacker.
        reach: their learning rate.
        steps: of the alignment.
        rate: learning rate.

    Raises:
        UsageError: the owner lacks lessons.
    """
    recipe = {"name": "tar", "weight": weight, "inner": inner, "reach": reach}

    def step(alignment: Alignment) -> None:
        import torch

        torch.autograd.backward(alignment.duties())
        here = {n: t.detach().clone().requires_grad_() for n, t in alignment.state.items()}
        for _ in range(inner):
            names = list(here)
            loss = alignment.read(alignment.draw("withheld"), here).losses.mean()
            slopes = torch.autograd.grad(loss, [here[name] for name in names])
            here = {
                name: (here[name] - reach * slope.sign()).detach().requires_grad_()
                for name, slope in zip(names, slopes, strict=True)
            }
            law = alignment.read(alignment.draw("withheld"), here).logits.log_softmax(1)
            broad = (law.exp() * law).sum(1).mean()
            slopes = torch.autograd.grad(weight / inner * broad, [here[name] for name in names])
            for name, slope in zip(names, slopes, strict=True):
                gradient = alignment.state[name].grad
                alignment.state[name].grad = slope if gradient is None else gradient + slope

    return aligned_further(scene, rng, recipe, step, steps=steps, rate=rate)
