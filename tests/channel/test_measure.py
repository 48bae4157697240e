"""What a measured channel says, field by field and number by number."""

import dataclasses
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from tests.channel.trials import EVERY, jam_trials, rank_trials, score_trials, symbol_trials

from hartley.channel.measure import measure
from hartley.core import AnswerForm, Bound, ChannelSpec, Kind, Role, Trials
from hartley.infotheory.binary_channel import bits


@pytest.mark.parametrize("name", EVERY)
def test_every_field_is_filled_and_in_order(name):
    trials = EVERY[name](0)
    found = measure(trials)
    assert found.bits.kind is Kind.CERTIFIED
    assert found.bits.upper is None
    assert 0.0 <= found.bits.lower <= found.bits.value <= found.high <= found.ceiling.value
    assert (found.bits.lower > 0.0) is (name != "score, one run")  # one run certifies no mean
    assert found.ceiling.kind is Kind.THEORY
    assert found.ceiling.value == pytest.approx(math.log2(trials.spec.alphabet))
    assert found.null.kind is Kind.ESTIMATE
    assert 0.0 <= found.null.value <= found.null.upper < max(0.02, 0.25 * found.bits.value)
    assert found.null.value < max(0.02, 0.002 * found.ceiling.value)
    assert found.n == len(trials)
    # What the gate decides over all checks: from the row's own level on, both fall.
    (first, low), *rest = found.lows
    assert (first, low) == (trials.spec.alpha, pytest.approx(found.bits.lower))
    assert min(level for level, _ in rest) == trials.spec.alpha / 4096
    for column in zip(*found.lows, strict=True):
        assert list(column) == sorted(column, reverse=True)
    assert found.snr > 0
    assert found.estimator
    assert found.bits.assumptions
    if "jam" not in name:
        assert found.leakage.kind is Kind.CERTIFIED
        assert found.leakage.name == "min-capacity"
    assert not any(math.isnan(v) for v in flat(found.metrics))


def flat(usual):
    for value in usual.values():
        if isinstance(value, dict):
            assert value.keys() - {"lows"} == {"value", "low", "high", "n"}
            assert value["low"] <= value["value"] <= value["high"]
            yield from (value[name] for name in ("value", "low", "high", "n"))
            yield from (number for pair in value.get("lows", ()) for number in pair)
        else:
            yield value


@pytest.mark.parametrize("name", EVERY)
def test_measuring_repeats(name):
    assert measure(EVERY[name](1)) == measure(EVERY[name](1))


def test_usual_metrics_by_wire():
    membership = measure(score_trials(1.0)).metrics
    assert {"auc", "tpr_at_fpr_1e2", "tpr_at_fpr_1e3", "balanced_accuracy", "advantage"} <= set(
        membership
    )
    assert membership["epsilon_lower"] > 0
    assert {"accuracy", "chance"} <= set(measure(symbol_trials(5, 0.5)).metrics)
    assert {"asr"} <= set(measure(symbol_trials(5, 0.5, role=Role.INJECT)).metrics)
    assert {"ber_before", "ber_after", "capacity_after"} <= set(measure(jam_trials(0.2)).metrics)
    assert {"exposure", "exposure_null"} <= set(measure(rank_trials([1] * 9)).metrics)


def test_the_judge_s_metrics_are_kept():
    trials = dataclasses.replace(score_trials(0.0), metrics={"psnr": 31.5})
    assert measure(trials).metrics["psnr"] == 31.5


def test_the_base_rate_of_an_injection():
    trials = symbol_trials(4, 0.9, role=Role.INJECT)
    rng = np.random.default_rng(5)
    found = measure(dataclasses.replace(trials, reference=rng.integers(0, 4, len(trials))))
    assert found.metrics["base_rate"]["low"] < 0.25 < found.metrics["base_rate"]["high"]


def test_costs():
    trials = score_trials(1.0, seconds=10.0, uses=2000, budget=500)
    found = measure(trials)
    assert found.rate == pytest.approx(found.bits.value * 1000 / 10.0)
    assert found.budget_bits == pytest.approx(found.bits.value * 1000 / 2000 * 500)
    assert (found.uses, found.seconds) == (2000, 10.0)
    free = measure(score_trials(1.0))
    assert (free.rate, free.budget_bits, free.authorised, free.uses) == (None, None, None, 1000)


def test_authorised_bandwidth_is_the_declared_alphabet():
    found = measure(score_trials(1.0, bounds=(Bound("alphabet", {"bits": 3.0}),), uses=1000))
    assert found.authorised == 3.0


# --- ceilings


@settings(derandomize=True, deadline=None, max_examples=20)
@given(
    st.sampled_from(sorted(EVERY)),
    st.floats(0.0, 2.0),
    st.integers(0, 10**6),
)
def test_nothing_ever_exceeds_the_ceiling(name, epsilon, seed):
    trials = EVERY[name](seed)
    bounds = () if "jam" in name else (Bound("dp", {"epsilon": epsilon}),)
    found = measure(
        dataclasses.replace(trials, spec=dataclasses.replace(trials.spec, bounds=bounds))
    )
    top = found.ceiling.value
    assert found.bits.lower <= found.bits.value <= found.high <= top + 1e-12
    assert found.ceiling.value <= math.log2(trials.spec.alphabet) + 1e-12


