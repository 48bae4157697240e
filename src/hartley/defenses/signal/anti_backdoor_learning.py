"""Anti-backdoor learning: isolate what is learnt suspiciously fast, and unlearn it.

A backdoor is easier than the task: poisoned records have a low loss after a few passes already.
Early training with gradient ascent below a loss keeps honest records near that loss, so that the
records of lowest loss are mostly poison. The finished model then forgets them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from hartley.core import Modality, Output, Range, Scene, Term, defense
from hartley.defenses._shared.repaired import repaired
from hartley.kit.answer_units import log_probabilities
from hartley.kit.eager_optimizers import eager
from hartley.kit.fleet import Fleet, ForwardPass, Objective
from hartley.kit.fleet.repair import Repair, TrainedOn, each

if TYPE_CHECKING:
    import torch

    from hartley.core.parts import Rng

BATCH = 32
"""Isolated records in a step of unlearning, and as many others."""


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning",),
    modalities=(Modality.VISION, Modality.LANGUAGE, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "paired": "its repair needs the network of a classifier; roclip is the defense of dual "
        "encoders in training",
        "graph": "the repairs need a network of Hartley's own Pipeline, and that of small graphs"
        " is none",
    },
    paper="arXiv:2110.11571",
    strongest={"isolate": 0.3, "steps": 200},
    requires=("training", "fit", "model", "train"),
)
def anti_backdoor_learning(
    scene: Scene,
    rng: Rng,
    *,
    isolate: Annotated[float, Range(0, 1)] = 0.05,
    early: Annotated[float, Range(0, 1, open_low=True)] = 0.1,
    floor: Annotated[float, Range(0)] = 0.1,
    steps: Annotated[int, Range(0)] = 100,
    rate: Annotated[float, Range(0, open_low=True)] = 0.5,
) -> Scene:
    """Train briefly with ascent below a loss, isolate the records of lowest loss, and unlearn them.

    Unlearning goes up the loss of the isolated records, to at most twice the loss of a guess, and
    down the loss of as many of the others.

    Args:
        isolate: share of the training records that is isolated.
        early: passes of the early training, as a share of the owner's own.
        floor: loss in nats below which early training ascends.
        steps: of unlearning.
        rate: learning rate of unlearning, as a multiple of the owner's own.
    """
    repair = Isolated(isolate, early, floor, steps, rate)
    return repaired(scene, rng, "anti_backdoor_learning", repair)


@dataclass(frozen=True, slots=True)
class LocalAscent(Objective):
    """Cross-entropy that changes its sign below a floor (local gradient ascent).

    Attributes:
        floor: the loss in nats.
    """

    shaped: ClassVar[bool] = True
    floor: float

    def loss(self, outputs: ForwardPass) -> torch.Tensor:
        """Return the mean of sign(loss − floor)·loss for each model."""
        losses = outputs.cross_entropy()
        return ((losses.detach() - self.floor).sign() * losses).mean(1)


@dataclass(frozen=True, slots=True)
class Isolated(Repair):
    """Isolation and unlearning; the attributes are the parameters of the defense."""

    isolate: float
    early: float
    floor: float
    steps: int
    rate: float

    def mend(self, fleet: Fleet, trained_on: TrainedOn) -> Fleet:
        """Make every model forget the records that an early training of its own learnt first."""
        import torch

        training = trained_on.training
        if not training.epochs:
            return fleet
        brief = replace(training, epochs=max(1, round(self.early * training.epochs)))
        young = trained_on.again(fleet.net, brief, LocalAscent(self.floor))
        logs = log_probabilities(young.query(trained_on.x), Output.LOGITS)
        losses = -logs[:, np.arange(len(trained_on.y)), trained_on.y]
        x = torch.from_numpy(np.asarray(trained_on.x, np.float32))
        y = torch.from_numpy(np.asarray(trained_on.y, np.int64))
        most = 2 * float(np.log(fleet.net.classes))

        def mend(k: int, module: torch.nn.Sequential) -> None:
            rows = np.flatnonzero(trained_on.include[k])
            order = rows[np.argsort(losses[k, rows], kind="stable")]
            isolated, rest = np.split(order, [int(self.isolate * len(order))])
            rng = trained_on.rng(k, "isolate")
            optimiser = eager("Adam")(module.parameters(), lr=training.lr * self.rate)
            for _ in range(self.steps if len(isolated) else 0):
                up = torch.from_numpy(rng.choice(isolated, BATCH))
                down = torch.from_numpy(rng.choice(rest, BATCH))
                optimiser.zero_grad()
                losing = torch.nn.functional.cross_entropy(module(x[up]), y[up], reduction="none")
                keeping = torch.nn.functional.cross_entropy(module(x[down]), y[down])
                (keeping - losing.clamp(max=most).mean()).backward()
                optimiser.step()

        return each(fleet, mend)
