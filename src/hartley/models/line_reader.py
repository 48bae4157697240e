"""PP-OCRv4's recogniser of lines, from the pack ``pp-ocr``: a picture → its text.

Lines are found by their ink (``kit.media.drawn_text.lines``); the pack's network reads each. It is
the published mobile model for Chinese and English, in ONNX.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra
from hartley.data.packs import locate
from hartley.kit.media import drawn_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PACK = "pp-ocr"
HEIGHT, WIDTH = 48, 320
"""Pixels of a line as the network reads it; the width is the least."""


@dataclass(frozen=True, slots=True, eq=False)
class LineReader:
    """The recogniser.

    Attributes:
        session: of ONNX.
        letters: by class; the first is the blank of its decoding (CTC).
    """

    session: Any
    letters: tuple[str, ...]

    def read(self, picture: NDArray[np.uint8]) -> str:
        """Return the text of a grey picture (height, width), its lines joined by spaces."""
        rows = (self.line(line) for line in drawn_text.lines(picture))
        return " ".join(row.strip() for row in rows if row.strip())

    def line(self, line: NDArray[np.uint8]) -> str:
        """Return the text of one line (height, width)."""
        from PIL import Image

        width = max(1, int(np.ceil(HEIGHT * line.shape[1] / line.shape[0])))
        scaled = Image.fromarray(line).resize((width, HEIGHT), Image.Resampling.BILINEAR)
        x = np.zeros((1, 3, HEIGHT, max(width, WIDTH)), np.float32)
        x[0, :, :, :width] = np.asarray(scaled, np.float32) / 127.5 - 1
        (entry,) = self.session.get_inputs()
        (laws,) = self.session.run(None, {entry.name: x})
        return collapsed(np.asarray(laws)[0].argmax(1), self.letters)


def collapsed(classes: NDArray[np.int64], letters: Sequence[str]) -> str:
    """Return the text of classes (steps,): repeats count once, and the first class for nothing."""
    new = np.concatenate([[True], classes[1:] != classes[:-1]])
    return "".join(letters[int(k)] for k in classes[new & (classes != 0)])


@cache
def line_reader() -> LineReader:
    """Return the recogniser of the pack.

    Raises:
        MissingPack: the pack ``pp-ocr`` was not fetched.
        MissingExtra: onnxruntime is not installed.
    """
    home = locate(PACK)
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    (path,) = sorted(home.rglob("*rec*.onnx"))
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    characters = session.get_modelmeta().custom_metadata_map["character"].splitlines()
    return LineReader(session, ("", *characters, " "))
