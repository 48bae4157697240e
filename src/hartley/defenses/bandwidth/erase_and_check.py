"""Erase-and-check: refuse a prompt if a part of it that is left without its end is restricted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.core import Modality, Model, Range, Scene, Term, defense
from hartley.defenses._shared import restricted_topic
from hartley.defenses._shared.wrap_chat import (
    ChatDefense,
    Conversation,
    owner_texts,
    said,
    wrap_chat,
)
from hartley.games.jailbreak.conversations import ask
from hartley.games.judge_answers import refused
from hartley.games.withheld_secrets import Withheld
from hartley.kit.interval_values import share_figure
from hartley.kit.language.chat_template import asked as plainly

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

Checker = Callable[[Sequence[str]], "NDArray[np.bool_]"]
"""Messages → which of them (n,) are restricted."""

ANSWER = 16
"""Tokens of an answer in which a refusal of the victim is read."""


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("jailbreak",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2309.02705",
    strongest={"erased": 40, "false_alarms": 0.2},
    requires=("model", "withheld"),
)
def erase_and_check(
    scene: Scene,
    rng: Rng,
    *,
    erased: Annotated[int, Range(0, 1000)] = 20,
    checker: Literal["classifier", "victim"] = "classifier",
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.02,
) -> Scene:
    """Refuse a message that is restricted, or is so without its last token, its last two, ….

    Certificate: a question that the checker takes for restricted is refused with any suffix of at
    most ``erased`` tokens behind it (words, where the victim has no codec). It says nothing of what
    is before or inside of the question, of rewordings, and of answers that are begun.
    ``certified`` among the scene's facts is the share of plain restricted questions that the
    checker takes for restricted. The limit is set on whole harmless messages with all their
    beginnings, so that the share of false alarms is that of the whole procedure.

    Args:
        erased: d, tokens that may be erased from the end.
        checker: a classifier of hashed words, or whether the victim refuses.
        false_alarms: share of harmless messages that the classifier's procedure refuses.

    Raises:
        UsageError: the owner has too few examples.
    """
    part, (restricted, harmless) = scene.part(Withheld), owner_texts(scene)
    codec = scene.model.codec if scene.model is not None else None

    def beginnings(text: str) -> list[str]:
        """Return a message and what is left of it, shortest last."""
        if codec is None:
            words = text.split()
            return [" ".join(words[: len(words) - k]) for k in range(min(erased, len(words)) + 1)]
        rows = np.asarray(codec.encode([text]))
        size = int((rows >= 0).sum())
        lengths = range(size, max(size - erased, 0) - 1, -1)
        return [text, *(codec.decode(rows[:, :k])[0] for k in list(lengths)[1:])]

    topic = restricted_topic.train(restricted, harmless, false_alarms, rng, forms=beginnings)

    def make(model: Model) -> ChatDefense:
        check = topic.restricted if checker == "classifier" else _victims(model, part)

        def refuses(conversations: Sequence[Conversation]) -> NDArray[np.bool_]:
            pieces = [
                [rest for text in said(turns) for rest in beginnings(text)]
                for turns in conversations
            ]
            caught = check([piece for rows in pieces for piece in rows])
            ends = np.cumsum([len(rows) for rows in pieces])
            return np.array([flags.any() for flags in np.split(caught, ends[:-1])], bool)

        return ChatDefense(refuses=refuses)

    after = wrap_chat(scene, make)
    assert scene.model is not None
    checked = topic.restricted if checker == "classifier" else _victims(scene.model, part)
    certified = share_figure(checked(list(part.questions)))
    facts = {"certified_suffix": erased, "certified": certified}
    return replace(after, facts={**scene.facts, **facts})


def _victims(model: Model, part: Withheld) -> Checker:
    """Return what checks a message by whether the victim refuses it."""

    def check(texts: Sequence[str]) -> NDArray[np.bool_]:
        # Many messages have their beginnings in common.
        unique = [*dict.fromkeys(texts)]
        answers = ask(model, part.template, [plainly(t, part.system) for t in unique], ANSWER)
        known = dict(zip(unique, refused(answers, part.refusals).tolist(), strict=True))
        return np.array([known[text] for text in texts], bool)

    return check
