import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hartley.channel.readouts import jam, many_symbols, rank, symbol
from hartley.core import AnswerForm, ChannelSpec, Role
from hartley.infotheory.binary_channel import bits, clopper_pearson, entropy


@given(st.floats(0, 1), st.integers(2, 10**6))
def test_fano_is_the_symmetric_channel(p, k):
    e = 1 - p
    closed = math.log2(k) - float(entropy(e)) - e * math.log2(k - 1)
    assert float(many_symbols.fano(p, k)) == pytest.approx(max(0.0, closed), abs=1e-9)
    assert float(many_symbols.fano(1 / k, k)) == pytest.approx(0.0, abs=1e-12)


def test_certified_fano_is_the_exact_limit_put_through_fano():
    low = float(clopper_pearson(70, 100, 0.05)[0])
    assert many_symbols.fano_lower(70, 100, 10) == pytest.approx(float(many_symbols.fano(low, 10)))
    assert many_symbols.fano_lower(10, 100, 10) == 0.0
    assert many_symbols.fano_lower(0, 0, 10) == many_symbols.fano_lower(5, 5, 1) == 0.0


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(1, 200), st.data())
def test_erasures_certify_less_than_they_show(n, data):
    answered = data.draw(st.integers(0, n))
    right = data.draw(st.integers(0, answered))
    found = many_symbols.erasure_lower(right, answered, n, 10)
    acc = right / answered if answered else 0.0
    assert 0.0 <= found <= answered / n * float(many_symbols.fano(max(acc, 0.1), 10)) + 1e-9


def test_abstaining_pays():
    """Right only when it answers: better than guessing the rest, which Fano cannot tell apart."""
    assert many_symbols.erasure_lower(100, 100, 400, 10) > 1.3 * many_symbols.fano_lower(
        130, 400, 10
    )


def test_a_table_is_evened_however_little_it_is_skewed():
    rng = np.random.default_rng(0)
    drawn = np.repeat([0, 1, 2], [101, 100, 100])
    assert np.bincount(drawn[many_symbols.even(drawn, rng)]).tolist() == [100, 100, 100]
    skewed = np.repeat([0, 1, 3], [800, 100, 50])
    kept = skewed[many_symbols.even(skewed, rng)]
    assert np.bincount(kept).tolist() == [50, 50, 0, 50]


def test_a_lopsided_bit_is_read_by_its_two_rates():
    """TPR 5 %, FPR 0.1 %: guesses are right 52 % of the time, and Fano alone sees nothing."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 8000)
    guess = (rng.random(8000) < np.where(truth == 1, 0.05, 0.001)).astype(int)
    spec = ChannelSpec(form=AnswerForm.SYMBOL)
    found = symbol.measure_symbol(truth, guess, None, spec, rng)
    assert found.lower > 0.01
    assert many_symbols.fano_lower(int((guess == truth).sum()), 8000, 2) < 0.003
    assert found.point == pytest.approx(float(bits(0.05, 0.001)), abs=0.005)


def test_ranks_tell_more_than_being_first():
    rng = np.random.default_rng(2)
    ranks = rng.integers(2, 60, 50)
    spec = ChannelSpec(form=AnswerForm.RANK, alphabet=10**6)
    found = rank.measure_rank(ranks, None, spec, rng)
    assert 9 < found.lower < found.point < math.log2(10**6 / 29)
    assert many_symbols.fano_lower(0, 50, 10**6) == 0.0


def jam_of(after, before, truth, **spec):
    declared = ChannelSpec(Role.JAM, AnswerForm.SYMBOL, **spec)
    return jam.measure_jam(truth, after, before, None, declared, rng=np.random.default_rng(0))


def test_a_jam_of_a_gate_counts_both_rates():
    """Refusals fall from 95 % to 20 % of harmful prompts, and stay at 2 % of harmless ones."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 4000)
    before = (rng.random(4000) < np.where(truth == 1, 0.95, 0.02)).astype(int)
    after = (rng.random(4000) < np.where(truth == 1, 0.20, 0.02)).astype(int)
    found = jam_of(after, before, truth, alphabet=2)
    exact = float(bits(0.95, 0.02) - bits(0.20, 0.02))
    assert found.lower < exact < found.high
    assert found.point == pytest.approx(exact, abs=0.03)
    assert found.lower > exact - 0.15


@pytest.mark.parametrize("k", [2, 10])
def test_a_jam_that_only_erases(k):
    rng = np.random.default_rng(4)
    truth = rng.integers(0, k, 3000)
    after = np.where(rng.random(3000) < 0.25, -1, truth)
    found = jam_of(after, truth, truth, alphabet=k)
    assert found.point == pytest.approx(0.25 * math.log2(k), abs=0.05 * math.log2(k))
    assert 0.0 < found.lower < 0.25 * math.log2(k) < found.high
