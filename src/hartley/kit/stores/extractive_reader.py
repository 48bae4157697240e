"""A scripted answerer over retrieved chunks: it copies sentences, and does as it is asked.

It stands for a credulous language model. It computes each answer from what it was given and nothing
else, so that a leak is what the store handed to it, and the same reader answers with and without a
defense. What it does, in this order:

* asked for its instructions, it repeats its system prompt;
* asked to repeat the context, it repeats the chunks, or a sentence of them by its number;
* asked whether a passage is in the context, it says Yes or No;
* asked to continue a passage, it copies what follows it;
* asked anything else, it copies the sentence that shares most of the question's words.

It writes an answer backwards, in hexadecimal, base64, ROT13 or letter by letter where asked to.
"""

from __future__ import annotations

import base64
import codecs
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

WORD = re.compile(r"\w+")
SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
INSTRUCTIONS = re.compile(
    r"(repeat|print|reveal|show|copy|write|spell)\b.{0,80}\b(system prompt|your instructions|"
    r"initial instructions|first message)",
    re.IGNORECASE | re.DOTALL,
)
REPEAT = re.compile(
    r"(repeat|print|copy|write|spell)\b.{0,80}\b(context|passages|documents)",
    re.IGNORECASE | re.DOTALL,
)
NUMBERED = re.compile(r"sentence (?:number )?(\d{1,4})", re.IGNORECASE)
PRESENT = re.compile(r"\b(appear|occur|contained|found)\b.{0,80}context", re.IGNORECASE | re.DOTALL)
CONTINUE = re.compile(r"\b(continue|complete)\b", re.IGNORECASE)
QUOTED = re.compile(r"“([^”]+)”")

WRITTEN: dict[str, Callable[[str], str]] = {
    "backwards": lambda text: text[::-1],
    "hexadecimal": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "letter by letter": lambda text: " ".join(text.replace(" ", "_")),
    "every other letter": lambda text: text[::2] + "|" + text[1::2],
}
"""Ways of writing an answer, by the words that ask for them."""

NO_ANSWER = "I do not know."
_STOP = """
a an and are as at be by did do does for from had has have he her his how i in is it its of on or
she that the their them they this to was were what when where which who why will with you your
please
"""
STOP_WORDS = frozenset(_STOP.split())
"""Words that a question shares with every sentence."""


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return [word.lower() for word in WORD.findall(text)]


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text."""
    return [part.strip() for part in SENTENCE.findall(text) if part.strip()]


@dataclass(frozen=True, slots=True)
class ExtractiveReader:
    """Answers questions out of chunks by copying.

    Attributes:
        obeys: whether it follows requests to repeat; else it answers questions only.
        ways: ways of writing that it knows.
    """

    obeys: bool = True
    ways: tuple[str, ...] = field(default=tuple(WRITTEN))

    def answer(self, question: str, passages: Sequence[str], system: str = "") -> str:
        """Return the answer.

        Args:
            question: of the user.
            passages: the retrieved chunks, nearest first.
            system: the system prompt.
        """
        text = self._plain(question, passages, system)
        for way in self.ways if self.obeys else ():
            if way in question.lower():
                return WRITTEN[way](text)
        return text

    def _plain(self, question: str, passages: Sequence[str], system: str) -> str:
        request = QUOTED.sub(" ", question)
        if self.obeys and INSTRUCTIONS.search(request):
            return _part(request, [system])
        if self.obeys and REPEAT.search(request):
            return _part(request, passages)
        quoted = QUOTED.findall(question)
        if quoted and PRESENT.search(request):
            wanted = " ".join(words_of(quoted[0]))
            there = any(wanted in " ".join(words_of(passage)) for passage in passages)
            return "Yes." if there else "No."
        if quoted and CONTINUE.search(request):
            return _continued(quoted[0], passages)
        return _best_sentence(question, passages)


def _part(request: str, passages: Sequence[str]) -> str:
    number = NUMBERED.search(request)
    if number is None:
        return "\n".join(passages)
    sentences = [s for passage in passages for s in sentences_of(passage)]
    k = int(number.group(1)) - 1
    return sentences[k] if 0 <= k < len(sentences) else NO_ANSWER


def _continued(start: str, passages: Sequence[str]) -> str:
    """Copy what follows the longest run of a passage's last words in the context."""
    tail = words_of(start)
    best, longest = "", 0
    for passage in passages:
        spans = [(m.group().lower(), m.end()) for m in WORD.finditer(passage)]
        for end in range(len(spans)):
            run = 0
            while run < len(tail) and run <= end and spans[end - run][0] == tail[-1 - run]:
                run += 1
            if run > longest:
                best, longest = passage[spans[end][1] :].strip(), run
    return best or NO_ANSWER


def _best_sentence(question: str, passages: Sequence[str]) -> str:
    """Copy the sentence that shares most of the question's words, rare ones counting more."""
    sentences = [s for passage in passages for s in sentences_of(passage)]
    bags = [{*words_of(sentence)} for sentence in sentences]
    wanted = {*words_of(question)} - STOP_WORDS
    # A sentence with nothing but the question in it answers nothing.
    given = {*words_of(question)} | STOP_WORDS
    counts = Counter(word for bag in bags for word in bag)
    best, most = NO_ANSWER, 0.0
    for sentence, bag in zip(sentences, bags, strict=True):
        if not bag - given:
            continue
        score = sum(math.log(1 + len(bags) / counts[word]) for word in wanted & bag)
        if score > most * (1 + 1e-9):
            best, most = sentence, score
    return best
