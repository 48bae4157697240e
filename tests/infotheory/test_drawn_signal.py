"""The signal of drawn words, on states whose signal is known."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.models.drawn_signal import shares


def test_drawings_that_say_nothing_have_the_signal_of_other_words() -> None:
    rng = np.random.default_rng(0)
    clean, labels = rng.standard_normal((64, 8)), np.repeat(np.arange(64), 6)
    noise = rng.standard_normal((384, 8))
    read = shares(clean, clean, noise, labels)
    # The energy of noise along a concept c is |c|^-2 of its own: E 1/|c|^2 is 1/6 in 8 dimensions.
    assert 0.1 < read.drawn.mean() < 0.25
    net = read.drawn - read.drawn_floor
    assert abs(net.mean()) < 3 * net.std() / 8
    assert abs(read.drawn_along.mean()) < 3 * read.drawn_along.std() / 8


def test_half_a_concept_is_a_quarter_of_its_energy() -> None:
    clean, labels = 3 * np.eye(5), np.arange(5)
    read = shares(clean, clean, -0.5 * clean, labels)
    assert read.written == pytest.approx(1) and read.drawn == pytest.approx(0.25)
    assert read.written_floor == pytest.approx(0) and read.drawn_floor == pytest.approx(0)
    # Energy has no sign, and the projection has.
    assert read.drawn_along == pytest.approx(-0.5) and read.written_along == pytest.approx(1)
    # Each drawing says the next word: the floor has what the signal lacks.
    other = shares(clean, clean, np.roll(clean, 1, 0), labels)
    assert other.drawn == pytest.approx(0) and other.drawn_floor == pytest.approx(1 / 4)
