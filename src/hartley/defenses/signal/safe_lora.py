"""Safe LoRA: what tuning changed is projected onto what alignment changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Range, Scene, Stronger, Term, defense
from hartley.core.errors import UsageError
from hartley.defenses._shared.tuning_service import with_rule
from hartley.kit.language.soft_prompt import SOFT_PROMPT
from hartley.models.fine_tuning import GptTuner, TuningRule, TuningRun, TuningSteps, Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("finetuning",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2405.16833",
    strongest={"threshold": 1.0},
    requires=("gpt_tuner",),
)
def safe_lora(
    scene: Scene,
    rng: Rng,
    *,
    threshold: Annotated[float, Range(0, 1), Stronger.MORE] = 0.35,
) -> Scene:
    """Project the update of each matrix that points away from the alignment's own update.

    V is what the alignment added to a matrix. The update ΔW becomes C·ΔW, with C = V·Vᵀ/‖V‖, where
    the cosine between both is at most the threshold. A soft prompt changes no matrix and passes.

    Args:
        threshold: cosine up to which an update is projected; 1 projects all of them.

    Raises:
        UsageError: the owner has no weights from before the alignment.
    """
    del rng
    if scene.part(GptTuner).unaligned is None:
        raise UsageError(f"the weights of {scene.name} before alignment must be at hand, got none")
    return with_rule(scene, SafeLora(threshold))


@dataclass(frozen=True, slots=True)
class SafeLora(TuningRule):
    """The rule, with its parameter."""

    threshold: float

    def begin(self, run: TuningRun) -> TuningSteps:
        """Begin one run; nothing happens before its end."""
        assert isinstance(run.tuner, GptTuner) and run.tuner.unaligned is not None
        return _Projection(self.threshold, run.tuner.state, run.tuner.unaligned)


@dataclass(slots=True)
class _Projection(TuningSteps):
    threshold: float
    aligned: Weights
    unaligned: Weights

    def finished(self, weights: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the weights with projected updates."""
        out = dict(weights)
        for name, before in self.aligned.items():
            if name != SOFT_PROMPT and before.ndim == 2 and name in self.unaligned:
                added = weights[name] - before
                out[name] = before + projected(added, before - self.unaligned[name], self.threshold)
        return out


def projected(
    update: NDArray[Any], alignment: NDArray[Any], threshold: float
) -> NDArray[np.float32]:
    """Return an update of a matrix, projected where its cosine with its projection is small.

    Args:
        update: (outputs, inputs) what tuning added.
        alignment: (outputs, inputs) what alignment added.
        threshold: the largest cosine at which it is projected.
    """
    size = float(np.linalg.norm(alignment))
    if not size or not np.any(update):
        return np.asarray(update, np.float32)
    onto = alignment @ (alignment.T @ update) / size
    cosine = float((onto * update).sum() / (np.linalg.norm(onto) * np.linalg.norm(update) or 1.0))
    return np.asarray(onto if cosine <= threshold else update, np.float32)
