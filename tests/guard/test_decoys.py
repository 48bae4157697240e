"""Decoys: evidence that is right under the null, whatever attacker and model do."""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Callable

import numpy as np
import pytest

from hartley.guard.config import Decoy
from hartley.guard.decoys import Planted, certified_bits, events, plant
from hartley.infotheory.e_values import Breaker, log2_kt, running_rate

WORDS = ("amber", "cobalt", "indigo", "scarlet", "maroon", "ochre", "violet", "crimson")
WARD = Decoy("ward", WORDS, 0.001)
CODE = Decoy("code", ("teal blue", "sea green"), 0.001)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"messages": [{"role": "user", "content": "hi"}]}, lambda b: b["messages"][0]["content"]),
        (
            {"messages": [{"role": "system", "content": "Be brief."}]},
            lambda b: b["messages"][0]["content"],
        ),
        (
            {"messages": [{"role": "developer", "content": [{"type": "text", "text": "Be."}]}]},
            lambda b: b["messages"][0]["content"][-1]["text"],
        ),
        ({"messages": []}, lambda b: b["messages"][0]["content"]),
        ({"prompt": "Once"}, lambda b: b["prompt"]),
        ({"prompt": ["Once", "Twice"]}, lambda b: b["prompt"][1]),
    ],
)
def test_a_fresh_value_is_written_into_the_system_prompt(
    body: dict[str, object], place: Callable[[dict[str, object]], str]
) -> None:
    before = repr(body)
    values = set()
    for seed in range(60):
        planted_body, planted = plant(body, (WARD, CODE), random.Random(seed))
        text = place(planted_body)
        named = [[word in text for word in decoy.candidates] for decoy in (WARD, CODE)]
        assert [row.index(True) for row in named] == list(planted.values)
        assert [sum(row) for row in named] == [1, 1]
        values.add(planted.values)
    assert len(values) == 16
    assert repr(body) == before


def test_a_prompt_of_tokens_cannot_hold_a_decoy() -> None:
    body, planted = plant({"prompt": [5, 6]}, (WARD,))
    assert (body, planted.decoys) == ({"prompt": [5, 6]}, ())
    assert events(planted, ["amber"]) == []


def test_a_prompt_that_is_repeated_in_the_answer_holds_none() -> None:
    body, planted = plant({"prompt": "Once", "echo": True}, (WARD,))
    assert (body, planted.decoys) == ({"prompt": "Once", "echo": True}, ())


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ("It is Amber.", "amber"),
        ("amber, then amber again", "amber"),
        ("amber or cobalt", None),
        ("the chamber is dark", None),
        ("a plain answer", None),
        ("", None),
        (base64.b64encode(b"the ward is indigo").decode(), "indigo"),
        (b"indigo".hex(" "), "indigo"),
        ("the word is vaqvtb", "indigo"),
        ("s-c-a-r-l-e-t", "scarlet"),
        ("ogidni", "indigo"),
    ],
)
def test_an_event_is_an_answer_that_names_one_candidate(answer: str, named: str | None) -> None:
    for value, word in enumerate(WORDS):
        found = events(Planted((WARD,), (value,)), [answer])
        assert [event.success for event in found] == ([] if named is None else [word == named])


def test_choices_count_together() -> None:
    planted = Planted((WARD, CODE), (0, 1))
    assert events(planted, ["amber", "cobalt"]) == []
    found = events(planted, ["amber", "the code: Sea  green? sea green"])
    assert [(event.decoy, event.success) for event in found] == [("ward", True), ("code", True)]


def test_a_guesser_succeeds_as_often_as_chance_whatever_it_has_seen() -> None:
    """It names what was planted most often before, in many tellings of the same conversation."""
    draws, hits, trips = random.Random(5), 0, 0
    for _ in range(200):
        counts, breaker = [0] * 8, Breaker(1 / 8, 0.01)
        for _ in range(100):
            _, planted = plant({"prompt": "x"}, (WARD,), draws)
            guess = WORDS[int(np.argmax(counts))]
            (event,) = events(planted, [f"I say {guess}"])
            counts[planted.values[0]] += 1
            hits += event.success
            breaker.update(event.success)
        trips += breaker.tripped
    spread = math.sqrt(20_000 / 8 * 7 / 8)
    assert abs(hits - 2500) < 4 * spread
    assert trips <= 8  # at most .01 of 200 on the mean; 9 has chance 2e-4


def test_a_doubled_rate_trips_within_the_declared_number_of_trials() -> None:
    """Exact law of the time at which the evidence reaches 1/.05, by dynamic programming."""
    alive, tripped = np.array([1.0]), 0.0
    for n in range(1, 231):
        step = np.zeros(n + 1)
        step[:-1] += alive * 0.9
        step[1:] += alive * 0.1
        over = np.array([log2_kt(k, n, 0.05) for k in range(n + 1)]) >= math.log2(20)
        tripped += step[over].sum()
        alive = np.where(over, 0.0, step)
        if tripped >= 0.5:
            break
    assert 220 <= n <= 230


def test_limits_of_a_rate_hold_at_every_number_where_chances_drift() -> None:
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(100):
        chances = np.clip(rng.uniform(0, 0.4) + 0.3 * np.sin(np.arange(150) / 40), 0, 1)
        hits = np.cumsum(rng.random(150) < chances)
        means = np.cumsum(chances) / np.arange(1, 151)
        limits = [running_rate(int(k), n + 1, 0.1) for n, k in enumerate(hits)]
        wrong += any(not low <= mean for (low, _), mean in zip(limits, means, strict=True))
    assert wrong <= 20  # at most 10 of 100 on the mean; 21 has chance .0008
    low, high = running_rate(500, 1000, 0.05)
    assert 0.43 < low < 0.47
    assert low == pytest.approx(1 - high)
    assert running_rate(0, 0) == (0.0, 1.0)
    assert running_rate(0, 50)[0] == 0.0


def test_certified_bits_are_below_the_true_ones_and_grow_to_them() -> None:
    # A model that names the planted one of 16 always carries 4 bits; an honest one none.
    shares = [certified_bits(n, n, n, 16, 0.01) for n in (5, 50, 500)]
    assert shares == sorted(shares)
    assert 3.4 < shares[-1] < 4
    assert certified_bits(6, 100, 100, 16, 0.01) == 0
    assert certified_bits(0, 0, 0, 16, 0.01) == 0
    # Half of the answers name the planted value, half name nothing: p = (1 + 1/16)/2.
    p = (1 + 1 / 16) / 2
    true = p * math.log2(16 * p) + (1 - p) * math.log2((1 - p) / (15 / 16))
    assert 0.7 * true < certified_bits(1000, 1000, 2000, 16, 0.01) < true
