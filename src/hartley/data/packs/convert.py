"""Convert a pack to plain data when it is fetched, so that later reads cannot run code."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CTRANSLATE2 = 6
"""The version of CTranslate2's files that is read."""

FLOATS: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 4: np.dtype("<f2")}
"""Kinds of numbers in such a file that are weights; others are whole numbers of its own use."""


def convert(how: str, folder: Path) -> None:
    """Convert a pack's files in place.

    Args:
        how: ``torch`` (PyTorch checkpoints → safetensors), ``rdb`` (R database of character
            vectors → one text file a variable), ``ctranslate2`` (its file of weights →
            safetensors), or empty.
        folder: the pack's files.

    Raises:
        UsageError: a file is not of the expected format.
        MissingExtra: torch is needed and not installed.
    """
    if how == "torch":
        for pattern in ("*.pt", "*.pth", "*.pth.tar"):
            for path in folder.rglob(pattern):
                _checkpoint(path)
    elif how == "rdb":
        for path in folder.rglob("*.rdb"):
            _novels(path)
    elif how == "ctranslate2":
        for path in folder.rglob("model.bin"):
            _ctranslate2(path)


def _checkpoint(path: Path) -> None:
    try:
        import torch
        from safetensors.torch import save_file
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("model_state", state.get("model", state))
    # A checkpoint's name may have two endings (.pth.tar), which are both its format's.
    target = path.with_name(path.name.partition(".pt")[0] + ".safetensors")
    save_file({k: v.contiguous() for k, v in state.items()}, target)
    path.unlink()


def _novels(path: Path) -> None:
    """Each entry of the database is a length, then a zlib stream; the titles name the files."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        stream = zlib.decompressobj()
        raw = stream.decompress(data[at + 4 :])
        at = len(data) - len(stream.unused_data)
        lines = strings(raw)
        title = next(line for line in lines if line.strip())
        name = title.lower().replace(" ", "-") + ".txt"
        (path.parent / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.unlink()


def strings(raw: bytes) -> list[str]:
    """Read one R character vector from R's serialisation (XDR, version 2 or 3), NA as ''.

    Raises:
        UsageError: it is something else.
    """
    at = 14
    if raw[:2] != b"X\n":
        raise UsageError("the file must be an R serialisation in XDR form")
    if struct.unpack(">i", raw[2:6])[0] == 3:
        at += 4 + struct.unpack(">i", raw[14:18])[0]
    flags, count = struct.unpack(">ii", raw[at : at + 8])
    if flags & 0xFF != 16:
        raise UsageError(f"the R object must be a character vector, got type {flags & 0xFF}")
    at += 8
    lines = []
    for _ in range(count):
        kind, length = struct.unpack(">ii", raw[at : at + 8])
        if kind & 0xFF != 9:
            raise UsageError("the R character vector must hold characters only")
        at += 8
        lines.append(raw[at : at + max(length, 0)].decode("utf-8"))
        at += max(length, 0)
    return lines


def _ctranslate2(path: Path) -> None:
    """Read a CTranslate2 model of version 6: names, shapes and numbers, then aliases of names.

    Raises:
        UsageError: it is of another version or is cut off.
        MissingExtra: torch is needed and not installed.
    """
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise MissingExtra("safetensors", "torch") from error
    try:
        arrays = ctranslate2_arrays(path.read_bytes())
    except (struct.error, ValueError, IndexError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name} must be a whole CTranslate2 model, got {error}") from None
    save_file(arrays, path.with_suffix(".safetensors"))
    path.unlink()


def ctranslate2_arrays(raw: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a CTranslate2 model of version 6, in single precision.

    Raises:
        UsageError: it is of another version.
        struct.error: it is cut off.
    """
    at = 0

    def number(code: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + code, raw, at)
        at += struct.calcsize(code)
        return int(value)

    def name() -> str:
        nonlocal at
        size = number("H")
        at += size
        return raw[at - size : at - 1].decode()

    if (version := number("I")) != CTRANSLATE2:
        raise UsageError(f"a CTranslate2 model must be of version {CTRANSLATE2}, got {version}")
    name()
    number("I")
    arrays: dict[str, NDArray[Any]] = {}
    for _ in range(number("I")):
        key = name()
        shape = [number("I") for _ in range(number("B"))]
        kind, size = number("B"), number("I")
        if kind in FLOATS:
            values = np.frombuffer(raw, FLOATS[kind], size // FLOATS[kind].itemsize, at)
            arrays[key] = values.reshape(shape).astype(np.float32)
        at += size
    for _ in range(number("I")):
        alias, key = name(), name()
        if key in arrays:
            arrays[alias] = arrays[key].copy()
    return arrays
