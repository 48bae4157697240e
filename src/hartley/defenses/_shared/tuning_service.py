"""Change the service that tunes a model: its rules, or the alignment that it starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Scene
from hartley.core.errors import UsageError
from hartley.kit.cache import cached, digest
from hartley.models.fine_tuning import (
    Answers,
    GptTuner,
    Lessons,
    Rows,
    RuledTuner,
    TuningRule,
    Weights,
    read_answers,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hartley.kit.language import gpt


def with_rule(scene: Scene, rule: TuningRule) -> Scene:
    """Return the scene whose service has one rule more."""
    tuner = scene.part(RuledTuner)  # type: ignore[type-abstract]
    return scene.with_part(tuner.with_(rules=(*tuner.rules, rule)))


def lessons_of(scene: Scene, *names: str) -> Lessons:
    """Return what the owner aligned the model with.

    Raises:
        UsageError: a kind of ``names`` is empty.
    """
    lessons = scene.part(RuledTuner).lessons  # type: ignore[type-abstract]
    for name in names:
        if not getattr(lessons, name):
            raise UsageError(f"the owner of {scene.name} must have {name} examples, got none")
    return lessons


@dataclass(slots=True)
class Alignment:
    """A model that is aligned further.

    Attributes:
        tuner: of the scene.
        state: parameters by name, with gradients.
        rng: draws batches.
        batch: examples of each kind a step.
        rows: the owner's lessons as tokens, by kind.
    """

    tuner: GptTuner
    state: dict[str, Tensor]
    rng: np.random.Generator
    batch: int
    rows: Mapping[str, Rows]

    def draw(self, kind: str) -> Rows:
        """Draw a batch of ``refused``, ``withheld`` or ``helpful`` examples."""
        rows = self.rows[kind]
        return rows.some(self.rng.choice(len(rows), min(self.batch, len(rows)), replace=False))

    def read(
        self, rows: Rows, state: Mapping[str, Tensor] | None = None, tap: gpt.Tap | None = None
    ) -> Answers:
        """Read answers by the parameters, or by others."""
        return read_answers(state or self.state, self.tuner.shape, rows, tap=tap)

    def duties(self, tap: gpt.Tap | None = None) -> Tensor:
        """Return the loss of refusing and of answering benign questions, a batch of each."""
        refused, helpful = self.draw("refused"), self.draw("helpful")
        return self.read(refused, tap=tap).losses.mean() + self.read(helpful).losses.mean()


def aligned_further(
    scene: Scene,
    rng: np.random.Generator,
    recipe: Mapping[str, Any],
    step: Callable[[Alignment], None],
    *,
    steps: int,
    rate: float,
    batch: int = 16,
) -> Scene:
    """Return the scene whose model went through more steps of alignment, kept on disk.

    Args:
        scene: with a ``GptTuner`` and lessons of all kinds.
        rng: settles the seed.
        recipe: name and parameters of the defense: plain values that the result depends on.
        step: leaves the gradient of one step in the parameters.
        steps: of the optimiser (AdamW without decay, gradients clipped at norm 1).
        rate: learning rate.
        batch: examples of each kind a step.

    Raises:
        UsageError: the owner lacks lessons.
    """
    tuner, lessons = scene.part(GptTuner), lessons_of(scene, "refused", "withheld", "helpful")
    rows = {name: tuner.rows(getattr(lessons, name)) for name in ("refused", "withheld", "helpful")}
    seed = int(rng.integers(2**31))
    key = {
        **recipe,
        **{"steps": steps, "rate": rate, "batch": batch, "seed": seed},
        "state": digest(dict(tuner.state)),
        "rows": {name: [some.tokens, some.first] for name, some in rows.items()},
    }

    def build() -> Weights:
        alignment = Alignment(tuner, {}, np.random.default_rng(seed), batch, rows)
        return _trained(alignment, step, seed, steps, rate)

    state = cached("alignment", key, build, code=step)
    changed = tuner.with_(state=state)
    assert scene.model is not None
    model = changed.model.with_(name=scene.model.name, offers=scene.model.offers)
    return replace(scene.with_part(changed), model=model)


def _trained(
    alignment: Alignment, step: Callable[[Alignment], None], seed: int, steps: int, rate: float
) -> dict[str, NDArray[Any]]:
    import torch

    start = alignment.tuner.state.items()
    state = {name: torch.from_numpy(np.array(array)).requires_grad_() for name, array in start}
    alignment.state = state
    optimiser = torch.optim.AdamW(list(state.values()), lr=rate, weight_decay=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(steps):
            optimiser.zero_grad(set_to_none=True)
            step(alignment)
            torch.nn.utils.clip_grad_norm_(state.values(), 1.0)
            optimiser.step()
    return {name: tensor.detach().numpy().copy() for name, tensor in state.items()}
