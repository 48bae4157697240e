"""Quotation filter: withhold answers that quote the prompt or the context at length, or in code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.kit.encodings.readings import readings
from hartley.kit.stores.extractive_reader import NO_ANSWER, words_of
from hartley.kit.stores.tenant_store import TenantStore

if TYPE_CHECKING:
    from hartley.core.parts import Rng

LONGEST = 20_000
"""Characters of an answer that are read; a longer one is withheld."""

READINGS = 4000
"""Readings of one answer that are searched; one with more is withheld."""


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("retrieval_extraction", "prompt_stealing", "retrieval_membership"),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2402.16893",
    strongest={"words": 4, "decodes": True},
    requires=("tenant_store",),
    keeps_proof=True,
)
def quotation_filter(
    scene: Scene,
    rng: Rng,
    *,
    words: Annotated[int, Range(2, 1000)] = 20,
    prompt_words: Annotated[int, Range(2, 1000)] = 4,
    decodes: bool = True,
) -> Scene:
    """Withhold an answer with too many words in a row of the context or of the system prompt.

    An answer is also read in the encodings that Hartley's judge reads (base64, hexadecimal, shifted
    letters, letter by letter …), one at a time. A question that a sentence answers is
    still answered where ``words`` is more than that sentence has.

    Args:
        words: in a row of a passage, from which an answer is withheld.
        prompt_words: the same of the system prompt.
        decodes: whether encodings are read.
    """
    del rng
    part = scene.part(TenantStore)

    def change(answer: str, passages: Sequence[str], system: str) -> str:
        guarded = [(system, prompt_words), *((passage, words) for passage in passages)]
        runs = [(_runs(text, size), size) for text, size in guarded]
        if len(answer) > LONGEST:
            return NO_ANSWER
        for count, text in enumerate(_texts(answer, decodes)):
            if count > READINGS or any(_runs(text, size) & known for known, size in runs):
                return NO_ANSWER
        return answer

    return scene.with_part(replace(part, changes=(*part.changes, change)))


def _texts(answer: str, decodes: bool) -> Sequence[str]:
    if not decodes:
        return [answer]
    return [answer, *(text for text, _ in readings([answer], depth=1, shortest=8))]


def _runs(text: str, size: int) -> set[str]:
    """Return runs of words, written together: a decoded text may have lost its spaces."""
    every = words_of(text.replace("_", " "))
    return {"".join(every[i : i + size]) for i in range(len(every) - size + 1)}
