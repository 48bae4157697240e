"""Lisa: tuning takes turns between the user's examples and the owner's, and each stays near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Stronger, Term, defense
from hartley.defenses._shared.tuning_service import lessons_of, with_rule
from hartley.models.fine_tuning import Rows, TuningRule, TuningRun, TuningSteps

if TYPE_CHECKING:
    from torch import Tensor

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("finetuning",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2405.18641",
    strongest={"aligning": 8, "tuning": 1, "pull": 1.0},
    requires=("ruled_tuner",),
)
def lisa(
    scene: Scene,
    rng: Rng,
    *,
    aligning: Annotated[int, Range(1, 1000), Stronger.MORE] = 10,
    tuning: Annotated[int, Range(1, 1000), Stronger.LESS] = 10,
    pull: Annotated[float, Range(0, 1000), Stronger.MORE] = 1.0,
) -> Scene:
    """Alternate steps on the owner's alignment examples with steps on the user's.

    Within a turn the trained tensors are pulled towards where they were at its beginning, by
    ½·pull·‖w − w₀‖². The user gets all the steps that they asked for.

    Args:
        aligning: steps on the owner's examples before each turn of the user.
        tuning: steps of a turn of the user.
        pull: weight of the proximal term.

    Raises:
        UsageError: the owner has no examples of refusals or of benign answers.
    """
    del rng
    lessons_of(scene, "refused", "helpful")
    return with_rule(scene, Lisa(aligning, tuning, pull))


@dataclass(frozen=True, slots=True)
class Lisa(TuningRule):
    """The rule, with its parameters."""

    aligning: int
    tuning: int
    pull: float

    def begin(self, run: TuningRun) -> TuningSteps:
        """Begin one run with a turn of the owner."""
        lessons = run.tuner.lessons
        return _Turns(self, run, run.tuner.rows((*lessons.refused, *lessons.helpful)))


class _Turns(TuningSteps):
    """One run: where in a turn it is, and where the turn began."""

    def __init__(self, rule: Lisa, run: TuningRun, rows: Rows) -> None:
        self.rule, self.run, self.rows = rule, run, rows
        self.step, self.anchor = 0, self._here()

    def batch(self) -> Rows | None:
        """Return the owner's examples in their turns."""
        if self.step % (self.rule.aligning + self.rule.tuning) >= self.rule.aligning:
            return None
        size = min(self.run.settings.batch, len(self.rows))
        return self.rows.some(self.run.rng.choice(len(self.rows), size, replace=False))

    def penalty(self) -> Tensor | None:
        """Return the proximal term."""
        if not self.rule.pull:
            return None
        moved = [(t - self.anchor[n]).square().sum() for n, t in self.run.trained.items()]
        return self.rule.pull / 2 * sum(moved[1:], moved[0])

    def stepped(self) -> None:
        """Count a step; a new turn begins where the last one ended."""
        self.step += 1
        if self.step % (self.rule.aligning + self.rule.tuning) in (0, self.rule.aligning):
            self.anchor = self._here()

    def _here(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.run.trained.items()}
