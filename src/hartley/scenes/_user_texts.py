"""Files of a user's own texts → tokens of their model, and what was left out on the way."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.core import Codec, Data, Modality, Model
from hartley.core.errors import UsageError
from hartley.data.user_texts import read_texts
from hartley.games.membership.split_checks import LEAST, ROWS, twins
from hartley.kit.language.text import lengths, pad
from hartley.targets.tokenizer_folder import chat_template

if TYPE_CHECKING:
    from hartley.data.user_texts import Write


def check_texts(files: Mapping[str, str], column: str) -> None:
    """Check files of texts without the model that reads them, which may take minutes to load.

    Args:
        files: paths by their flag.
        column: of the texts; empty takes the usual ones.

    Raises:
        UsageError: a file cannot be read, or has too few texts.
    """
    for flag, name in files.items():
        texts, _ = read_texts(Path(name), column, _one_a_line)
        _check_count(flag, name, sum(bool(text.strip()) for text in texts), len(texts))


def _check_count(flag: str, name: str, count: int, rows: int) -> None:
    if count < LEAST:
        note = f" besides {rows - count} of fewer than two tokens" if rows > count else ""
        raise UsageError(f"--{flag} must be at least {LEAST} texts, got {count}{note} in {name}")


@dataclass
class TextReader:
    """Reads files of texts as tokens.

    Attributes:
        codec: of the model.
        longest: tokens of a text at most; longer ones are cut.
        folder: of the tokenizer, which may have a chat template.
        column: of the texts; empty takes the usual ones.
        facts: what was left out or cut so far, in words and numbers.
    """

    codec: Codec
    longest: int
    folder: Path
    column: str
    facts: dict[str, Any] = field(default_factory=dict)

    def read(self, name: str, flag: str) -> Data:
        """Return the texts of a file, with ``facts["zlib"]`` and the row of each.

        Raises:
            UsageError: it cannot be read, or has too few texts.
        """
        all_rows, column = read_texts(Path(name), self.column, self._chat)
        if column:
            self.facts[f"{flag} column"] = column
        # Half a character, as in a text that was cut, is not one that a tokenizer knows.
        written = np.array([bool(row.strip()) for row in all_rows], dtype=bool)
        texts = [
            row.encode("utf-8", "replace").decode()
            for row, has_words in zip(all_rows, written, strict=True)
            if has_words
        ]
        tokens = self.codec.encode(texts) if texts else np.empty((0, 2), dtype=np.int64)
        sizes = lengths(tokens)
        scored, long = sizes > 1, sizes > self.longest
        if empty := len(all_rows) - int(scored.sum()):
            self.facts[f"{flag} left out, with fewer than two tokens"] = empty
        _check_count(flag, name, int(scored.sum()), len(all_rows))
        if long.any():
            self.facts[f"{flag} cut at {self.longest} tokens"] = int(long.sum())
            heads = self.codec.decode(tokens[long, : self.longest])
            for at, head in zip(np.flatnonzero(long), heads, strict=True):
                texts[at] = head
        compressed = [len(zlib.compress(texts[at].encode())) for at in np.flatnonzero(scored)]
        x = tokens[scored, : self.longest]
        facts = {"zlib": np.array(compressed), ROWS: np.flatnonzero(written)[scored]}
        return Data(flag, Modality.LANGUAGE, x, facts=facts)

    def words(self, record: Mapping[str, Any]) -> str:
        """Return a row of a training file, ``text`` or ``messages``, as the model reads it."""
        return str(record["text"]) if "text" in record else self._chat(record["messages"])

    def _chat(self, messages: Sequence[Mapping[str, Any]]) -> str:
        return self._write(messages)

    @cached_property
    def _write(self) -> Write:
        template = chat_template(self.folder)
        self.facts["chats are read"] = (
            "one message a line, for lack of a chat template"
            if template is None
            else f"by the chat template of {self.folder.name}"
        )
        return template or _one_a_line


def _one_a_line(messages: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(str(message.get("content") or "") for message in messages)


def apart(members: Data, others: Data, names: tuple[str, str]) -> tuple[Data, Data]:
    """Return both as rows of one width.

    Raises:
        UsageError: half of the non-members are members too.
    """
    width = max(data.x.shape[1] for data in (members, others))
    train, holdout = (
        replace(data, x=pad([[i for i in row if i >= 0] for row in data.x.tolist()], width))
        for data in (members, others)
    )
    if (shared := twins(train, holdout)) > 0.5:
        raise UsageError(
            f"--nonmembers must be texts that the model never saw, got {shared:.0%} of {names[1]} "
            f"that are in {names[0]} too"
        )
    return train, holdout


def check_words(data: Data, model: Model, flag: str) -> None:
    """Check that a model knows the tokens of texts.

    Raises:
        UsageError: the tokenizer is of another model.
    """
    top = int(data.x.max())
    if model.classes and top >= model.classes:
        raise UsageError(
            f"--{flag} must be a model of the tokenizer's tokens, got {model.name!r} with "
            f"{model.classes} and token {top} in the {data.name}"
        )


def as_sent(codec: Codec, parts: Sequence[Data]) -> Literal["text", "tokens"]:
    """Return how an endpoint is asked: ``text`` where all come back as the same tokens."""
    for data in parts:
        again = codec.encode(codec.decode(data.x))
        width = max(again.shape[1], data.x.shape[1])
        if not np.array_equal(pad(again.tolist(), width), pad(data.x.tolist(), width)):
            return "tokens"
    return "text"
