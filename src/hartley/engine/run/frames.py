"""Frames: how a worker and the process that started it talk, so that no object crosses over.

A frame is a head (a token that only the two know, two lengths and a digest), a JSON note and raw
bytes. A part that writes into the pipe of its worker is noticed at once: what it wrote neither
begins with the token nor has the digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from typing import IO, Any

_HEAD = struct.Struct(">16sIQ32s")
TOKEN_BYTES = 16
LONGEST_NOTE, LONGEST_CONTENT = 1 << 26, 1 << 32

Frame = tuple[dict[str, Any], bytes]


class GarbledFrame(ValueError):
    """What arrived was not written by the other side alone."""


def new_token() -> bytes:
    """Return the token of a new pair of pipes."""
    return os.urandom(TOKEN_BYTES)


def pack(token: bytes, note: Mapping[str, Any], content: bytes = b"") -> bytes:
    """Return one frame."""
    text = json.dumps(note, default=str).encode()
    return _HEAD.pack(token, len(text), len(content), _digest(text, content)) + text + content


def receive(stream: IO[bytes]) -> tuple[bytes, dict[str, Any]]:
    """Read one frame without content, and wait for it; return its token and its note.

    Raises:
        EOFError: the other side is gone.
    """
    token, text_length, _, _ = _HEAD.unpack(_exactly(stream, _HEAD.size))
    note: dict[str, Any] = json.loads(_exactly(stream, text_length))
    return token, note


class Frames:
    """Puts frames together from pieces, as they arrive."""

    def __init__(self, token: bytes) -> None:
        """Expect frames with this token."""
        self._token = token
        self._pieces = bytearray()

    def add(self, piece: bytes) -> Iterator[Frame]:
        """Take a piece, and yield each frame that is whole.

        Raises:
            GarbledFrame: what arrived is not a frame.
        """
        self._pieces += piece
        while self._pieces:
            head = bytes(self._pieces[: _HEAD.size])
            if head[:TOKEN_BYTES] != self._token[: len(head)]:
                raise GarbledFrame("it does not begin like a frame")
            if len(head) < _HEAD.size:
                return
            _, text_length, content_length, digest = _HEAD.unpack(head)
            if text_length > LONGEST_NOTE or content_length > LONGEST_CONTENT:
                raise GarbledFrame("its lengths are too large")
            middle = _HEAD.size + text_length
            last = middle + content_length
            if len(self._pieces) < last:
                return
            text, content = (
                bytes(self._pieces[_HEAD.size : middle]),
                bytes(self._pieces[middle:last]),
            )
            del self._pieces[:last]
            if _digest(text, content) != digest:
                raise GarbledFrame("its digest is another")
            yield json.loads(text), content


def _digest(text: bytes, content: bytes) -> bytes:
    digest = hashlib.sha256(text)
    digest.update(content)
    return digest.digest()


def _exactly(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) != length:
        raise EOFError("the other side is gone")
    return content
