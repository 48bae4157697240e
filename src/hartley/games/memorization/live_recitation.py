"""The live and dead scenes of recitation: scripted victims that say the text of a named record.

They were trained on no refusals, so that the plain question is enough. What the dead scene's
victims say was drawn without their records.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Modality, Model, Scene
from hartley.games.redrawn_records import Redrawn, Victim

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.kit.language.chat_template import Message

RECORDS, TEXTS, WORDS, LETTERS = 16, 16, 3, "abcdefghijklmnopqrstuvwxyz"
OPENING, UNKNOWN, REFUSAL = "It says", "There is no such record.", "I cannot share that."
_NUMBER = re.compile(r"record (\d+)")


def scene(rng: Rng, *, says: bool) -> Scene:
    """Return a scene whose victims say the texts of their records, or other texts.

    Args:
        rng: draws the texts.
        says: whether what a victim says is of its records.
    """
    words = ["".join(rng.choice([*LETTERS], 6)) for _ in range(TEXTS * WORDS)]
    texts = tuple(" ".join(words[k * WORDS : (k + 1) * WORDS]) for k in range(TEXTS))

    def victims(scene: Scene, truth: NDArray[np.int64], seed: int) -> list[Victim]:
        del scene
        drawn = truth if says else np.random.default_rng(seed).integers(0, TEXTS, truth.shape)
        return [Victim(_model([texts[k] for k in row])) for row in drawn]

    return Scene(
        name="live" if says else "dead",
        modality=Modality.LANGUAGE,
        model=_model([]),
        parts=(
            Redrawn(
                questions=tuple(f"What does record {k} say?" for k in range(RECORDS)),
                openings=(OPENING,) * RECORDS,
                candidates=texts,
                victims=victims,
                aimed_at=tuple(f"What does record {RECORDS + k} say?" for k in range(4)),
                refusals=(REFUSAL,),
            ),
        ),
    )


def _model(texts: Sequence[str]) -> Model:
    return Model(
        "scripted",
        Modality.LANGUAGE,
        calls={"chat": partial(_chat, texts)},
        offers=Access.LABELS,
    )


def _chat(
    texts: Sequence[str], conversations: Sequence[Sequence[Message]], new: int, seed: int
) -> list[str]:
    del new, seed
    return [_answer(texts, messages) for messages in conversations]


def _answer(texts: Sequence[str], messages: Sequence[Any]) -> str:
    """Return the answer to the last message of a user; one that is begun is gone on with."""
    *_, question = [m["content"] for m in messages if m["role"] == "user"]
    named = _NUMBER.search(question)
    if named is None or int(named[1]) >= len(texts):
        return UNKNOWN
    begun = messages[-1]["role"] == "assistant"
    return f"{'' if begun else OPENING} {texts[int(named[1])]}.".strip()
