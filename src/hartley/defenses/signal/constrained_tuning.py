"""Constrained tuning: the first tokens of answers may move little from the aligned model's law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Stronger, Term, defense
from hartley.defenses._shared.tuning_service import with_rule
from hartley.models.fine_tuning import Answers, TuningRule, TuningRun, TuningSteps

if TYPE_CHECKING:
    from torch import Tensor

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("finetuning",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2406.05946",
    strongest={"first": 100.0, "early": 100.0, "later": 100.0},
    requires=("ruled_tuner",),
)
def constrained_tuning(
    scene: Scene,
    rng: Rng,
    *,
    first: Annotated[float, Range(0, 1000, open_low=True), Stronger.MORE] = 0.5,
    early: Annotated[float, Range(0, 1000, open_low=True), Stronger.MORE] = 2.0,
    later: Annotated[float, Range(0, 1000, open_low=True), Stronger.MORE] = 0.1,
    tokens: Annotated[int, Range(1, 1000), Stronger.MORE] = 5,
) -> Scene:
    """Tune on −(2/β)·log σ(β·log(p/p₀)) of each token, p₀ being the aligned model's.

    Its gradient is that of −log p where p = p₀ and fades as p grows beyond p₀, the sooner the
    larger β is. So refusals, which are settled in the first tokens, are hard to unlearn.

    Args:
        first: β of the first token of an answer.
        early: β of the tokens after it.
        later: β of all others.
        tokens: number of the last early token.
    """
    del rng
    return with_rule(scene, ConstrainedTuning(first, early, later, tokens))


@dataclass(frozen=True, slots=True)
class ConstrainedTuning(TuningRule):
    """The rule, with its parameters."""

    first: float
    early: float
    later: float
    tokens: int

    def begin(self, run: TuningRun) -> TuningSteps:
        """Begin one run."""
        return _Constraint(self, run)


@dataclass(slots=True)
class _Constraint(TuningSteps):
    rule: ConstrainedTuning
    run: TuningRun

    def loss(self, answers: Answers) -> Tensor:
        """Return the constrained loss of a batch."""
        import torch

        rule = self.rule
        aligned = self.run.aligned(answers.batch).losses
        beta = torch.full_like(aligned, rule.later)
        beta[answers.places < rule.tokens] = rule.early
        beta[answers.places == 0] = rule.first
        gain = aligned - answers.losses
        return (-2 / beta * torch.nn.functional.logsigmoid(beta * gain)).mean()
