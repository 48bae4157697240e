"""RivaGAN, a neural mark of 32 bits (arXiv:1909.01285), with the weights of the pack ``rivagan``.

Encoder and decoder are those of the package invisible-watermark, in ONNX. They take pictures in
blue, green, red and −1..1; a bit is 1 where the decoder says more than 0.52, as the package does. A
key turns bits, so that an unmarked picture reads fair ones over fresh keys.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra
from hartley.data.packs import locate
from hartley.kit.marker import Marker
from hartley.kit.vision import image, marks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

PACK = "rivagan"
BITS = 32
THRESHOLD = 0.52


def rivagan() -> Marker:
    """Return the mark.

    Raises:
        MissingPack: the pack ``rivagan`` was not fetched.
        MissingExtra: onnxruntime is not installed.
    """
    encoder, decoder = _session("encoder"), _session("decoder")
    return of_sessions(encoder, decoder)


def of_sessions(encoder: Any, decoder: Any) -> Marker:
    """Return the mark of two ONNX sessions: (frame, data) → frame, and frame → data."""

    def embed(picture: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        del rng
        data = (np.asarray(bits) ^ _turned(key)).astype(np.float32)[None]
        (frame,) = encoder.run(None, {"frame": _frame(picture), "data": data})
        return image.eight_bits((np.asarray(frame)[0, ::-1, 0] + 1) / 2)

    def soft(picture: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        (data,) = decoder.run(None, {"frame": _frame(picture)})
        read: NDArray[Any] = (np.asarray(data)[0] - THRESHOLD) * (1 - 2 * _turned(key))
        return read[:m].astype(np.float64)

    return Marker(
        "rivagan",
        embed,
        soft,
        fits=lambda _, m: m == BITS,
        bits=BITS,
        plain=marks.published,
        key_shows=False,
    )


def _frame(picture: NDArray[Any]) -> NDArray[np.float32]:
    """Return a picture (3, h, w) in 0..1 as one frame (1, 3, 1, h, w) of the networks."""
    blue_first = np.asarray(picture, np.float32)[::-1] * 2 - 1
    return np.ascontiguousarray(blue_first[None, :, None])


def _turned(key: int) -> NDArray[np.int64]:
    return np.random.default_rng(key).integers(0, 2, BITS)


@cache
def _session(which: str) -> Any:
    home = locate(PACK)
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    (path,) = sorted(home.rglob(f"*{which}*.onnx"))
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
