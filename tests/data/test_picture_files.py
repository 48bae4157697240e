"""Pictures of a user that cannot be decoded: one line, whichever path reads them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.data import paired
from hartley.data.user_arrays import read_arrays
from hartley.data.user_items import read_items

Image = pytest.importorskip("PIL.Image")


def whole(kind: str = "png") -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, kind)
    return stream.getvalue()


def stating(side: int) -> bytes:
    """A PNG of a hundred bytes that states a size."""
    out = b"\x89PNG\r\n\x1a\n"
    size = side.to_bytes(4, "big")
    for name, body in (
        (b"IHDR", size + size + bytes([8, 2, 0, 0, 0])),
        (b"IDAT", zlib.compress(b"\0" * 100)),
        (b"IEND", b""),
    ):
        out += len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4)
    return out


def flipped() -> bytes:
    """A PNG with a byte of its compressed pixels turned round."""
    data = bytearray(whole())
    data[len(data) // 2] ^= 0xFF
    return bytes(data)


BAD = {
    "truncated": (whole()[:-400], "must be a whole picture, got"),
    "torn.jpg": (whole("jpeg")[:300], "must be a whole picture, got"),
    "text": (b"not a picture at all", "must be a whole picture, got a file of another kind"),
    "empty": (b"", "must be a whole picture, got a file of another kind"),
    # Pillow starts Ghostscript for it, whatever the file is called.
    "eps": (whole("eps"), "must be a whole picture, got a file of another kind"),
    "flipped": (flipped(), "must be a whole picture, got"),
    "bomb": (stating(60_000), "must have at most 16,777,216 pixels"),
    # Below the size at which Pillow itself refuses, or even warns.
    "large": (stating(9_000), "must have at most 16,777,216 pixels, got 9000×9000"),
}


def listed(place: Path, name: str) -> Any:
    (place / "pairs.csv").write_text(f"picture,caption\na.png,first\n{name},second\n")
    return paired.own(place / "pairs.csv", 32)


def in_classes(place: Path, name: str) -> Any:
    for folder, file in (("cats", "a.png"), ("dogs", name)):
        (place / folder).mkdir()
        (place / folder / file).write_bytes((place / file).read_bytes())
    return read_arrays(place, "--train")


def in_folder(place: Path, name: str) -> Any:
    del name
    return read_items(place, "--items")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("read", [listed, in_classes, in_folder])
def test_what_cannot_be_decoded_is_one_line_that_names_the_file(
    read: Callable[[Path, str], Any], name: str, tmp_path: Path
) -> None:
    content, words = BAD[name]
    file = name if "." in name else f"{name}.png"
    (tmp_path / "a.png").write_bytes(whole())
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read(tmp_path, file)
    message = str(caught.value)
    assert file in message and words in message
    assert "\n" not in message and len(message) < 300


@pytest.mark.parametrize("read", [listed, in_classes, in_folder])
def test_a_whole_picture_is_read(read: Callable[[Path, str], Any], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(whole())
    (tmp_path / "b.png").write_bytes(flat := whole_of_one_colour())
    assert flat
    read(tmp_path, "b.png")


def whole_of_one_colour() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (9, 9, 9)).save(stream, "png")
    return stream.getvalue()


def test_greys_of_sixteen_bits_are_scaled_and_not_cut_at_white(tmp_path: Path) -> None:
    levels = np.arange(1024, dtype=np.uint16).reshape(32, 32) * 64
    Image.fromarray(levels).save(tmp_path / "a.png")
    Image.fromarray(levels[::-1]).save(tmp_path / "b.png")
    # A dark picture of 16 bits stays dark.
    Image.fromarray(levels // 256).save(tmp_path / "dark.png")
    truth = np.rint(levels / 65535 * 255)
    given = in_classes(tmp_path, "b.png").x
    assert (given[0] == truth).all() and (given[1] == truth[::-1]).all()
    pictures = listed(tmp_path, "b.png").pictures
    assert (pictures[0] == truth[..., None]).all()
    assert paired.read_picture(tmp_path / "dark.png", 32).max() == 1


def test_pixels_that_are_not_finite_are_one_line(tmp_path: Path) -> None:
    Image.fromarray(np.full((32, 32), np.nan, np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(UsageError, match=r"a\.tiff .*finite"):
        paired.read_picture(tmp_path / "a.tiff", 32)
