"""Neural Cleanse: reconstruct the smallest trigger of each class; unlearn those that are too small.

A backdoor is a short cut: some small change turns any record into the class of the message. The
defense searches the smallest such change for every class. A class whose change is an outlier on
the small side has a backdoor. The model is then trained on clean records that carry the
reconstructed trigger and their true label.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.defenses._shared.clean_records import clean_records
from hartley.defenses._shared.repaired import repaired
from hartley.defenses.signal.fine_pruning import BATCH
from hartley.kit.eager_optimizers import eager
from hartley.kit.fleet import Fleet
from hartley.kit.fleet.repair import Repair, TrainedOn, each, shuffled

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

MAD = 1.4826
"""Median absolute deviation → standard deviation of a normal law."""

REACHED = 0.99
"""Share of records that a reconstructed trigger must turn, as in the paper."""

STAMPED = 0.2
"""Share of the clean records that carry the trigger in unlearning, as in the paper."""

SEARCH_RATE, PRICE, STRONGER = 0.1, 1e-2, 1.5
"""Adam's rate, the first price of a trigger's size, and the factor that adapts it."""


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "language": "it descends along gradients of a record, and words have none; inversion over a"
        " vocabulary (arXiv:2202.05749) is another defense, and not built",
        "paired": "it searches a trigger for each class, and a dual encoder has no classes but "
        "those of a question",
        "graph": "a mask and a pattern are no change of links; the repairs need a network of "
        "Hartley's own Pipeline, and that of small graphs is none",
    },
    paper="doi:10.1109/SP.2019.00031",
    strongest={"outlier": 0.0, "passes": 40},
    requires=("training", "fit", "model", "train", "holdout"),
)
def neural_cleanse(
    scene: Scene,
    rng: Rng,
    *,
    clean: Annotated[int, Range(2)] = 1000,
    outlier: Annotated[float, Range(0)] = 2.0,
    steps: Annotated[int, Range(1)] = 150,
    passes: Annotated[int, Range(0)] = 10,
    rate: Annotated[float, Range(0, open_low=True)] = 1.0,
) -> Scene:
    """Search every trained model for triggers, and make it unlearn those that are too small.

    Triggers are a mask and a pattern, x·(1 − mask) + pattern·mask, and their size is the sum of the
    mask. The anomaly index of a class is how many deviations its log-size is below the median of
    all classes; the deviation is 1.4826 times the median absolute deviation.

    Args:
        clean: the owner's held-out records that are used, at most.
        outlier: anomaly index from which a class counts as attacked; 2 is the paper's, and with 0
            every class below the median does.
        steps: of the search for each class.
        passes: over the clean records in unlearning.
        rate: learning rate of unlearning, as a multiple of the owner's own.
    """
    records = clean_records(scene, clean, "neural_cleanse")
    x, y = np.asarray(records.x, np.float32), records.labels.astype(np.int64)
    return repaired(scene, rng, "neural_cleanse", Cleansed(x, y, outlier, steps, passes, rate))


class Triggers(NamedTuple):
    """Reconstructed triggers of all classes: masks (classes, 1 or …) and patterns (classes, …)."""

    masks: torch.Tensor
    patterns: torch.Tensor

    @property
    def sizes(self) -> NDArray[np.float64]:
        """(classes,) sums of the masks."""
        return np.asarray(self.masks.flatten(1).sum(1).double().numpy())


@dataclass(frozen=True, slots=True, eq=False)
class Cleansed(Repair):
    """Search and unlearning.

    Attributes:
        x: (n, …) clean records.
        y: (n,) their labels.
        outlier: anomaly index from which a class is unlearnt.
        steps: of the search.
        passes: of unlearning.
        rate: as a multiple of the owner's learning rate.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    outlier: float
    steps: int
    passes: int
    rate: float

    def mend(self, fleet: Fleet, trained_on: TrainedOn) -> Fleet:
        """Unlearn the triggers of the attacked classes of every model; others stay as they are."""
        import torch

        x, y = torch.from_numpy(self.x), torch.from_numpy(self.y)
        lr = trained_on.training.lr * self.rate

        def mend(k: int, module: torch.nn.Sequential) -> None:
            rng = trained_on.rng(k, "cleanse")
            triggers = reconstruct(module, x, fleet.net.classes, self.steps, rng)
            attacked = np.flatnonzero(anomaly(triggers.sizes) >= self.outlier)
            if len(attacked) and trained_on.training.epochs:
                suspects = Triggers(triggers.masks[attacked], triggers.patterns[attacked])
                batches = shuffled(rng, len(x), BATCH, self.passes)
                unlearn(module, (x, y), suspects, batches, rng, lr=lr)

        return each(fleet, mend)


