"""Models that are trained one by one, each when it is first asked, and whose answers are kept.

A reference model of a user's own training may take minutes. Its answers to the records in
question are all that most attacks need of it, and they are kept on disk under what made the model:
a run that was killed goes on at the next model, and two workers train different ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Ensemble, Model, Output
from hartley.kit.cache import Busy, cached, digest, is_cached
from hartley.kit.training_news import Pace

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = "references"
"""Where in the cache the answers are."""


def one_by_one(
    train: Callable[[int], Model],
    identities: Sequence[str],
    facts: Mapping[str, Any] | None = None,
    *,
    output: Output | None = None,
) -> Ensemble:
    """Return K models of which none is trained before it is needed.

    Args:
        train: k → the k-th model. The code of its module, with its imports, is part of what answers
            are kept under.
        identities: of the K models, from all that makes each: code, records, seed. Answers of a
            model whose identity is empty are not kept.
        facts: how they are trained.
        output: the units of their answers, where these are known.
    """
    models = _Models(train, tuple(identities), Pace(len(identities)))
    return Ensemble(len(identities), models.query, models.member, facts or {}, output)


@dataclass(slots=True, eq=False)
class _Models:
    """Models of which those that were asked are there."""

    train: Callable[[int], Model]
    identities: tuple[str, ...]
    pace: Pace
    trained: dict[int, Model] = field(default_factory=dict)
    lock: Any = field(default_factory=RLock)

    def member(self, k: int) -> Model:
        """Return the k-th model."""
        return self._model(k, lambda: len(self.trained))

    def query(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the answers (K, n, …) of all; a model that another process trains comes last."""
        x, stamp = np.asarray(x), digest(np.asarray(x))
        answers: dict[int, NDArray[Any]] = {}
        todo, wait = list(range(len(self.identities))), False
        while todo:
            others = []
            for k in todo:
                try:
                    answers[k] = self._answers(k, x, stamp, answers, wait=wait)
                    wait = False
                except Busy:
                    others.append(k)
            wait = len(others) == len(todo)
            todo = others
        return np.stack([answers[k] for k in range(len(answers))])

    def _answers(
        self, k: int, x: NDArray[Any], stamp: str, before: Mapping[int, Any], *, wait: bool
    ) -> NDArray[Any]:
        def done() -> int:
            """Models that have answered here or, by what is on disk, anywhere."""
            return sum(
                j in before or is_cached(FOLDER, _recipe(name, stamp), self.train)
                for j, name in enumerate(self.identities)
            )

        def ask() -> NDArray[Any]:
            return np.asarray(self._model(k, done).query(x))

        if not (name := self.identities[k]):
            return ask()
        recipe, code = _recipe(name, stamp), self.train
        return cached(FOLDER, recipe, lambda: {"answers": ask()}, code=code, wait=wait)["answers"]

    def _model(self, k: int, done: Callable[[], int]) -> Model:
        with self.lock:
            if k not in self.trained:
                self.pace.begin(done)
                self.trained[k] = self.train(k)
            return self.trained[k]


def _recipe(identity: str, stamp: str) -> dict[str, str]:
    """What the answers of a model to records are kept under."""
    return {"model": identity, "x": stamp}
