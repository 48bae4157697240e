"""Fine-pruning: cut the units that clean records leave idle, then train on clean records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.defenses._shared.clean_records import clean_records
from hartley.defenses._shared.repaired import repaired
from hartley.kit.eager_optimizers import eager
from hartley.kit.fleet import Fleet
from hartley.kit.fleet.repair import Repair, TrainedOn, each, shuffled
from hartley.models.training_defense import owner_pipeline

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.kit.nets import Net

BATCH = 32
"""Clean records in a step of fine-tuning."""


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning",),
    modalities=(Modality.VISION, Modality.LANGUAGE, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "paired": "what is trained of the dual encoder is linear, without units to prune",
        "graph": "the repairs need a network of Hartley's own Pipeline, and that of small graphs"
        " is none",
    },
    paper="arXiv:1805.12185",
    strongest={"drop": 0.5, "passes": 40},
    requires=("training", "fit", "model", "train", "holdout"),
)
def fine_pruning(
    scene: Scene,
    rng: Rng,
    *,
    clean: Annotated[int, Range(2)] = 1000,
    drop: Annotated[float, Range(0, 1)] = 0.1,
    passes: Annotated[int, Range(0)] = 20,
    rate: Annotated[float, Range(0, open_low=True)] = 1.0,
) -> Scene:
    """Prune every trained model until it errs more on clean records, then fine-tune it on them.

    The units of the last convolution (of the last hidden layer, in a net without convolutions) are
    set to 0 in the order of their mean activation on clean records, least active first, until the
    accuracy on these records has fallen by ``drop``. A trigger that uses units of its own loses
    them; fine-tuning removes one that shares units with clean records.

    Args:
        clean: the owner's held-out records that are used, at most.
        drop: accuracy on clean records that pruning may cost.
        passes: over the clean records in fine-tuning.
        rate: learning rate of fine-tuning, as a multiple of the owner's own.
    """
    records = clean_records(scene, clean, "fine_pruning")
    numbers = owner_pipeline(scene, "fine_pruning").numbers(records.x)
    x, y = np.asarray(numbers, np.float32), records.labels.astype(np.int64)
    return repaired(scene, rng, "fine_pruning", Pruned(x, y, drop, passes, rate))


@dataclass(frozen=True, slots=True, eq=False)
class Pruned(Repair):
    """Pruning and fine-tuning.

    Attributes:
        x: (n, …) clean records.
        y: (n,) their labels.
        drop: accuracy that pruning may cost.
        passes: of fine-tuning.
        rate: as a multiple of the owner's learning rate.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    drop: float
    passes: int
    rate: float

    def mend(self, fleet: Fleet, trained_on: TrainedOn) -> Fleet:
        """Prune and fine-tune every model; units that were cut stay cut."""
        import torch

        x, y = torch.from_numpy(self.x), torch.from_numpy(self.y)
        place = pruned_layer(fleet.net)
        lr = trained_on.training.lr * self.rate

        def mend(k: int, module: torch.nn.Sequential) -> None:
            alive = None if place is None else prune(module, place, x, y, self.drop)

            def cut_again() -> None:
                if place is not None and alive is not None:
                    cut(module, place, alive)

            batches = shuffled(trained_on.rng(k, "prune"), len(x), BATCH, self.passes)
            fine_tune(module, x, y, batches, lr, after=cut_again)

        return each(fleet, mend)


def pruned_layer(net: Net) -> int | None:
    """Return the place, in the module, of the layer whose units are pruned; None without one."""
    convolutions = [name for kind, name in net.steps if kind == "conv"]
    hidden = [name for kind, name in net.steps if kind == "dense"][:-1]
    layers = convolutions or hidden
    return int(layers[-1]) if layers else None


def prune(
    module: torch.nn.Sequential, place: int, x: torch.Tensor, y: torch.Tensor, drop: float
) -> torch.Tensor:
    """Cut units of a layer, least active first, while the accuracy falls by at most ``drop``.

    Returns:
        (units,) 1 for those that stay, 0 for the others.
    """
    import torch

    with torch.no_grad():
        active = module[: place + 2](x)
        axes = [a for a in range(active.dim()) if a != 1]
        order = active.mean(axes).argsort()
        alive = torch.ones(len(order))
        least = float((module(x).argmax(1) == y).float().mean()) - drop
        rest = module[place + 2 :]
        shape = [1, -1] + [1] * (active.dim() - 2)
        for unit in order[:-1]:
            alive[unit] = 0
            accuracy = float((rest(active * alive.view(shape)).argmax(1) == y).float().mean())
            if accuracy < least:
                alive[unit] = 1
                break
    cut(module, place, alive)
    return alive


def cut(module: torch.nn.Sequential, place: int, alive: torch.Tensor) -> None:
    """Set the weights and biases of the units of a layer that are not alive to 0."""
    import torch

    layer: Any = module[place]
    with torch.no_grad():
        layer.weight.mul_(alive.view(-1, *[1] * (layer.weight.dim() - 1)))
        layer.bias.mul_(alive)


def fine_tune(
    module: torch.nn.Sequential,
    x: torch.Tensor,
    y: torch.Tensor,
    batches: Iterable[NDArray[Any]],
    lr: float,
    *,
    after: Callable[[], None] | None = None,
) -> None:
    """Train a module further on some records.

    Args:
        module: changed in place.
        x: (n, …) records.
        y: (n,) labels.
        batches: rows of every step.
        lr: learning rate of Adam.
        after: called after every step.
    """
    import torch

    optimiser = eager("Adam")(module.parameters(), lr=lr)
    for rows in batches:
        index = torch.from_numpy(rows)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(module(x[index]), y[index]).backward()
        optimiser.step()
        if after is not None:
            after()
