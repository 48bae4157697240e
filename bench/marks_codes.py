"""Codes of marks: frames that ours and the codes of libraries decode, over the same channel.

    pip install --target codes --no-deps reedsolo==1.7.0 galois==0.4.11 numba llvmlite \
        scikit-dsp-comm==2.1.2
    PYTHONPATH=codes python -P bench/marks_codes.py [--bits 56] [--frames 400]

A message of 56 bits (32 and a checksum of 24, as ``synchronised`` carries them) goes through a
channel as code bits of −1 and 1. Each code has the same energy for a message: one of fewer code
bits gets more for each. Channels: *gaussian* adds noise; *bands* takes half of the code bits away
and adds noise to the others, as compression does to coefficients; *flips* turns signs, so that
soft values are worth nothing. A frame counts where the whole message comes out right; intervals
are Clopper and Pearson's at 95 %. Libraries that are not installed are left out by name.

Slow decoders are played on the first of the same frames. A library's soft decoder of our code
should decide as ours does: what counts are its milliseconds, and how many messages are not ours.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley.infotheory.binary_channel import clopper_pearson
from hartley.kit import convolutional_code as ours

BYTE = 8
CHANNELS: dict[str, tuple[float, ...]] = {
    "gaussian": (0.9, 1.1, 1.3),
    "bands": (0.3, 0.4, 0.5),
    "flips": (0.08, 0.12, 0.16),
}
"""Deviations of the noise at our code's energy a bit; for flips, shares of code bits."""


@dataclass(frozen=True)
class Code:
    """A code: (bits,) → (n,) bits, and (n,) soft values → (bits,) or None.

    Attributes:
        slow: it is played on so many times fewer frames.
        same: it decodes our code words, and should read as we do.
    """

    n: int
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    slow: int = 1
    same: bool = False


def codes(bits: int) -> dict[str, Code]:
    out = {
        "ours, soft": Code(ours.length(bits), ours.encode, lambda x: ours.decode(x, bits)),
        "ours, hard": Code(ours.length(bits), ours.encode, lambda x: ours.decode(np.sign(x), bits)),
    }
    makers = {"reedsolo": reedsolo, "galois": bch, "sk_dsp_comm": dsp_comm}
    for name, make in makers.items():
        if find_spec(name) is None:
            print(f"{name} is not installed: left out")
        else:
            out |= make(bits)
    return out


def reedsolo(bits: int) -> dict[str, Code]:
    """Reed–Solomon over bytes, of the length of our code, hard decisions."""
    from reedsolo import ReedSolomonError, RSCodec

    whole = ours.length(bits) // BYTE
    codec = RSCodec(whole - bits // BYTE)

    def encode(message: Any) -> Any:
        return np.unpackbits(np.frombuffer(bytes(codec.encode(np.packbits(message))), np.uint8))

    def decode(soft: Any) -> Any:
        try:
            read = codec.decode(np.packbits(soft > 0).tobytes())[0]
        except ReedSolomonError:
            return None
        return np.unpackbits(np.frombuffer(bytes(read), np.uint8))

    return {f"reedsolo, RS({whole}, {bits // BYTE})": Code(whole * BYTE, encode, decode)}


def bch(bits: int) -> dict[str, Code]:
    """Binary BCH codes, shortened to the message: near our length, and the next longer ones."""
    import galois

    out = {}
    for n, k in ((127, 36), (127, 57), (255, 63)):
        if k < bits or k > 2 * bits:
            continue
        code, short = galois.BCH(n, k), k - bits

        def encode(message: Any, code: Any = code, short: int = short) -> Any:
            whole = code.encode(np.concatenate([np.zeros(short, np.uint8), message]))
            return np.asarray(whole, np.int64)[short:]

        def decode(soft: Any, code: Any = code, short: int = short) -> Any:
            word = np.concatenate([np.zeros(short, np.uint8), (soft > 0).astype(np.uint8)])
            return np.asarray(code.decode(word), np.int64)[short:]

        out[f"galois, BCH({n - short}, {bits}), {code.t} errors"] = Code(
            n - short, encode, decode, 4
        )
    return out


def dsp_comm(bits: int) -> dict[str, Code]:
    from sk_dsp_comm.fec_conv import FECConv

    depth = 5 * (ours.MEMORY + 1)
    codec = FECConv(tuple(f"{g:b}" for g in ours.GENERATORS), depth)

    def encode(message: Any) -> Any:
        tail = np.concatenate([message, np.zeros(ours.MEMORY, np.int64)])
        return codec.conv_encoder(tail, "0" * ours.MEMORY)[0]

    check_encoder("scikit-dsp-comm", encode, bits)

    def decode(soft: Any) -> Any:
        # It looks a depth ahead; after the tail nothing but zeros is sent.
        ahead = -np.ones((depth + 1) * len(ours.GENERATORS))
        # "unquant" measures the distance to 0 and 1, whatever its description says of −1 and 1.
        read = codec.viterbi_decoder((np.concatenate([soft, ahead]) + 1) / 2, "unquant")
        return np.asarray(read[:bits], np.int64)

    return {"scikit-dsp-comm, soft": Code(ours.length(bits), ours.encode, decode, 10, True)}


def check_encoder(name: str, encode: Callable[[Any], Any], bits: int) -> None:
    """Print whether a library's code words are ours."""
    message = np.random.default_rng(3).integers(0, 2, bits)
    alike = np.array_equal(np.asarray(encode(message)).astype(int), ours.encode(message))
    print(f"{name}: its code words are {'ours' if alike else 'NOT ours'}")


def received(code: Code, words: Any, bits: int, channel: str, level: float) -> Any:
    """Return the soft values (frames, n) of code words (frames, n) of messages of some bits."""
    rng = np.random.default_rng(1)
    signs = 2.0 * words - 1
    if channel == "flips":
        return signs * np.where(rng.random(signs.shape) < level, -1, 1)
    # The same energy for a message, however many code bits share it.
    loud = np.full(signs.shape, np.sqrt(ours.length(bits) / code.n))
    if channel == "bands":
        loud *= rng.random(signs.shape) < 0.5
    return signs * loud + level * rng.standard_normal(signs.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bits", type=int, default=56, help="a multiple of eight")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--only", default="", help="codes whose name has this")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    messages = rng.integers(0, 2, (args.frames, args.bits))
    for name, code in codes(args.bits).items():
        if args.only not in name:
            continue
        some = messages[: len(messages) // code.slow]
        words = np.stack([code.encode(message) for message in some])
        assert words.shape[1] == code.n
        for channel, levels in CHANNELS.items():
            for level in levels[1:2] if code.same else levels:
                soft = received(code, words, args.bits, channel, level)
                start = time.process_time()
                read = [code.decode(row) for row in soft]
                each = (time.process_time() - start) / len(some) * 1e3
                right = sum(
                    x is not None and np.array_equal(x, m) for x, m in zip(read, some, strict=True)
                )
                low, high = (float(np.asarray(x)) for x in clopper_pearson(right, len(some), 0.025))
                other = ""
                if code.same:
                    differ = [not np.array_equal(x, ours.decode(r, args.bits))
                              for x, r in zip(read, soft, strict=True)]  # fmt: skip
                    other = f", {sum(differ)} other than ours"
                print(
                    f"{name:34s} n = {code.n}, {channel} {level:g}: {right} of {len(some)}, "
                    f"{right / len(some):.3f} [{low:.3f}, {high:.3f}], {each:.2f} ms{other}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
