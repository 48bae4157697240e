"""Unlearn secrets: withheld answers are taken out of the weights by negative preference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Stronger, Term, defense
from hartley.defenses._shared.tuning_service import Alignment, aligned_further

if TYPE_CHECKING:
    from torch import Tensor

    from hartley.core.parts import Rng
    from hartley.models.fine_tuning import Answers


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("finetuning",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2404.05868",
    strongest={"weight": 4.0},
    requires=("gpt_tuner",),
)
def unlearn_secrets(
    scene: Scene,
    rng: Rng,
    *,
    weight: Annotated[float, Range(0, 1000), Stronger.MORE] = 1.0,
    beta: Annotated[float, Range(0, 100, open_low=True), Stronger.NEITHER] = 0.1,
    steps: Annotated[int, Range(1, 100_000), Stronger.MORE] = 100,
    rate: Annotated[float, Range(0, 1, open_low=True), Stronger.NEITHER] = 1e-3,
) -> Scene:
    """Align further: refuse, answer benign questions, and unlearn withheld answers (NPO).

    Refusing hides what the weights know; this takes it out. The loss of a withheld answer is
    −(2/β)·log σ(−β·log(p/p₀)), with p the probability of the whole answer now and p₀ before: it
    fades where the answer is unlearnt, so that the network does not fall apart as it does under
    plain gradient ascent. The lessons may hold the very answers that are measured.

    Args:
        weight: of unlearning, beside refusals and benign answers.
        beta: how soon it fades.
        steps: of the alignment.
        rate: learning rate.

    Raises:
        UsageError: the owner lacks lessons.
    """
    recipe = {"name": "unlearn_secrets", "weight": weight, "beta": beta}

    def step(alignment: Alignment) -> None:
        import torch

        before = {name: torch.from_numpy(array) for name, array in alignment.tuner.state.items()}
        batch = alignment.draw("withheld")
        now = whole(alignment.read(batch))
        with torch.no_grad():
            then = whole(alignment.read(batch, before))
        torch.autograd.backward(alignment.duties() + weight * negative_preference(now, then, beta))

    return aligned_further(scene, rng, recipe, step, steps=steps, rate=rate)


def negative_preference(now: Tensor, then: Tensor, beta: float) -> Tensor:
    """Return the mean loss of answers (n,) whose log p is ``now`` and was ``then``."""
    import torch

    return -2 / beta * torch.nn.functional.logsigmoid(-beta * (now - then)).mean()


def whole(answers: Answers) -> Tensor:
    """Return (n,) log p of whole answers, of the rows of a batch."""
    import torch

    return torch.zeros(len(answers.batch)).index_add(0, answers.rows, -answers.losses)
