"""The judge's confusion matrix, its bits, and rates corrected for its errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.games.judge_answers.judge_errors import JudgeErrors


def test_a_perfect_judge_carries_all_messages_and_corrects_nothing() -> None:
    perfect = JudgeErrors(1000, 0, 1000, 0, 1000)
    assert perfect.bits(64) == pytest.approx(math.log2(65), abs=1e-5)
    assert float(perfect.flag_bits()) == pytest.approx(1.0)
    assert perfect.flag_bits().low < 1.0 == perfect.flag_bits().high
    figure = perfect.corrected(30, 64)
    assert float(figure) == 30 / 64
    assert figure.low < 30 / 64 < figure.high


def test_bits_of_erasures_and_of_a_useless_judge_have_closed_forms() -> None:
    matrix = JudgeErrors(80, 10, 100, 5, 100).matrix(4)
    assert np.allclose(matrix.sum(1), 1.0)
    assert np.allclose(np.diag(matrix), [0.8] * 4 + [0.95])
    assert matrix[0, 1] == pytest.approx(0.1 / 3)
    # garak's published rates of one detector: 0.10 bit a judgement.
    garak = JudgeErrors(921, 0, 1000, 615, 1000)
    assert float(garak.flag_bits()) == pytest.approx(0.10, abs=0.01)
    useless = JudgeErrors(50, 0, 100, 50, 100)
    assert float(useless.flag_bits()) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(UsageError, match="above its false alarms"):
        useless.corrected(5, 10)


@pytest.mark.parametrize("truth", [0.0, 0.3, 1.0])
def test_the_corrected_interval_covers(truth: float) -> None:
    rng = np.random.default_rng(0)
    covered, plain = 0, 0
    for _ in range(400):
        errors = JudgeErrors(int(rng.binomial(200, 0.8)), 0, 200, int(rng.binomial(200, 0.1)), 200)
        hits = int(rng.binomial(64, truth * 0.8 + (1 - truth) * 0.1))
        figure = errors.corrected(hits, 64)
        covered += figure.low <= truth <= figure.high
        uncorrected = JudgeErrors(10**9, 0, 10**9, 0, 10**9).corrected(hits, 64)
        plain += uncorrected.low <= truth <= uncorrected.high
    assert covered >= 380
    assert truth == 0.3 or plain < 380


@pytest.mark.parametrize(
    "counts", [(2, 0, 1, 0, 1), (0, 0, 0, 0, 1), (1, 0, 1, 2, 1), (1, -1, 1, 0, 1)]
)
def test_impossible_counts_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        JudgeErrors(*counts)
    with pytest.raises(UsageError, match="hits must be"):
        JudgeErrors(1, 0, 1, 0, 1).corrected(3, 2)
