"""RepNoise: what the network holds of withheld answers is made noise, in every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Modality, Range, Scene, Stronger, Term, defense
from hartley.defenses._shared.tuning_service import Alignment, aligned_further

if TYPE_CHECKING:
    from torch import Tensor

    from hartley.core.parts import Rng

TOKENS = 96
"""Tokens of a batch whose states are compared with noise: all pairs of them are."""

KERNELS, GROWTH = 5, 2.0
"""Gaussian kernels of the discrepancy, and the ratio of their widths."""


@defense(
    term=Term.NOISE,
    stage="training",
    protects=("finetuning",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2405.14577",
    strongest={"noise": 4.0, "ascent": 0.5, "steps": 150},
    requires=("gpt_tuner",),
)
def rep_noise(
    scene: Scene,
    rng: Rng,
    *,
    noise: Annotated[float, Range(0, 1000), Stronger.MORE] = 1.0,
    ascent: Annotated[float, Range(0, 1000), Stronger.MORE] = 0.1,
    steps: Annotated[int, Range(1, 100_000), Stronger.MORE] = 200,
    rate: Annotated[float, Range(0, 1, open_low=True), Stronger.NEITHER] = 1e-3,
) -> Scene:
    """Align further: refuse, forget withheld answers, and make their hidden states Gaussian.

    The loss is that of refusals and benign answers, plus ``noise`` times the discrepancy (MMD)
    between the states of withheld answers and Gaussian noise, less ``ascent`` times the logarithm
    of the loss of these answers, both summed over layers. The lessons may hold the very answers
    that are measured, since the owner knows them.

    Args:
        noise: weight of the discrepancy.
        ascent: weight of forgetting.
        steps: of the alignment.
        rate: learning rate.

    Raises:
        UsageError: the owner lacks lessons.
    """
    recipe = {"name": "rep_noise", "noise": noise, "ascent": ascent}

    def step(alignment: Alignment) -> None:
        import torch

        batch = alignment.draw("withheld")
        layers: list[Tensor] = []
        stream: list[Tensor] = []

        def keep(name: str, given: Any, output: Tensor) -> Tensor:
            del given
            if name == "tokens":
                stream[:] = [output]
            elif name.endswith((".out", ".down")):
                stream[:] = [stream[0] + output]
                if name.endswith(".down"):
                    layers.append(stream[0])
            return output

        answers = alignment.read(batch, tap=keep)
        first = torch.from_numpy(batch.first)[answers.rows]
        columns = answers.places + first - 1
        ids = torch.from_numpy(batch.tokens)[answers.rows, columns + 1]
        loss = alignment.duties()
        width = (layers[0].shape[-1],)
        losses = []
        for states in (layer[answers.rows, columns] for layer in layers):
            loss = loss + noise * discrepancy(states[:TOKENS], torch.randn(states[:TOKENS].shape))
            normed = torch.nn.functional.rms_norm(states, width, alignment.state["norm"])
            logits = normed @ alignment.state["tokens"].T
            losses.append(torch.nn.functional.cross_entropy(logits, ids))
        torch.autograd.backward(loss - ascent * torch.stack(losses).sum().log())

    return aligned_further(scene, rng, recipe, step, steps=steps, rate=rate)


def discrepancy(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared maximum mean discrepancy of samples (n, d), with Gaussian kernels.

    The middle kernel's squared width is the mean squared distance of all pairs.
    """
    import torch

    both = torch.cat([x, y])
    sizes = both.square().sum(1)
    distances = (sizes[:, None] + sizes[None] - 2 * both @ both.T).clamp(min=0)
    n = len(both)
    middle = distances.detach().sum() / (n * n - n)
    widths = [middle * GROWTH ** (k - KERNELS // 2) for k in range(KERNELS)]
    kernel = torch.stack([(-distances / width).exp() for width in widths]).sum(0)
    half = len(x)
    return (
        kernel[:half, :half].mean() + kernel[half:, half:].mean() - 2 * kernel[:half, half:].mean()
    )
