"""The tokenizer of a local folder as a ``Codec``, and its chat template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hartley.core import Codec
from hartley.core.errors import MissingExtra, UsageError
from hartley.core.input_files import read_bytes
from hartley.kit.cache import digest
from hartley.kit.language.chat_template import ChatTemplate
from hartley.kit.language.text import pad
from hartley.targets.model_folder import LARGEST, read_object

FAST = "tokenizer.json"
FILES = (
    FAST,
    "tokenizer_config.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
)
"""Files of which a folder with a tokenizer has one."""
TEMPLATE = "chat_template.jinja"

Message = Mapping[str, Any]


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds files of a tokenizer."""
    return any((folder / name).is_file() for name in FILES)


def tokenizer(folder: Path) -> Codec:
    """Load the tokenizer of a folder (``save_pretrained``'s form); nothing is run or fetched.

    It adds no token at either end, cuts no text and pads with −1, whatever the folder states.

    Raises:
        UsageError: the folder holds no tokenizer that can be read.
        MissingExtra: tokenizers is not installed.
    """
    if not has_tokenizer(folder):
        raise UsageError(
            f"{folder} must hold a tokenizer ({FAST}), got none: save it there with "
            "tokenizer.save_pretrained, or name its folder with --tokenizer"
        )
    if not (folder / FAST).is_file():
        return _slow(folder)
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra("tokenizers", "language") from error
    content = read_bytes(folder / FAST, "the file", UsageError, LARGEST)
    try:
        tool = Tokenizer.from_str(content.decode())
    except Exception as error:  # the library raises plain exceptions of its own
        reason = " ".join(str(error).split())[:160]
        raise UsageError(f"{folder / FAST} must be a tokenizer: {reason}") from error
    tool.no_truncation()
    tool.no_padding()

    def encode(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        return pad([e.ids for e in tool.encode_batch(list(texts), add_special_tokens=False)])

    def decode(tokens: Any) -> list[str]:
        rows = [[i for i in row if i >= 0] for row in np.asarray(tokens).tolist()]
        return [str(line) for line in tool.decode_batch(rows)]

    return Codec(encode, decode, tool.get_vocab_size(), digest(content))


def _slow(folder: Path) -> Codec:
    """Return a tokenizer that only its own library reads."""
    tool = _of_library(folder)
    files = {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}

    def encode(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        return pad([tool.encode(line, add_special_tokens=False) for line in texts])

    def decode(tokens: Any) -> list[str]:
        rows = [[i for i in row if i >= 0] for row in np.asarray(tokens).tolist()]
        return [str(tool.decode(row, skip_special_tokens=True)) for row in rows]

    return Codec(encode, decode, len(tool), digest(files))


class Write(Protocol):
    """Writes a conversation as the text that a model reads."""

    def __call__(self, messages: Sequence[Message], *, opened: bool = False) -> str:
        """Write messages; ``opened`` with the beginning of the next answer."""


def chat_template(folder: Path) -> Write | None:
    """Return what writes a conversation as the text that a model reads, or None without a template.

    Raises:
        UsageError: the tokenizer cannot be read, or its template refuses a conversation.
    """
    config = folder / "tokenizer_config.json"
    stated = config.is_file() and read_object(config).get("chat_template")
    if not stated and not (folder / TEMPLATE).is_file():
        return None
    tool = _of_library(folder)

    def write(messages: Sequence[Message], *, opened: bool = False) -> str:
        how = {"tokenize": False, "add_generation_prompt": opened}
        try:
            return str(tool.apply_chat_template(list(messages), **how))
        except Exception as error:  # a template is a program of the folder's
            reason = " ".join(str(error).split())[:160]
            raise UsageError(
                f"the chat template of {folder} must write every conversation: {reason}"
            ) from error

    return write


def written_template(folder: Path, system: str = "") -> ChatTemplate | None:
    """Return what the chat template of a folder writes around messages; None without a template.

    A template is a program. What it writes around a few messages is read off, and a conversation of
    three turns must be written the same way by both.

    Args:
        folder: of the tokenizer.
        system: the system message before each conversation; without one, what the template writes
            in its place is at the start.

    Raises:
        UsageError: the template writes conversations in a way that depends on more than who speaks.
    """
    write = chat_template(folder)
    if write is None:
        return None
    first = [{"role": "system", "content": system}] if system else []
    users, answers = ("Qx1x", "Qx2x", "Qx3x"), ("Ay1y", "Ay2y")
    turns: list[Message] = [*first]
    for k, user in enumerate(users):
        turns.append({"role": "user", "content": user})
        if k < len(answers):
            turns.append({"role": "assistant", "content": answers[k]})
    n = len(first)
    one, two = write(turns[: n + 1]), write(turns[: n + 2])
    opened = write(turns[: n + 1], opened=True)
    before, _, user_close = one.rpartition(users[0])
    answer_close = two.rpartition(answers[0])[2]
    answer_open = opened.rpartition(users[0])[2].removeprefix(user_close)
    between = write(turns[: n + 3]).partition(answers[0])[2].partition(users[1])[0]
    user_open = between.removeprefix(answer_close)
    start = before.removesuffix(user_open)
    system_open, system_close = "", ""
    if system:
        start, system_open, system_close = "", *_around(start, system)
    elif (around := _of_system(write, users[0], user_open)) is not None:
        system_open, system_close = around
    try:
        template = ChatTemplate(
            user_open, user_close, answer_open, answer_close, system_open, system_close, start
        )
        alike = template.render(turns) == write(turns, opened=True)
        alike = alike and template.closed(turns[:-1]) == write(turns[:-1])
    except UsageError:
        alike = False
    if not alike:
        raise UsageError(
            f"the chat template of {folder} must write each message in a way of its role alone, "
            "and what it writes of several turns differs; write a scene with a ChatTemplate of "
            "your own"
        )
    return template


def _around(text: str, content: str) -> tuple[str, str]:
    before, _, after = text.partition(content)
    return before, after


def _of_system(write: Write, user: str, user_open: str) -> tuple[str, str] | None:
    """Return what is written around a system message, or None where there can be none."""
    content = "Sz1z"
    turns = [{"role": "system", "content": content}, {"role": "user", "content": user}]
    try:
        head, mark, _ = write(turns).partition(user)
    except UsageError:
        return None
    if not mark or content not in head:
        return None
    return _around(head.removesuffix(user_open), content)


def _of_library(folder: Path) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtra("transformers", "language") from error
    library: Any = AutoTokenizer
    try:
        return library.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the library fails in any way
        reason = " ".join(str(error).split())[:160]
        raise UsageError(f"{folder} must hold a tokenizer: {reason}") from error
