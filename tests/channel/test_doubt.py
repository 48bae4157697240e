"""Doubts about a split are reported beside the number, on the command line and in a program."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.channel.measure import measure
from hartley.channel.trials.split_quality import MARK, blind_bits, doubts, explained, unsettling
from hartley.core import AnswerForm, ChannelSpec, Role, Trials
from hartley.engine.result.document import flags


def trials(*, planted: bool, **metrics: object) -> Trials:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 400)
    return Trials(
        spec=ChannelSpec(Role.TAP, AnswerForm.SCORE, 2, "record", planted=planted),
        truth=truth,
        guess=truth + rng.normal(size=400),
        metrics=metrics,
    )


def blind(value: float, reach: float) -> dict[str, float]:
    return {"value": value, "low": value - reach, "high": value + reach, "n": 400}


@pytest.mark.parametrize(
    ("metrics", "planted", "words"),
    [
        ({"blind_auc": blind(0.7, 0.1)}, True, "AUC 0.7 [0.6, 0.8]: their distributions differ"),
        ({"blind_auc": blind(0.3, 0.1)}, False, "AUC 0.3 [0.2, 0.4]"),  # below ½ says as much
        ({"duplicates": 0.3}, False, "30% of the non-members are also members"),
    ],
)
def test_a_flawed_split_is_told_in_a_program_and_flags_the_row(metrics, planted, words):
    channel = measure(trials(planted=planted, **metrics))
    assert any(words in one for one in channel.bits.assumptions)
    (flag,) = flags(channel)
    assert flag.startswith(MARK) and words in flag


@pytest.mark.parametrize(
    ("metrics", "planted"),
    [
        ({"blind_auc": blind(0.54, 0.01)}, True),  # surely not ½, and too near to matter
        ({"blind_auc": blind(0.7, 0.25)}, True),  # far from ½, and too few records to tell
        ({"duplicates": 0.3}, True),  # each of them has a coin of its own
        ({"duplicates": 0.02}, False),
        ({}, False),
    ],
)
def test_a_sound_split_is_not_suspected(metrics, planted):
    assert not list(doubts(metrics, planted=planted))
    assert not flags(measure(trials(planted=planted, **metrics)))


def test_the_blind_baseline_has_bits_of_its_own():
    """|2·AUC − 1|, which a channel has that shows the secret at times and nothing else."""
    channel = measure(trials(planted=True, blind_auc=blind(0.7, 0.1)))
    bits = channel.metrics["blind_bits"]
    assert bits["n"] == 400
    assert (bits["low"], bits["value"], bits["high"]) == pytest.approx((0.2, 0.4, 0.6))
    below = blind_bits({"blind_auc": blind(0.3, 0.1)})["blind_bits"]
    assert (below["low"], below["value"], below["high"]) == pytest.approx((0.2, 0.4, 0.6))
    assert blind_bits({"blind_auc": blind(0.55, 0.1)})["blind_bits"]["low"] == 0.0
    assert blind_bits({}) == {}


def test_the_blind_baseline_settles_nothing_only_where_it_explains_the_excess():
    metrics = {"blind_auc": blind(0.6, 0.05)}  # at most 0.3 bit
    flag = next(iter(doubts(metrics, planted=True)))
    row = {"metrics": metrics, "flags": [flag, "another"]}
    assert explained(row) == pytest.approx(0.3)
    assert unsettling(row, 0.1, 0.3) == [flag, "another"]
    assert unsettling(row, 0.1, 0.5) == ["another"]  # 0.4 bit too much, of which 0.3 are explained
    assert unsettling(row, 0.1, 0.05) == unsettling(row, 0.1, None) == ["another"]
    assert unsettling(row, 0.1, 0.5, in_bits=False) == [flag, "another"]
    sound = {"metrics": {"blind_auc": blind(0.52, 0.05)}, "flags": []}
    assert explained(sound) == explained({"metrics": {}}) == 0.0
