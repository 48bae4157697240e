"""One line that says what happened, what was expected and what to do."""

from __future__ import annotations

import pytest

from hartley.core.errors import MissingExtra, MissingPack, UnknownName, UsageError
from hartley.core.seeds import spawn


def test_a_near_name_is_offered() -> None:
    assert "did you mean lira" in str(UnknownName("attack", "lyra", ["lira", "rmia", "knockoff"]))
    assert "see `hartley list attacks`" in str(UnknownName("attack", "zzz", ["lira"]))


@pytest.mark.parametrize("error", [MissingExtra("torch", "torch"), MissingPack("smollm2")])
def test_what_is_missing_says_how_to_get_it(error: UsageError) -> None:
    line = str(error)
    assert "\n" not in line
    assert "pip install 'hartley[torch]'" in line or "hartley pack get smollm2" in line


def test_seeds_are_spawned_from_names() -> None:
    assert spawn(0, "lira", "membership", 1) == spawn(0, "lira", "membership", 1)
    seeds = {spawn(r, a, i) for r in range(3) for a in ("lira", "rmia") for i in range(50)}
    assert len(seeds) == 300
    assert spawn(0, "ab", "c") != spawn(0, "a", "bc")
    assert all(0 <= s < 2**63 for s in seeds)
