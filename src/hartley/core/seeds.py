"""Seeds spawned from names, so that no result depends on the order or the number of workers."""

from __future__ import annotations

import hashlib


def spawn(root: int, *names: str | int) -> int:
    """Return a 63-bit seed for the stream that ``names`` spell out under ``root``.

    Args:
        root: the run's seed.
        names: what the stream is for, for example ``("lira", "membership", 0)``.
    """
    text = "\x1f".join([str(root), *map(str, names)]).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def commitment(root: int) -> str:
    """Return the SHA-256 of a run's seed, to publish before the run.

    It binds: no other seed can be named afterwards. A seed that is easily guessed is not hidden.
    """
    return hashlib.sha256(f"hartley seed {root}".encode()).hexdigest()
