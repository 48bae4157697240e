"""Labelled pictures: scikit-learn's digits, and Fashion-MNIST from its pack."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality
from hartley.core.errors import UsageError
from hartley.data.installed_files import installed_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGES, LABELS = 0x00000803, 0x00000801
"""First four bytes of the idx format: unsigned bytes in three dimensions, and in one."""


def digits() -> Data:
    """1797 handwritten digits (UCI, CC BY 4.0) as distributed with scikit-learn.

    Returns:
        x float32 (1797, 1, 8, 8) in 0..1, y int64 (1797,).

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    with gzip.open(installed_file("sklearn.datasets.data", "digits.csv.gz"), "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    return Data(
        "digits",
        Modality.VISION,
        np.ascontiguousarray((table[:, :-1] / 16).astype(np.float32).reshape(-1, 1, 8, 8)),
        table[:, -1].astype(np.int64),
    )


def fashion() -> tuple[Data, Data]:
    """Fashion-MNIST (arXiv:1708.07747, MIT): its 60 000 training and 10 000 test records.

    Returns:
        Two data sets, each x float32 (n, 1, 28, 28) in 0..1 and y int64 (n,).

    Raises:
        MissingPack: the pack ``fashion-mnist`` was not fetched yet.
        UsageError: a file is not in the idx format.
    """
    from hartley.data.packs import locate

    home = locate("fashion-mnist")
    return tuple(  # type: ignore[return-value]
        Data(
            f"Fashion-MNIST {part}",
            Modality.VISION,
            _idx(_find(home, f"{part}-images-idx3-ubyte"), IMAGES)[:, None].astype(np.float32)
            / np.float32(255),
            _idx(_find(home, f"{part}-labels-idx1-ubyte"), LABELS).astype(np.int64),
        )
        for part in ("train", "t10k")
    )


def _find(home: Path, stem: str) -> Path:
    """Read a file; a user's folder may have it in a sub-folder, compressed or not."""
    paths = sorted(home.rglob(f"{stem}*"))
    if not paths:
        raise UsageError(f"the pack fashion-mnist must contain {stem}[.gz], got no such file")
    return paths[0]


def _idx(path: Path, kind: int) -> NDArray[Any]:
    """Read an idx file: kind, one size a dimension (big-endian, 4 bytes each), then the bytes."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError) as error:
            raise UsageError(f"{path.name} must be a complete gzip file: {error}") from error
    dimensions = kind & 0xFF
    size = 4 * (1 + dimensions)
    head = np.frombuffer(raw[:size].ljust(size, b"\0"), ">u4").astype(np.int64)
    if len(raw) < size or head[0] != kind:
        raise UsageError(f"{path.name} must be an idx file of kind {kind:#010x}")
    body = np.frombuffer(raw, np.uint8, offset=4 * len(head))
    if len(body) != head[1:].prod():
        raise UsageError(
            f"{path.name} must have {head[1:].prod()} bytes by its header, got {len(body)}"
        )
    return body.reshape(head[1:])
