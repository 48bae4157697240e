"""Doubts about a split are reported beside the number, on the command line and in a program."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.channel.measure import measure
from hartley.channel.trials.split_quality import MARK, doubts
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
