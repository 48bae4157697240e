"""A chat model that also takes pictures and speech, and an attacker who hands in texts that way.

What the user hands in is a file beside their message. It is read by a recogniser, and the model
answers what was read as if it were typed. A filter of typed text is before the recogniser and
never sees it (arXiv:2311.05608).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hartley.core import Access, Asset, Codec, Data, Modality, Model, Slot
from hartley.core.errors import MissingExtra, MissingPack, RuleError, UsageError
from hartley.kit.media.text_by_medium import (
    FILE,
    PICTURE,
    SPEECH,
    Reader,
    Way,
    Wear,
    from_text,
    read,
    written,
)

if TYPE_CHECKING:
    from hartley.kit.language.chat_template import ChatTemplate, Message

    Conversation = Sequence[Message]

WAY = "way"
"""The fact of a loot that says how its texts are written as files."""


@dataclass(frozen=True, slots=True, eq=False)
class Recognition:
    """How files become texts.

    Attributes:
        readers: by medium.
        wear: what files go through before they are read.
        identity: names the readers and the wear, for digests.
    """

    readers: Mapping[str, Reader]
    wear: Wear
    identity: str


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """What the model reads beside typed text.

    Attributes:
        recognition: how it is read.
        way: how the attacker hands in their texts; None where they type.
    """

    recognition: Recognition
    way: Way | None = None

    def entered(self, slot: Slot, asset: Asset) -> Media | None:
        """Return the part where texts are handed in as an asset's were; None for other assets."""
        if slot is not Slot.PROMPT or not isinstance(asset, Data) or WAY not in asset.facts:
            return None
        return replace(self, way=from_text(str(asset.facts[WAY])))

    def reader(self) -> Model:
        """Return the model that says what it reads in the file of a conversation's last message."""

        def chat(conversations: Sequence[Conversation], new: int, seed: int) -> list[str]:
            del new, seed
            return [self.read(turns[-1].get(FILE, "")) for turns in conversations]

        return Model(
            "reader",
            Modality.LANGUAGE,
            calls={"chat": chat},
            offers=Access.LABELS,
            identity=self.recognition.identity,
        )

    def read(self, uri: str) -> str:
        """Return the text that is read in a file.

        Raises:
            RuleError: it is not a file of a medium that is read. An attacker wrote it.
            MissingExtra, MissingPack: what reads it is not installed.
        """
        try:
            return _read(self.recognition, uri)
        except (MissingExtra, MissingPack):
            raise
        except UsageError as error:
            raise RuleError(str(error)) from None

    def reads(self, model: Model, template: ChatTemplate, context: int) -> Model:
        """Return a chat model that is asked what its recognisers read in the files handed in.

        What was read may be longer than what was written, since misread letters are more tokens
        than the words that they were. A conversation that no longer leaves room for its answer
        loses its oldest turns, and if its last message alone is too long, the end of that.

        Args:
            model: it answers texts.
            template: how its conversations are written.
            context: tokens of a conversation with its answer, at most; 0 for no limit.
        """
        chat, codec = model.calls["chat"], model.codec

        def asked(conversations: Sequence[Conversation], new: int, seed: int) -> list[str]:
            rows = [[self._as_text(message) for message in turns] for turns in conversations]
            if context and codec is not None:
                rows = [
                    # What is typed is the sender's to fit.
                    _within(row, template, codec, context - new) if _has_file(turns) else row
                    for turns, row in zip(conversations, rows, strict=True)
                ]
            return [str(answer) for answer in chat(rows, new, seed)]

        return model.with_(chat=asked)

    def handed_to(self, model: Model) -> Model:
        """Return the model as an attacker who hands in every text by ``way`` asks it; else itself.

        They draw or speak what they would type, and type nothing. An answer cannot be begun so.
        """
        way = self.way
        if way is None:
            return model
        chat = model.calls["chat"]

        def asked(conversations: Sequence[Conversation], new: int, seed: int) -> list[str]:
            if any(turns[-1]["role"] == "assistant" for turns in conversations):
                raise RuleError(f"an answer cannot be begun in a file, got one after a {way}")
            rows = [
                [
                    {**m, "content": "", FILE: written(m["content"], way)}
                    if m["role"] == "user" and FILE not in m
                    else dict(m)
                    for m in turns
                ]
                for turns in conversations
            ]
            return [str(answer) for answer in chat(rows, new, seed)]

        return model.with_(chat=asked, generate=None)

    def _as_text(self, message: Message) -> dict[str, str]:
        if FILE not in message:
            return dict(message)
        text = " ".join(part for part in (message["content"], self.read(message[FILE])) if part)
        return {"role": message["role"], "content": text}


@lru_cache(maxsize=1024)  # keys are whole files, speech of some 100 KB
def _read(how: Recognition, uri: str) -> str:
    return read(uri, how.readers, how.wear)


def _has_file(turns: Conversation) -> bool:
    return any(FILE in message for message in turns)


def _within(
    turns: Sequence[dict[str, str]], template: ChatTemplate, codec: Codec, most: int
) -> list[dict[str, str]]:
    """Return a conversation of ``most`` tokens at most: its last question, and what before it fits.

    The system message stays. Where the last question alone is too long, its end is cut.
    """

    def size(messages: Sequence[Message]) -> int:
        return int((codec.encode([template.render(messages)]) >= 0).sum())

    system = [message for message in turns[:1] if message["role"] == "system"]
    asks = [k for k, message in enumerate(turns) if message["role"] == "user"]
    if not asks:
        return [*turns]
    for first in asks:
        rest = [*turns[first:]]
        if size([*system, *rest]) <= most:
            return [*system, *rest]
    question, begun = rest[0], rest[1:]

    def cut(end: int) -> list[dict[str, str]]:
        return [*system, {**question, "content": question["content"][:end]}, *begun]

    # The longest beginning that fits: it may be none, and then the model refuses the rest.
    ends = range(len(question["content"]) + 1)
    fits = bisect_right(ends, most, key=lambda end: size(cut(end)))
    return cut(max(fits - 1, 0))


def recognisers() -> dict[str, Reader]:
    """Return the recognisers of the packs ``pp-ocr`` and ``whisper``, loaded at their first use."""

    def picture(grey: Any) -> str:
        from hartley.models.line_reader import line_reader

        return line_reader().read(grey)

    def speech(wave: Any) -> str:
        from hartley.models.whisper import whisper

        return whisper().passage(wave)

    return {PICTURE: picture, SPEECH: speech}