def test_a_certified_leak_above_a_proof_is_called_a_violation():
    honest = measure(score_trials(1.0))
    assert "dpi_violation" not in honest.metrics
    caught = measure(score_trials(3.0, bounds=(Bound("dp", {"epsilon": 0.5}),)))
    assert caught.metrics["dpi_violation"] > 0.1
    assert any("DPI VIOLATION" in line for line in caught.bits.assumptions)
    assert caught.bits.value == caught.bits.lower == caught.ceiling.value


# --- what the numbers are


def test_a_score_read_the_other_way_leaks_as_much():
    trials = score_trials(1.5)
    back = measure(dataclasses.replace(trials, guess=-trials.guess))
    ahead = measure(trials)
    assert back.bits.value == pytest.approx(ahead.bits.value, abs=0.02)
    assert back.bits.lower == pytest.approx(ahead.bits.lower, rel=0.1)
    assert back.metrics["auc"]["value"] < 0.2


def test_points_are_right_on_average():
    """I_F of unit normals at distance 1 is I(S; score), .160747 bit (case C30)."""
    channels = [measure(score_trials(1.0, 2000, seed=s)) for s in range(12)]
    assert np.mean([c.bits.value for c in channels]) == pytest.approx(0.160747, abs=0.016)

    levels = np.array(ChannelSpec().levels)
    threshold = float(bits(ndtr(1 + ndtri(levels)), levels).max())
    values = [c.metrics["bits_one_threshold"]["value"] for c in channels]
    assert np.mean(values) == pytest.approx(threshold, abs=0.012)


def test_symbol_points_are_right_on_average():
    from hartley.channel.readouts.many_symbols import fano

    points = [measure(symbol_trials(10, 0.7, 3000, seed=s)).bits.value for s in range(6)]
    assert np.mean(points) == pytest.approx(float(fano(0.7, 10)), abs=0.03)


def test_the_kary_channel_of_case_c09():
    from hartley.channel.readouts.many_symbols import fano

    assert float(fano(0.7, 10)) == pytest.approx(1.4896596952239753, abs=1e-12)


def test_one_run_certifies_leakage_and_nothing_of_a_mean_over_runs():
    one = measure(score_trials(3.0, clusters=1))
    many = measure(score_trials(3.0, clusters=64))
    assert one.bits.lower == 0.0 and one.high == 1.0 and many.bits.lower > 0.05
    assert one.leakage.lower > 0.5
    assert any("one cluster" in line for line in one.bits.assumptions)


def test_clusters_of_single_rows_are_rows():
    rows = score_trials(1.0)
    spec = dataclasses.replace(rows.spec, clustered=True)
    alone = dataclasses.replace(rows, spec=spec, cluster=np.arange(len(rows)))
    assert measure(alone).bits.lower == measure(rows).bits.lower


def test_a_jam_by_a_flip_destroys_nothing():
    trials = jam_trials(0.0)
    flipped = dataclasses.replace(trials, guess=1 - trials.truth)
    assert measure(flipped).bits.value == pytest.approx(0.0, abs=0.01)
    assert measure(jam_trials(0.5)).bits.lower > 0.8


def test_a_two_valued_score_needs_no_threshold():
    bit = symbol_trials(2, 0.9, 400)
    spec = dataclasses.replace(bit.spec, form=AnswerForm.SCORE)
    found = measure(dataclasses.replace(bit, spec=spec, guess=bit.guess.astype(float)))
    assert found.bits.lower == pytest.approx(measure(bit).bits.lower, abs=0.06)
    assert any("two values" in line for line in found.bits.assumptions)


def test_a_metric_that_each_round_gave_has_an_interval_over_rounds():
    """The mean of eight rounds with a t interval, checked against scipy's own."""
    from scipy import stats

    rounds = (0.9, 0.8, 0.85, 0.95, 0.7, 0.9, 0.88, 0.91)
    trials = replace(
        score_trials(1.0, 400, seed=0), metrics={"a": 0.0}, metrics_by_round={"a": rounds}
    )
    found = measure(trials).metrics["a"]
    low, high = stats.t.interval(
        0.90, len(rounds) - 1, loc=np.mean(rounds), scale=stats.sem(rounds)
    )
    assert found["value"] == pytest.approx(np.mean(rounds)) and found["n"] == 8
    assert (found["low"], found["high"]) == pytest.approx((low, high))


def test_a_cut_between_two_declared_levels_is_read():
    """Nearly half of the non-members are betrayed for sure: a cut between two declared levels."""
    rng, share = np.random.default_rng(5), 0.44
    truth = rng.integers(0, 2, 16 * 1200)
    score = rng.random(len(truth)) - ((truth == 0) & (rng.random(len(truth)) < share))
    found = measure(
        Trials(
            spec=ChannelSpec(Role.TAP, AnswerForm.SCORE, 2, "record", clustered=True),
            truth=truth,
            guess=score,
            cluster=np.repeat(np.arange(16), 1200),
        )
    )
    sides = np.array([share / 2, share])
    entropy = -sides * np.log2(sides) - (1 - sides) * np.log2(1 - sides)
    exact = entropy[0] - entropy[1] / 2  # a Z-channel
    threshold = found.metrics["bits_one_threshold"]
    assert threshold["value"] < found.bits.lower  # the declared levels say less
    assert found.bits.lower < exact < found.high
    assert found.bits.value == pytest.approx(exact, rel=0.1)
