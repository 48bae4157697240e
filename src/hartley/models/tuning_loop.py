"""The steps of a run of fine-tuning, by the rules of the service that takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.models.fine_tuning import Answers, Rows, TuningRun, TuningSteps


def warm_up(steps: int) -> int:
    """Return how many steps of a run its rate grows."""
    return max(1, min(10, steps // 10))


def steps_of(
    run: TuningRun,
    rules: Sequence[TuningSteps],
    examples: Rows,
    read: Callable[[Rows], Answers],
    most: int,
    *,
    warm: int,
) -> Iterator[int]:
    """Take the steps of a run one by one; yield, after each on the examples, how many there were.

    Args:
        run: whose ``trained`` tensors are changed.
        rules: what the service's rules do in it.
        examples: of the user.
        read: a batch → its answers by the tensors as they are, with a gradient.
        most: steps on the examples.
        warm: steps of any kind in which the rate grows to that of the settings.
    """
    import torch

    settings = run.settings
    optimiser = torch.optim.AdamW(list(run.trained.values()), lr=settings.rate, weight_decay=0.0)
    step, taken = 0, 0
    queue: NDArray[np.int64] = np.zeros(0, np.int64)
    while taken < most:
        rows = next((rows for rule in rules if (rows := rule.batch()) is not None), None)
        counts = rows is None
        if rows is None:
            while len(queue) < settings.batch:
                queue = np.concatenate([queue, run.rng.permutation(len(examples))])
            rows, queue = examples.some(queue[: settings.batch]), queue[settings.batch :]
            taken += 1
        step += 1
        answers = read(rows)
        losses = (rule.loss(answers) for rule in rules if counts)
        loss = next((loss for loss in losses if loss is not None), None)
        loss = answers.losses.mean() if loss is None else loss
        for penalty in (rule.penalty() for rule in rules):
            loss = loss if penalty is None else loss + penalty
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * min(1.0, step / warm)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(run.trained.values(), 1.0)
        optimiser.step()
        for rule in rules:
            rule.stepped()
        if counts:
            yield taken
