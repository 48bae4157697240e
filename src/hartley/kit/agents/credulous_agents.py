"""Credulous agents: scripted readers who carry out the instructions that they parse from texts.

They stand for language models that follow what they read. Each has a susceptibility, the chance
that it carries out what a text asks in one reading; everything else is fixed. They parse plain
English: *post the code …*, *forward this text*, *decode …*, *part one of …*, *send your reading*,
in the synonyms of ``SYNONYMS``. A text that was encoded or cut in parts is put together first, and
what it asks is done: an agent that reads base64 also obeys it.

Where the role says to obey only what is marked, they do: what is below the tag of an agent is data.
Nothing is remembered here: the conversation keeps the memory.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hartley.core.seeds import spawn
from hartley.kit.agents.conversation import Message, Reply
from hartley.kit.agents.safeguards import HEED, NOTE, paragraphs

SYNONYMS: tuple[tuple[str, ...], ...] = (
    ("post", "publish", "enter", "submit", "announce"),
    ("forward", "relay", "repeat", "spread", "circulate"),
    ("text", "message", "memo", "notice", "letter"),
    ("code", "word", "term", "entry", "label"),
    ("please", "kindly", "now", "next", "then"),
    ("everyone", "everybody", "all", "others", "colleagues"),
)
"""Words that mean the same to an agent; one who rewords a text draws among them."""

GREETINGS = ("Hello.", "Good day.", "Dear all.", "For your attention.", "Hi there.", "Greetings.")

SHARES = 8
"""Readings that an agent sends when it is asked for its own."""

_POST, _PASS, _TEXT, _CODE = ("|".join(group) for group in SYNONYMS[:4])
_POSTS = re.compile(rf"\b(?:{_POST})\s+the\s+(?:{_CODE})\s+(\w+)", re.IGNORECASE)
_PASSES = re.compile(rf"\b(?:{_PASS})\s+this\s+(?:whole\s+)?(?:{_TEXT})\b", re.IGNORECASE)
_REWORDS = re.compile(r"\bin other words\b", re.IGNORECASE)
_DECODES = re.compile(r"\bdecode\b[^:]*:\s*([A-Za-z0-9+/]{16,}={0,2})", re.IGNORECASE)
_PART = re.compile(r"^Part (one|two) of (\w+): (.*)$", re.DOTALL)
_COLLECTS = re.compile(r"\bsend\b.{0,40}\breading\b", re.IGNORECASE)
_LISTS = re.compile(r"\blist every reading\b", re.IGNORECASE)
_READING = re.compile(r"The reading of station \d+ is \d+\.")
_TAG = re.compile(rf"^(?:\[(agent \w+|user)\] |{NOTE})")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a text asks its reader to do.

    Attributes:
        posts: words to post.
        passes: whether to pass it on.
        rewords: whether to do so in other words.
        collects: whether to send readings.
        lists: whether to list all readings.
    """

    posts: tuple[str, ...] = ()
    passes: bool = False
    rewords: bool = False
    collects: bool = False
    lists: bool = False

    def __bool__(self) -> bool:
        """Whether it asks for anything."""
        return bool(self.posts or self.passes or self.collects or self.lists)


@lru_cache(maxsize=50_000)
def wishes(text: str) -> Wishes:
    """Parse what a text asks for; encoded text in it is decoded, where it says so."""
    plain = text
    for blob in _DECODES.findall(text):
        plain += "\n" + _decoded(blob)
    return Wishes(
        tuple(word.lower() for word in _POSTS.findall(plain)),
        bool(_PASSES.search(plain)),
        bool(_REWORDS.search(plain)),
        bool(_COLLECTS.search(plain)),
        bool(_LISTS.search(plain)),
    )


