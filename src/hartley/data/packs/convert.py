"""Convert a pack to plain data when it is fetched, so that later reads cannot run code."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from hartley.core.errors import MissingExtra, UsageError


def convert(how: str, folder: Path) -> None:
    """Convert a pack's files in place.

    Args:
        how: ``torch`` (PyTorch checkpoints → safetensors), ``rdb`` (R database of character
            vectors → one text file a variable), or empty.
        folder: the pack's files.

    Raises:
        UsageError: a file is not of the expected format.
        MissingExtra: torch is needed and not installed.
    """
    if how == "torch":
        for path in [*folder.rglob("*.pt"), *folder.rglob("*.pth")]:
            _checkpoint(path)
    elif how == "rdb":
        for path in folder.rglob("*.rdb"):
            _novels(path)


def _checkpoint(path: Path) -> None:
    try:
        import torch
        from safetensors.torch import save_file
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("model_state", state)
    save_file({k: v.contiguous() for k, v in state.items()}, path.with_suffix(".safetensors"))
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
