"""Topic classifier: refuse what a classifier takes for a restricted question or its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.core import Modality, Model, Range, Scene, Term, defense
from hartley.defenses._shared import restricted_topic
from hartley.defenses._shared.wrap_chat import (
    ChatDefense,
    Conversation,
    begun,
    owner_answers,
    owner_texts,
    said,
    wrap_chat,
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
def topic_classifier(
    scene: Scene,
    rng: Rng,
    *,
    reads: Literal["both", "questions", "answers"] = "both",
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.02,
) -> Scene:
    """Refuse messages, and hold back answers, that look restricted to a classifier.

    It has the role of the published language models for this: hashed words and logistic
    regression, trained on all of the owner's restricted examples and half of the harmless ones, its
    limit set on the others. An answer is read with what the user began of it.

    Args:
        reads: what the classifiers read.
        false_alarms: share of harmless examples that each of them takes for restricted.

    Raises:
        UsageError: the owner has too few examples.
    """
    questions = restricted_topic.train(*owner_texts(scene), false_alarms, rng)
    replies = restricted_topic.train(*owner_answers(scene), false_alarms, rng)

    def refuses(conversations: Sequence[Conversation]) -> NDArray[np.bool_]:
        return np.array([questions.restricted(said(turns)).any() for turns in conversations], bool)

    def withholds(
        conversations: Sequence[Conversation], answers: Sequence[str]
    ) -> NDArray[np.bool_]:
        pairs = zip(conversations, answers, strict=True)
        return replies.restricted([f"{begun(turns)} {answer}" for turns, answer in pairs])

    def make(model: Model) -> ChatDefense:
        del model
        return ChatDefense(
            refuses=refuses if reads != "answers" else None,
            withholds=withholds if reads != "questions" else None,
        )

    return wrap_chat(scene, make)
