"""SmoothLLM: answer many randomly changed copies of a prompt, and side with the majority."""

from __future__ import annotations

import string
import zlib
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.core import Modality, Model, Range, Scene, Term, defense
from hartley.defenses._shared.wrap_chat import ChatDefense, Conversation, rewritten, wrap_chat
from hartley.games.judge_answers import refused
from hartley.games.withheld_secrets import Withheld

if TYPE_CHECKING:
    from hartley.core.parts import Rng

ALPHABET = np.array([*string.printable[:95]])
"""Characters that a copy may get: those that can be printed, and the space."""

Kind = Literal["swap", "insert", "patch"]


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("jailbreak",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2310.03684",
    strongest={"share": 0.5},
    requires=("model", "withheld"),
)
def smooth_llm(
    scene: Scene,
    rng: Rng,
    *,
    copies: Annotated[int, Range(1, 1000)] = 6,
    share: Annotated[float, Range(0, 1, open_low=True)] = 0.1,
    kind: Literal["swap", "insert", "patch"] = "swap",
) -> Scene:
    """Change characters of the user's messages in each copy; answer as most copies are answered.

    Where more than half of the copies are not refused, one of their answers is given, else one of
    the refusals. What is drawn depends on the conversation and a key of the owner, so that asking
    again brings nothing new. Scores are those of a random copy: of the mean probability. An answer
    that the user begins is theirs, and is not changed.

    Args:
        copies: N; the paper has 2 to 10.
        share: q, of the characters of each message that are changed.
        kind: ``swap`` characters for random ones, ``insert`` random ones, or a ``patch`` of
            characters in a row.
    """
    key = int(rng.integers(2**31))
    refusals = scene.part(Withheld).refusals

    def drawn(conversation: Conversation, purpose: int) -> Rng:
        text = repr([(message["role"], message["content"]) for message in conversation])
        return np.random.default_rng([key, purpose, zlib.crc32(text.encode())])

    def made(conversation: Conversation) -> list[Conversation]:
        draws = drawn(conversation, 0)
        return [
            rewritten(conversation, lambda text: changed(text, share, kind, draws))
            for _ in range(copies)
        ]

    def choose(conversation: Conversation, answers: list[str]) -> str:
        refuses = refused(answers, refusals)
        majority = refuses if refuses.mean() >= 0.5 else ~refuses
        return answers[int(drawn(conversation, 1).choice(np.flatnonzero(majority)))]

    def make(model: Model) -> ChatDefense:
        del model
        return ChatDefense(copies=made, choose=choose)

    return wrap_chat(scene, make)


def changed(text: str, share: float, kind: Kind, rng: Rng) -> str:
    """Return a text with a share of its characters changed, at least one."""
    letters, size = [*text], len(text)
    count = min(max(1, int(share * size)), size)
    if not size:
        return text
    if kind == "patch":
        start = int(rng.integers(size - count + 1))
        letters[start : start + count] = map(str, rng.choice(ALPHABET, count))
        return "".join(letters)
    places = np.sort(rng.permutation(size)[:count])[::-1].tolist()
    for place, letter in zip(
        places, ALPHABET[rng.integers(len(ALPHABET), size=count)], strict=True
    ):
        letters[place] = str(letter) if kind == "swap" else letters[place] + str(letter)
    return "".join(letters)