def reconstruct(
    module: torch.nn.Sequential, x: torch.Tensor, classes: int, steps: int, rng: Rng
) -> Triggers:
    """Search, for each class, a small trigger that turns records into it.

    Args:
        module: the model; it is not changed.
        x: (n, …) clean records.
        classes: of the model.
        steps: of Adam.
        rng: draws the batches and the first triggers.
    """
    import torch

    shape = x.shape[1:]
    spread = (1, *shape[1:]) if len(shape) == 3 else shape  # one mask for all channels
    low, high = float(x.min()), float(x.max())
    mask = torch.from_numpy(rng.normal(0, 0.1, (classes, *spread)).astype(np.float32) - 1)
    pattern = torch.from_numpy(rng.normal(0, 0.1, (classes, *shape)).astype(np.float32))
    free = [mask.requires_grad_(), pattern.requires_grad_()]
    optimiser = eager("Adam")(free, lr=SEARCH_RATE, betas=(0.5, 0.9))
    price = torch.full((classes,), PRICE)
    best = torch.full((classes,), float("inf"))
    masks, patterns = (torch.sigmoid(mask).detach().clone(), torch.zeros(classes, *shape))
    for _ in range(steps):
        rows = torch.from_numpy(rng.integers(0, len(x), BATCH))
        soft, paint = torch.sigmoid(mask), low + (high - low) * torch.sigmoid(pattern)
        triggered = x[rows] * (1 - soft[:, None]) + (paint * soft)[:, None]
        logits = module(triggered.flatten(0, 1)).view(classes, len(rows), -1)
        due = torch.arange(classes)[:, None].expand(-1, len(rows))
        hits = (logits.argmax(2) == due).float().mean(1).detach()
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), due.flatten(), reduction="none"
        ).view(classes, -1)
        sizes = soft.flatten(1).sum(1)
        optimiser.zero_grad()
        (losses.mean(1) + price * sizes).sum().backward()
        optimiser.step()
        works = hits >= REACHED
        better = works & (sizes.detach() < best)
        best[better] = sizes.detach()[better]
        masks[better], patterns[better] = soft.detach()[better], paint.detach()[better]
        price = torch.where(works, price * STRONGER**0.25, price / STRONGER**0.25)
    never = best.isinf()
    masks[never], patterns[never] = soft.detach()[never], paint.detach()[never]
    return Triggers(masks, patterns)


def anomaly(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many deviations each log-size (classes,) is below the median; negative if above.

    The paper takes the sizes themselves. Those of honest classes differ by a factor of three on
    Fashion-MNIST, which makes the deviation so wide that an attacked class of a tenth of their size
    has an index of about 2; in logarithms it has one of 6 and more.
    """
    logs = np.log(np.maximum(sizes, 1e-6))
    below = np.median(logs) - logs
    return np.asarray(below / max(MAD * float(np.median(abs(below))), 1e-12))


def unlearn(
    module: torch.nn.Sequential,
    clean: tuple[torch.Tensor, torch.Tensor],
    triggers: Triggers,
    batches: Iterable[NDArray[Any]],
    rng: Rng,
    *,
    lr: float,
) -> None:
    """Train a module on clean records, a fifth of which carry a trigger and keep their label.

    Args:
        module: changed in place.
        clean: records (n, …) and labels (n,).
        triggers: those that are unlearnt.
        batches: rows of every step.
        rng: draws who carries which trigger.
        lr: learning rate of Adam.
    """
    import torch

    x, y = clean
    optimiser = eager("Adam")(module.parameters(), lr=lr)
    for rows in batches:
        index = torch.from_numpy(rows)
        batch = x[index].clone()
        carrying = np.flatnonzero(rng.random(len(rows)) < STAMPED)
        which = torch.from_numpy(rng.integers(0, len(triggers.masks), len(carrying)))
        soft = triggers.masks[which]
        batch[carrying] = batch[carrying] * (1 - soft) + triggers.patterns[which] * soft
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(module(batch), y[index]).backward()
        optimiser.step()