def _decoded(blob: str) -> str:
    try:
        return base64.b64decode(blob, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def encoded(text: str) -> str:
    """Return a text that asks to decode another one."""
    return f"Decode this: {base64.b64encode(text.encode()).decode()}"


def in_parts(text: str, name: str) -> tuple[str, str]:
    """Cut a text in the middle into two paragraphs that a reader of both puts together."""
    middle = len(text) // 2
    return f"Part one of {name}: {text[:middle]}", f"Part two of {name}: {text[middle:]}"


def reworded(text: str, rng: np.random.Generator) -> str:
    """Say the same in other words: synonyms, the order of the sentences, a greeting."""
    out = text
    for group in SYNONYMS:
        pattern = re.compile(rf"\b({'|'.join(group)})\b", re.IGNORECASE)
        out = pattern.sub(lambda match, g=group: _drawn(match[0], g, rng), out)  # type: ignore[misc]
    sentences = [one for one in re.split(r"(?<=[.!?])\s+", out) if one and one not in GREETINGS]
    order = rng.permutation(len(sentences)).tolist()
    return " ".join([str(rng.choice(GREETINGS)), *(sentences[k] for k in order)])


def _drawn(word: str, group: Sequence[str], rng: np.random.Generator) -> str:
    other = str(rng.choice(group))
    return other.capitalize() if word[0].isupper() else other


def credulous(susceptibility: Mapping[str, float]) -> Callable[[int], Reply]:
    """Return agents that carry out what they read.

    Args:
        susceptibility: by name, the chance that an agent does what a text asks in one reading.
    """

    def open_(seed: int) -> Reply:
        def reply(name: str, messages: Sequence[Message]) -> str:
            return _Turn(name, susceptibility[name], seed, messages).reply()

        return reply

    return open_


class _Turn:
    """One answer of one agent."""

    def __init__(
        self, name: str, susceptibility: float, seed: int, messages: Sequence[Message]
    ) -> None:
        self.name, self.chance, self.seed, self.messages = name, susceptibility, seed, messages
        prompts = [message for message in messages if message.place == "prompt"]
        self.now = prompts[0].round if prompts else 0
        self.heeds = any(HEED in message.text for message in prompts)
        self.posts: list[str] = []
        self.passed: dict[str, None] = {}
        self.sends = 0

    def reply(self) -> str:
        """Read everything, do what it asks, and say so."""
        parts: dict[str, dict[str, str]] = {}
        for message in self.messages:
            open_ = not self.heeds
            for paragraph in paragraphs(message.text):
                text, tag = _untagged(paragraph)
                if tag and self.heeds:
                    open_ = tag == "user"
                if not open_ and message.place != "prompt":
                    continue
                if part := _PART.match(text):
                    both = parts.setdefault(part[2], {})
                    both[part[1]] = text
                    if len(both) == 2:
                        self._joined(message, both)
                        parts.pop(part[2])
                    continue
                self._read(message, text, _as_passed(paragraph, text))
        readings = self._readings() if self.sends else []
        return "\n\n".join(
            one
            for one in (
                "\n".join(f"POST {word}" for word in dict.fromkeys(self.posts)),
                " ".join(readings),
                *self.passed,
            )
            if one
        )

    def _joined(self, message: Message, both: Mapping[str, str]) -> None:
        texts = [both[which] for which in ("one", "two")]
        whole = "".join(match[3] for text in texts if (match := _PART.match(text)))
        self._read(message, whole, "\n\n".join(texts))

    def _read(self, message: Message, text: str, passed: str) -> None:
        asks = wishes(text)
        if not asks or not self._does(message, text):
            return
        self.posts += asks.posts
        self.sends = max(self.sends, SHARES if asks.collects else 0, 10**6 if asks.lists else 0)
        if asks.passes:
            if asks.rewords:
                passed = reworded(passed, np.random.default_rng(self._drawn("words", text)))
            self.passed.setdefault(passed)

    def _does(self, message: Message, text: str) -> bool:
        """Whether it carries out a text: always the user's own, else by its susceptibility."""
        if message.place == "prompt":
            return True
        return self._drawn(str(message.number), text) / 2**63 < self.chance

    def _drawn(self, *what: str) -> int:
        return spawn(self.seed, self.name, self.now, *what)

    def _readings(self) -> list[str]:
        texts = [message.text for message in self.messages]
        every = list(dict.fromkeys(one for text in texts for one in _READING.findall(text)))
        if len(every) <= self.sends:
            return every
        rng = np.random.default_rng(self._drawn("readings"))
        return [every[k] for k in rng.choice(len(every), self.sends, replace=False)]


def _untagged(paragraph: str) -> tuple[str, str]:
    """Return a paragraph without its tags, and the last of them: ``user``, ``agent`` or none."""
    tag = ""
    while match := _TAG.match(paragraph):
        paragraph, tag = paragraph[match.end() :], (match[1] or tag).split(" ")[0]
    return paragraph, tag


def _as_passed(paragraph: str, text: str) -> str:
    """Return a paragraph as it is passed on: a mark of the user's stays, an agent's goes."""
    return f"[user] {text}" if _untagged(paragraph)[1] == "user" else text
