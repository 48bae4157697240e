"""What an extraction attacker has asked, and the copies that are trained on the answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.core import Data, Model, Output, View
from hartley.core.errors import RunError, UsageError
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.kit import changed_scores
from hartley.kit.answer_units import probabilities
from hartley.models.clone import clone

if TYPE_CHECKING:
    from numpy.typing import NDArray


Reading = Literal["answers", "labels", "recovered"]
"""What a thief learns of an answer."""


def allowance(view: View[ExtractionBrief], queries: int = 0) -> int:
    """Return how many records to ask: what the rules allow and, of budgets that are known, grant.

    Args:
        view: of an extraction; an attacker who sees a query budget stays within it, with each
            account that they hold where the accounts do not share it.
        queries: the attack's own limit; 0 sets none.
    """
    allowed = [view.brief.queries, *([queries] if queries else [])]
    for defense in view.defenses:
        if defense.name == "query_budget":
            accounts = 1 if defense.params.get("shared") else view.brief.accounts
            allowed.append(defense.params["queries"] * accounts)
    return max(1, min(allowed))


FEW = 4
"""Rows that logits may have by chance where all are not negative and sum to 1."""


@dataclass(slots=True)
class Transfer:
    """The transfer set of one attack: records that were asked, with the victim's answers.

    Attributes:
        view: of the attack.
        left: records that may still be asked.
        reading: what is learnt of an answer: ``answers``, all scores; ``labels``, the likeliest
            class; ``recovered``, the mean of the scores that a known change of scores turns into
            the answer.
        repeats: how often each record is asked; the mean of its answers is learnt.
    """

    view: View[ExtractionBrief]
    left: int
    reading: Reading = "answers"
    repeats: int = 1
    _x: list[NDArray[Any]] = field(default_factory=list)
    _answers: list[NDArray[np.float32]] = field(default_factory=list)

    def __len__(self) -> int:
        """The number of records that were asked."""
        return sum(map(len, self._x))

    @property
    def x(self) -> NDArray[Any]:
        """(n, …) records that were asked."""
        return np.concatenate(self._x)

    @property
    def answers(self) -> NDArray[np.float32]:
        """(n, classes) their answers as probabilities; a label is certain."""
        return np.concatenate(self._answers)

    def ask(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Ask about the first of these records, as many as are left; return probabilities.

        With ``repeats`` each takes as many questions, and at least one record is asked. Answers are
        taken in the units that the model declares (``Model.output``), never in those that they look
        like.

        Raises:
            RunError: the model declares logits, and what it answers are probabilities: a copy would
                learn scores that are nearly uniform, without any other sign.
        """
        times = max(1, min(self.repeats, self.left))
        x = x[: self.left // times]
        mean = np.mean([self._answered(x) for _ in range(times)], axis=0, dtype=np.float32)
        answers = read(np.asarray(mean), self.view, self.reading)
        self.left -= times * len(x)
        # Less than one record's questions may be left over: nothing can be asked with them.
        self.left = 0 if self.left < times else self.left
        self._x.append(x)
        self._answers.append(answers)
        return answers

    def _answered(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return the answers (n, classes) to records as probabilities; a label is certain."""
        model = self.view.model
        raw = np.asarray(model.query(x))
        if model.output is Output.LOGITS and _are_probabilities(raw):
            raise RunError(
                f"{model.name!r} declares logits, but its answers are not negative and sum to 1 "
                "(are they probabilities? declare output=Output.PROBABILITIES)"
            )
        return probabilities(raw, model.output, model.classes)

    def copy(self, seed: int, **how: Any) -> Model:
        """Train a copy on all answers so far; see ``hartley.models.clone.clone``."""
        records = Data("transfer set", self.view.brief.public.modality, self.x)
        return clone(records, self.answers, seed, **how)


def _are_probabilities(rows: NDArray[Any]) -> bool:
    """Whether rows of scores are probabilities; one that is certain may also be two logits."""
    if len(rows) < FEW or rows.min() < 0 or np.abs(rows.sum(1) - 1).max() > 1e-5:
        return False
    return bool((rows.max(1) < 1).any())


def read(
    answers: NDArray[np.float32], view: View[ExtractionBrief], reading: Reading
) -> NDArray[np.float32]:
    """Return what an attacker learns of answers (n, classes), probabilities.

    Where no defense is known that changes scores by a known formula, nothing is to be recovered.
    """
    if reading == "labels":
        return np.asarray(np.eye(answers.shape[1], dtype=np.float32)[answers.argmax(1)])
    changes = [d.params for d in view.defenses if d.name == "reverse_sigmoid"]
    if reading == "answers" or not changes or not len(answers):
        return answers

    def change(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        for one in changes:
            rows = changed_scores.reverse_sigmoid(rows, one["strength"], one["slope"])
        return rows

    draws = np.random.default_rng(view.salt)
    return changed_scores.recovered(answers, change, draws).astype(np.float32)


def labels_of_copy(copy: Model, x: NDArray[Any]) -> NDArray[Any]:
    """Return the labels (n,) that a copy gives to records."""
    labels: NDArray[Any] = np.asarray(copy.query(x)).argmax(1)
    return labels


def scores_of_copy(copy: Model, x: NDArray[Any]) -> NDArray[np.float32]:
    """Return the probabilities (n, classes) that a copy gives to records."""
    return probabilities(np.asarray(copy.query(x)), copy.output, copy.classes)


def slopes(copy: Model, x: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """Return the gradients (n, …) of a copy's loss of these labels with respect to the records."""
    assert copy.grad is not None
    gradients: NDArray[Any] = copy.grad(x, labels)
    return gradients


def shares(total: int, rounds: int) -> list[int]:
    """Return how many of ``total`` to take in each of at most ``rounds`` rounds, none of them 0."""
    parts = np.diff(np.linspace(0, total, min(rounds, total) + 1).astype(int))
    return [int(part) for part in parts]


def numbers(view: View[ExtractionBrief], attack: str) -> Data:
    """Return the attacker's records, which the attack changes as numbers.

    Raises:
        UsageError: they are none, or not numbers.
    """
    public = view.brief.public
    if not len(public) or not np.issubdtype(public.x.dtype, np.floating):
        raise UsageError(
            f"{attack} needs records of numbers of the attacker's own, got {public.name!r}"
        )
    return public
