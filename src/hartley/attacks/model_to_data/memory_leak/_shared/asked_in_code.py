"""Requests that an answer be written in some way, and how such an answer is read."""

from __future__ import annotations

import base64
import binascii
import codecs
from typing import Literal

Way = Literal[
    "plain", "rot13", "base64", "letter by letter", "every other letter", "sentence by sentence"
]


def requested(request: str, way: Way) -> str:
    """Return a request whose answer is to be written in a way."""
    return request if way in ("plain", "sentence by sentence") else f"{request} Write it {way}."


def readings_of(answer: str, way: Way) -> str:
    """Return what an answer says that was asked for in a way; itself where it cannot be read."""
    if way == "rot13":
        return codecs.encode(answer, "rot13")
    if way == "letter by letter":
        return answer.replace(" ", "").replace("_", " ")
    if way == "every other letter" and "|" in answer:
        first, second = answer.split("|", 1)
        pairs = zip(first, second.ljust(len(first)), strict=False)
        return "".join(a + b for a, b in pairs)
    if way == "base64":
        try:
            return base64.b64decode(answer.encode(), validate=True).decode()
        except (ValueError, binascii.Error):
            return answer
    return answer
