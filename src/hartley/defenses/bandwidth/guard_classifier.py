"""Guard classifier: refuse what a classifier takes for a restricted question or its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.core import Modality, Model, Range, Scene, Term, defense
from hartley.defenses._shared import restricted_topic
from hartley.defenses._shared.prompt_shield import (
    Conversation,
    Shield,
    begun,
    owner_answers,
    owner_texts,
    said,
    shielded,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("jailbreak",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2312.06674",
    strongest={"false_alarms": 0.2},
    requires=("model", "withheld"),
)
def guard_classifier(
    scene: Scene,
    rng: Rng,
    *,
    guards: Literal["both", "questions", "answers"] = "both",
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.02,
) -> Scene:
    """Refuse messages, and hold back answers, that look restricted to a classifier.

    It has the role of Llama Guard: hashed words and logistic regression, trained on all of the
    owner's restricted examples and half of the harmless ones, its limit set on the others. An
    answer is read with what the user began of it.

    Args:
        guards: what the classifiers read.
        false_alarms: share of harmless examples that each of them takes for restricted.

    Raises:
        UsageError: the owner has too few examples.
    """
    asked = restricted_topic.train(*owner_texts(scene), false_alarms, rng)
    given = restricted_topic.train(*owner_answers(scene), false_alarms, rng)

    def refuses(conversations: Sequence[Conversation]) -> NDArray[np.bool_]:
        return np.array([asked.restricted(said(turns)).any() for turns in conversations], bool)

    def withholds(
        conversations: Sequence[Conversation], answers: Sequence[str]
    ) -> NDArray[np.bool_]:
        pairs = zip(conversations, answers, strict=True)
        return given.restricted([f"{begun(turns)} {answer}" for turns, answer in pairs])

    def make(model: Model) -> Shield:
        del model
        return Shield(
            refuses=refuses if guards != "answers" else None,
            withholds=withholds if guards != "questions" else None,
        )

    return shielded(scene, make)
