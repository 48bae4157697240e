"""Searches that ask for their points together."""

from __future__ import annotations

import threading

import pytest

from hartley.kit.lockstep import lockstep


def search(start, steps):
    def run(ask):
        value = start
        for _ in range(steps):
            value = ask(value)
        return value

    return run


def test_each_gets_its_own_values_and_those_that_ask_do_so_together():
    calls = []

    def evaluate(places, points):
        calls.append(places)
        return [2 * point for point in points]

    steps = (3, 1, 0, 2)
    assert lockstep([search(k, n) for k, n in enumerate(steps)], evaluate) == [0, 2, 2, 12]
    assert calls == [[0, 1, 3], [0, 3], [0]]
    assert lockstep([search(1, 2)], evaluate) == [4] and lockstep([], evaluate) == []


def test_an_error_ends_all_of_them():
    before = threading.active_count()

    def fails(ask):
        ask(0)
        raise ValueError("a search")

    with pytest.raises(ValueError, match="a search"):
        lockstep([search(0, 9), fails], lambda places, points: points)

    def evaluate(places, points):
        raise ArithmeticError("the points")

    with pytest.raises(ArithmeticError, match="the points"):
        lockstep([search(0, 9), search(1, 9)], evaluate)
    assert threading.active_count() == before
