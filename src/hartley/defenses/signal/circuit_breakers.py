"""Circuit breakers: what the network holds while it gives a withheld answer is led elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Modality, Range, Scene, Stronger, Term, defense
from hartley.defenses._shared.tuning_service import Alignment, aligned_further

if TYPE_CHECKING:
    from torch import Tensor

    from hartley.core.parts import Rng
    from hartley.models.fine_tuning import Rows


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("jailbreak", "finetuning"),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2406.04313",
    strongest={"weight": 20.0, "steps": 150},
    requires=("gpt_tuner",),
    expected_failures={
        "narrows_jailbreak": "the victim of the live scene is scripted, without weights to train"
    },
)
def circuit_breakers(
    scene: Scene,
    rng: Rng,
    *,
    weight: Annotated[float, Range(0, 1000), Stronger.MORE] = 5.0,
    steps: Annotated[int, Range(1, 100_000), Stronger.MORE] = 150,
    rate: Annotated[float, Range(0, 1, open_low=True), Stronger.NEITHER] = 1e-3,
) -> Scene:
    """Train by representation rerouting on what the owner aligned the model with.

    The hidden states of withheld answers are pushed away from those that the model had (the cosine
    of the two, where it is positive), behind the middle layer and the last one; those of refusals
    and benign answers are held where they were (the distance, in units of its length before). As
    published the first weighs less and the second more as training goes on. The paper trains
    adapters of two layers of a model of 8 billion parameters; here all weights are trained.

    Args:
        weight: of rerouting, beside one for what is to stay.
        steps: of training.
        rate: learning rate.

    Raises:
        UsageError: the owner lacks lessons.
    """
    recipe = {"name": "circuit_breakers", "weight": weight}
    start: dict[int, dict[str, Tensor]] = {}
    taken: dict[int, int] = {}

    def step(alignment: Alignment) -> None:
        import torch

        key = id(alignment)
        if key not in start:
            start[key] = {name: array.detach().clone() for name, array in alignment.state.items()}
        done = taken[key] = taken.get(key, 0) + 1
        share = done / (2 * steps)
        loss = torch.zeros(())
        for kind in ("withheld", "refused", "helpful"):
            rows = alignment.draw(kind)
            now = states(alignment, rows, alignment.state)
            with torch.no_grad():
                before = states(alignment, rows, start[key])
            for here, there in zip(now, before, strict=True):
                if kind == "withheld":
                    cosine = torch.nn.functional.cosine_similarity(here, there, dim=1)
                    loss = loss + weight * (1 - share) * torch.relu(cosine).mean()
                else:
                    apart = (here - there).norm(dim=1) / there.norm(dim=1)
                    loss = loss + share * apart.mean()
        # Benign answers and refusals are trained on too: states alone do not hold every word.
        torch.autograd.backward(loss + alignment.duties())

    return aligned_further(scene, rng, recipe, step, steps=steps, rate=rate)


def states(alignment: Alignment, rows: Rows, state: dict[str, Tensor]) -> list[Tensor]:
    """Return the hidden states (m, width) that answers are read from, behind two layers.

    Args:
        alignment: whose network it is.
        rows: the examples.
        state: its parameters.
    """
    import torch

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

    answers = alignment.read(rows, state, tap=keep)
    columns = answers.places + torch.from_numpy(rows.first)[answers.rows] - 1
    chosen = dict.fromkeys((len(layers) // 2, len(layers) - 1))
    return [layers[k][answers.rows, columns] for k in chosen]
