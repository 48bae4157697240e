"""SELENA: train on answers about each member of sub-models that were not trained on it."""

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
    """Train sub-models that each omit some records, and a student on their answers about those.

    Split-AI: each record is withheld from ``apart`` of ``parts`` sub-models, drawn at random. The
    answer about a member is the mean over the sub-models that were not trained on it; non-members
    are answered by models that were not trained on them either. The deployed model is a student of
    the same architecture, trained on these answers about its own members and on nothing else. The
    defense lowers the signal: answers about members and non-members have the same distribution,
    except for what the student memorises of its teachers' noise. The paper uses 25 sub-models and
    withholds each record from 10.

    Args:
        parts: sub-models of every model.
        apart: number of sub-models that each record is withheld from.

    Raises:
        UsageError: ``apart`` is not below ``parts``.
    """
    if not 1 <= apart < parts:
        raise UsageError(f"selena: apart must be below parts, got {apart} of {parts}")
    return trained_for(scene, rng, "selena", Distilled(parts, apart))


@dataclass(frozen=True, slots=True)
class Distilled(Objective):
    """Targets from Split-AI.

    Attributes:
        parts: sub-models of every model.
        apart: number of sub-models that each record is withheld from.
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
        """Return targets (K, n, classes): for a member, the mean of sub-models without it."""
        out = np.repeat(targets[None], len(include), axis=0)
        for k, row in enumerate(include):
            missing = missed(len(x), self.parts, self.apart, spawn(seed, "split", first + k))
            root = spawn(seed, "split-ai") & 0x7FFFFFFF
            submodels = apprentice(row & ~missing, root, (first + k) * self.parts)
            members = np.flatnonzero(row)
            if len(members):
                answers = softmax(submodels.query(x[members]))
                out[k, members] = adaptive(answers, missing[:, members])
        return out


def missed(n: int, parts: int, apart: int, seed: int) -> NDArray[np.bool_]:
    """Return (parts, n) booleans: which sub-model omits which record; ``apart`` in each column."""
    order = np.random.default_rng(seed).random((parts, n)).argsort(0)
    return np.asarray(order < apart)


def adaptive(answers: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the mean (n, classes) of answers (parts, n, classes) over sub-models without a record.

    Args:
        answers: (parts, n, classes) probabilities.
        missing: (parts, n) which sub-model omits which record.
    """
    weight = missing / missing.sum(0)
    return np.asarray(np.einsum("pn,pnc->nc", weight, answers), dtype=np.float32)
