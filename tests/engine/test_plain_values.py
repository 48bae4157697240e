"""What an attack's process sends is read as plain values, random generators among them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hartley.engine.run.plain_values import Reader, Unreadable, Writer


def _no_callable(*words):
    raise AssertionError(words)


def _read(plain):
    reader = Reader(_no_callable, b"")
    return reader.message(json.dumps(plain).encode())


@pytest.mark.parametrize("left", [0, 1])
def test_a_generator_arrives_in_the_state_that_it_is_in(left):
    rng = np.random.default_rng(7)
    rng.integers(10, size=6 + left, dtype=np.uint32)  # an odd count leaves half of a draw
    text, _ = Writer(_no_callable).message([rng, {"again": rng}])
    one, again = Reader(_no_callable, b"").message(text)
    assert one is again["again"]
    assert one.integers(2**62, size=4).tolist() == rng.integers(2**62, size=4).tolist()
    assert one.integers(9, size=5, dtype=np.uint32).tolist() == (
        rng.integers(9, size=5, dtype=np.uint32).tolist()
    )


@pytest.mark.parametrize(
    "given",
    [
        [2**128, 1, 0, 0],
        [-1, 1, 0, 0],
        [1, 1, 2, 0],
        [1, 1, 0, 2**32],
        [1, 1, 0],
        [1, 1, 0.0, 0],
        [1, True, 0, 0],
        "PCG64",
        0,
        -1,
        None,
    ],
)
def test_what_is_not_a_state_of_a_generator_is_refused(given):
    with pytest.raises(Unreadable):
        _read({"generator": given})


def test_only_the_usual_generator_of_numpy_is_sent():
    with pytest.raises(TypeError, match="a generator of MT19937 cannot be sent"):
        Writer(_no_callable).message(np.random.Generator(np.random.MT19937(0)))
