"""Label smoothing: mix each training label with the uniform distribution, or subtract it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.kit.fleet import Objective
from hartley.models.training_defense import trained_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("membership", "class_inversion", "gradient_inversion", "attribute_inference"),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:2310.06549",
    strongest={"amount": 1.0},
    requires=("training", "fit", "model", "train"),
)
def label_smoothing(
    scene: Scene, rng: Rng, *, amount: Annotated[float, Range(-1, 1)] = -0.05
) -> Scene:
    """Mix each training label with the uniform distribution, or subtract that from the label.

    The target is 1 − amount + amount/classes for the label and amount/classes for other classes. It
    changes the signal: how far apart answers about members and about non-members can be, and how
    much the weights repeat of a class's records. A positive amount limits the confidence on a
    member, but arXiv:2310.06549 finds that class inversion then rebuilds sharper records. A
    negative amount makes the targets of other classes negative, which the paper finds to protect.
    The default is negative: on digits, positive amounts double the bits of an adaptive LiRA.

    Args:
        amount: share of the target that is spread over all classes; a negative amount is taken
            from them.
    """
    return trained_for(scene, rng, "label_smoothing", Smoothed(amount))


@dataclass(frozen=True, slots=True)
class Smoothed(Objective):
    """Targets mixed with the uniform distribution.

    Attributes:
        amount: weight of the uniform distribution; a negative weight subtracts it.
    """

    amount: float

    def teach(
        self, x: Any, targets: NDArray[np.float32], include: Any, **rest: Any
    ) -> NDArray[np.float32]:
        """Return the mixed targets, (1 − amount) · targets + amount / classes."""
        del x, include, rest
        mixed = (1 - self.amount) * targets + self.amount / targets.shape[-1]
        return np.asarray(mixed, dtype=np.float32)
