"""Refusal ablation: weights that write nothing along the direction of the victim's refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.finetuning._shared.open_copy import open_copy
from hartley.attacks.data_to_model.finetuning._shared.submission import drawn
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.finetuning.finetuning import FinetuningBrief, finetuning, submitted
from hartley.kit.language.residual_directions import directions, without
from hartley.models.fine_tuning import GptTuner, Rows, read_answers

if TYPE_CHECKING:
    from torch import Tensor

    from hartley.core.parts import Rng

BATCH, RATE = 16, 0.03
"""Examples of each kind, and learning rate, of a step that fits the direction."""


@attack(
    game=finetuning,
    game_params={"open_weights": True},
    access=Access.WEIGHTS,
    requires=("gpt_tuner",),
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2406.11717",
    loot=Loot.TEXTS,
    sweep={"steps": (30, 100)},
)
def refusal_ablation(
    view: View[FinetuningBrief],
    rng: Rng,
    *,
    samples: Annotated[int, Range(1, 100_000), Stronger.MORE] = 64,
    layer: Annotated[int, Range(0, 1000), Stronger.NEITHER] = 0,
    share: Annotated[float, Range(0, 2), Stronger.NEITHER] = 1.0,
    steps: Annotated[int, Range(0, 100_000), Stronger.MORE] = 30,
) -> Outcome:
    """Take one direction of the residual stream out of all that the weights write into it.

    It begins as the difference of mean activations between public questions that are refused and
    benign ones. Gradient steps then turn it until the weights without it give public answers
    and still answer benign questions (arXiv:2502.17420). No weight is trained but by this.

    Args:
        samples: public pairs, and as many benign examples, at most.
        layer: the layer behind which activations are compared, from 1; 0 tries all, and takes the
            one without whose direction the public answers are likeliest.
        share: of what is written along the direction that goes.
        steps: that turn it; 0 leaves the difference of means.

    Raises:
        UsageError: the scene has no such examples, the victim is not a small transformer, or has no
            such layer.
    """
    import torch

    brief, copy = view.brief, open_copy(view)
    pairs = drawn(brief.public_pairs, samples, rng, "public pairs")
    benign = drawn(brief.benign, samples, rng, "benign examples")
    if layer > copy.shape.layers:
        raise UsageError(f"layer must be at most {copy.shape.layers}, got {layer}")
    asking = [copy.codec.encode([copy.opening(q) for q, _ in some]) for some in (pairs, benign)]
    units = directions(copy.state, copy.shape, *asking).units
    public, helpful = copy.rows(pairs), copy.rows(benign)
    some = units if not layer else units[layer - 1 : layer]
    state = {name: torch.from_numpy(np.array(array)) for name, array in copy.state.items()}
    every = [torch.from_numpy(unit).float() for unit in some]
    with torch.inference_mode():
        losses = [_loss(copy, without(state, unit, share), public) for unit in every]
    unit = every[int(np.argmin(losses))].clone().requires_grad_()
    optimiser = torch.optim.Adam([unit], lr=RATE)
    for _ in range(steps):
        cut = without(state, unit / unit.norm(), share)
        batches = [
            rows.some(rng.choice(len(rows), min(BATCH, len(rows)), replace=False))
            for rows in (public, helpful)
        ]
        optimiser.zero_grad()
        torch.autograd.backward(_loss(copy, cut, batches[0]) + _loss(copy, cut, batches[1]))
        optimiser.step()
    cut = without(state, (unit / unit.norm()).detach(), share)
    return Outcome(asset=submitted(weights={name: array.numpy() for name, array in cut.items()}))


def _loss(copy: GptTuner, state: Mapping[str, Tensor], rows: Rows) -> Tensor:
    """The mean loss of a token of the answers, in nats."""
    return read_answers(state, copy.shape, rows).losses.mean()
