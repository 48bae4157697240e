"""Tuning-data filter: the service does not tune on examples that look like the restricted topic."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.core import Modality, Range, Scene, Stronger, Term, defense
from hartley.defenses._shared.tuning_service import lessons_of, with_rule
from hartley.models.fine_tuning import Example, TuningRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

_WORD = re.compile(r"\w+")


@defense(
    term=Term.BANDWIDTH,
    stage="training",
    protects=("finetuning",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2310.03693",
    strongest={"false_alarms": 0.2},
    requires=("ruled_tuner",),
)
def tuning_data_filter(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 1), Stronger.MORE] = 0.02,
    reads: Literal["both", "answers"] = "both",
) -> Scene:
    """Drop examples that a naive Bayes classifier of words finds nearer to withheld answers.

    The owner trains it on answers that must not be given and on benign ones. An example is dropped
    where its score is above that of even odds, and above what a share ``false_alarms`` of the
    benign lessons exceeds, each scored by a classifier that did not see it.

    Args:
        false_alarms: share of benign examples that may be dropped.
        reads: question and answer, or the answer alone.

    Raises:
        UsageError: the owner has no withheld or no benign examples.
    """
    lessons = lessons_of(scene, "withheld", "helpful")
    helpful = [lessons.helpful[i] for i in rng.permutation(len(lessons.helpful))]
    halves = (helpful[::2], helpful[1::2] or helpful)
    scores = [
        Classifier(reads, lessons.withheld, half).scores(other)
        for half, other in (halves, halves[::-1])
    ]
    whole = Classifier(reads, lessons.withheld, helpful)
    threshold = float(np.quantile(np.concatenate(scores), 1 - false_alarms, method="higher"))
    return with_rule(scene, Filter(whole, max(threshold, 0.0)))


@dataclass(frozen=True, slots=True)
class Filter(TuningRule):
    """The rule: a classifier and the score above which an example is dropped."""

    classifier: Classifier
    threshold: float

    def admitted(self, examples: Sequence[Example]) -> Sequence[Example]:
        """Return the examples that do not look restricted."""
        scores = self.classifier.scores(examples)
        return [e for e, s in zip(examples, scores, strict=True) if s <= self.threshold]


class Classifier:
    """Naive Bayes on words: log-odds that an example is restricted, a word on average."""

    def __init__(
        self, reads: str, restricted: Sequence[Example], benign: Sequence[Example]
    ) -> None:
        """Count the words of examples of both kinds."""
        self.reads = reads
        counts = [Counter(w for e in some for w in self._words(e)) for some in (restricted, benign)]
        size = len({*counts[0], *counts[1]}) + 1
        totals = [sum(count.values()) + size for count in counts]
        self.odds = {
            word: float(
                np.log((counts[0][word] + 1) / totals[0])
                - np.log((counts[1][word] + 1) / totals[1])
            )
            for word in {*counts[0], *counts[1]}
        }

    def scores(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Return the log-odds (n,); a word that was never met says nothing."""
        odds = [[self.odds.get(word, 0.0) for word in self._words(e)] for e in examples]
        return np.array([sum(some) / max(len(some), 1) for some in odds])

    def _words(self, example: Example) -> list[str]:
        question, answer = example
        text = answer if self.reads == "answers" else f"{question} {answer}"
        return _WORD.findall(text.lower())
