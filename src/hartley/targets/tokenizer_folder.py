"""The tokenizer of a local folder as a ``Codec``, and its chat template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hartley.core import Codec
from hartley.core.errors import MissingExtra, UsageError
from hartley.core.input_files import read_bytes
from hartley.kit.cache import digest
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


def chat_template(folder: Path) -> Callable[[Sequence[Message]], str] | None:
    """Return what writes a conversation as the text that a model reads, or None without a template.

    Raises:
        UsageError: the tokenizer cannot be read, or its template refuses a conversation.
    """
    config = folder / "tokenizer_config.json"
    stated = config.is_file() and read_object(config).get("chat_template")
    if not stated and not (folder / TEMPLATE).is_file():
        return None
    tool = _of_library(folder)

    def write(messages: Sequence[Message]) -> str:
        try:
            return str(tool.apply_chat_template(list(messages), tokenize=False))
        except Exception as error:  # a template is a program of the folder's
            reason = " ".join(str(error).split())[:160]
            raise UsageError(
                f"the chat template of {folder} must write every conversation: {reason}"
            ) from error

    return write


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
