"""SELENA: members are answered by those who have not seen them, and a student learns from that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from hartley.core import Modality, Range, Scene, Term, defense, spawn
from hartley.core.errors import UsageError
from hartley.kit.fleet import Apprentice, Objective
from hartley.models.training_defense import trained_for
from hartley.targets.torch import softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("membership",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:2110.08324",
    strongest={"parts": 5, "apart": 4},
    requires=("training", "fit", "model", "train"),
)
def selena(
    scene: Scene,
    rng: Rng,
    *,
    parts: Annotated[int, Range(2)] = 10,
    apart: Annotated[int, Range(1)] = 3,
) -> Scene:
    """Train sub-models that each miss some records, and a student on their answers about those.

    Split-AI: every record is kept from ``apart`` of ``parts`` sub-models, drawn at random. A member
    is answered by the mean of the sub-models that did not train on it, just as a stranger is
    answered by models that did not train on him; the deployed model is a student of the same
    architecture, taught these answers of its own members and nothing else. What it moves is the
    signal: members' and strangers' answers have one law, up to what the student learns by heart of
    his teachers' noise. The paper has 25 sub-models and keeps each record from 10.

    Args:
        parts: sub-models of every model.
        apart: sub-models that each record is kept from.

    Raises:
        UsageError: not 1 ≤ apart < parts.
    """
    if not 1 <= apart < parts:
        raise UsageError(f"selena: {apart} of {parts} sub-models cannot miss a record")
    return trained_for(scene, rng, "selena", Distilled(parts, apart))


@dataclass(frozen=True, slots=True)
class Distilled(Objective):
    """Targets from Split-AI.

    Attributes:
        parts: sub-models of every model.
        apart: sub-models that each record is kept from.
    """

    alone: ClassVar[bool] = False
    parts: int
    apart: int

    def teach(
        self,
        x: NDArray[np.float32],
        targets: NDArray[np.float32],
        include: NDArray[np.bool_],
        *,
        seed: int,
        first: int,
        apprentice: Apprentice,
    ) -> NDArray[np.float32]:
        """(K, n, classes): a member's row is the mean answer of sub-models that missed it."""
        out = np.repeat(targets[None], len(include), axis=0)
        for k, row in enumerate(include):
            missing = missed(len(x), self.parts, self.apart, spawn(seed, "split", first + k))
            root = spawn(seed, "split-ai") & 0x7FFFFFFF
            made = apprentice(row & ~missing, root, (first + k) * self.parts)
            own = np.flatnonzero(row)
            if len(own):
                out[k, own] = adaptive(softmax(made.query(x[own])), missing[:, own])
        return out


def missed(n: int, parts: int, apart: int, seed: int) -> NDArray[np.bool_]:
    """(parts, n) booleans: which sub-model does without which record; ``apart`` in each column."""
    order = np.random.default_rng(seed).random((parts, n)).argsort(0)
    return np.asarray(order < apart)


def adaptive(said: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean over the sub-models that missed a record, of answers (parts, n, classes)."""
    weight = missing / missing.sum(0)
    return np.asarray(np.einsum("pn,pnc->nc", weight, said), dtype=np.float32)
