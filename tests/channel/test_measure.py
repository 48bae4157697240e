import dataclasses
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from hartley.channel.binary import bits
from hartley.channel.measure import measure
from hartley.core import Bound, ChannelSpec, Kind, Role, Trials, Wire
from hartley.core.errors import BadTrials


def score_trials(mu, n=1000, *, clusters=0, seed=0, **spec):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    return Trials(
        ChannelSpec(clustered=clusters > 0, **spec),
        truth,
        rng.normal(size=n) + mu * truth,
        cluster=np.arange(n) * clusters // n if clusters else None,
    )


def symbol_trials(k, accuracy, n=600, *, clusters=0, erased=0.0, seed=0, **spec):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    guess = np.where(rng.random(n) < accuracy, truth, (truth + rng.integers(1, k, n)) % k)
    guess = np.where(rng.random(n) < erased, -1, guess)
    return Trials(
        ChannelSpec(wire=Wire.SYMBOL, alphabet=k, clustered=clusters > 0, **spec),
        truth,
        guess,
        cluster=np.arange(n) * clusters // n if clusters else None,
    )


def jam_trials(error, n=1000, *, clusters=0, k=2, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    after = np.where(rng.random(n) < error, (truth + rng.integers(1, k, n)) % k, truth)
    return Trials(
        ChannelSpec(Role.JAM, Wire.SYMBOL, k, clustered=clusters > 0),
        truth,
        after,
        reference=truth.copy(),
        cluster=np.arange(n) * clusters // n if clusters else None,
    )


def rank_trials(ranks, r=10**6, *, clusters=0):
    n = len(ranks)
    return Trials(
        ChannelSpec(wire=Wire.RANK, alphabet=r, clustered=clusters > 0),
        np.zeros(n, int),
        np.asarray(ranks),
        cluster=np.arange(n) * clusters // n if clusters else None,
    )


EVERY = {
    "score": lambda s: score_trials(1.0, seed=s),
    "score, clusters": lambda s: score_trials(1.0, clusters=16, seed=s),
    "score, one run": lambda s: score_trials(1.0, clusters=1, seed=s),
    "symbol": lambda s: symbol_trials(10, 0.5, seed=s),
    "bit": lambda s: symbol_trials(2, 0.8, seed=s),
    "erasures": lambda s: symbol_trials(10, 0.7, erased=0.4, seed=s),
    "symbol, clusters": lambda s: symbol_trials(10, 0.7, clusters=12, seed=s),
    "inject": lambda s: symbol_trials(4, 0.9, n=80, role=Role.INJECT, seed=s),
    "jam": lambda s: jam_trials(0.3, seed=s),
    "jam, clusters": lambda s: jam_trials(0.5, clusters=40, seed=s),
    "jam of ten symbols": lambda s: jam_trials(0.5, k=10, seed=s),
    "rank": lambda s: rank_trials(np.random.default_rng(s).integers(1, 50, 40)),
    "rank, clusters": lambda s: rank_trials(
        np.random.default_rng(s).integers(1, 50, 40), clusters=8
    ),
}


@pytest.mark.parametrize("name", EVERY)
def test_every_field_is_filled_and_in_order(name):
    trials = EVERY[name](0)
    found = measure(trials)
    assert found.bits.kind is Kind.CERTIFIED
    assert found.bits.upper is None
    assert 0.0 <= found.bits.lower <= found.bits.value <= found.high <= found.ceiling.value
    assert found.bits.lower > 0.0
    assert found.ceiling.kind is Kind.THEORY
    assert found.ceiling.value == pytest.approx(math.log2(trials.spec.alphabet))
    assert found.null.kind is Kind.ESTIMATE
    assert 0.0 <= found.null.value <= found.null.upper < max(0.02, 0.25 * found.bits.value)
    assert found.null.value < 0.02
    assert found.n == len(trials)
    assert found.snr > 0
    assert found.estimator
    assert found.bits.assumptions
    if "jam" not in name:
        assert found.leakage.kind is Kind.CERTIFIED
        assert found.leakage.name == "min-capacity"
    assert not any(math.isnan(v) for v in flat(found.usual))


def flat(usual):
    for value in usual.values():
        if isinstance(value, dict):
            assert value.keys() == {"value", "low", "high", "n"}
            assert value["low"] <= value["value"] <= value["high"]
            yield from value.values()
        else:
            yield value


@pytest.mark.parametrize("name", EVERY)
def test_measuring_repeats(name):
    assert measure(EVERY[name](1)) == measure(EVERY[name](1))


def test_usual_metrics_by_wire():
    membership = measure(score_trials(1.0)).usual
    assert {"auc", "tpr_at_fpr_1e2", "tpr_at_fpr_1e3", "balanced_accuracy", "advantage"} <= set(
        membership
    )
    assert membership["epsilon_lower"] > 0
    assert {"accuracy", "chance"} <= set(measure(symbol_trials(5, 0.5)).usual)
    assert {"asr"} <= set(measure(symbol_trials(5, 0.5, role=Role.INJECT)).usual)
    assert {"ber_before", "ber_after", "capacity_after"} <= set(measure(jam_trials(0.2)).usual)
    assert {"exposure", "exposure_null"} <= set(measure(rank_trials([1] * 9)).usual)


def test_the_judge_s_metrics_are_kept():
    trials = dataclasses.replace(score_trials(0.0), usual={"psnr": 31.5})
    assert measure(trials).usual["psnr"] == 31.5


def test_the_base_rate_of_an_injection():
    trials = symbol_trials(4, 0.9, role=Role.INJECT)
    rng = np.random.default_rng(5)
    found = measure(dataclasses.replace(trials, reference=rng.integers(0, 4, len(trials))))
    assert found.usual["base_rate"]["low"] < 0.25 < found.usual["base_rate"]["high"]


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
    assert "dpi_violation" not in honest.usual
    caught = measure(score_trials(3.0, bounds=(Bound("dp", {"epsilon": 0.5}),)))
    assert caught.usual["dpi_violation"] > 0.1
    assert any("DPI VIOLATION" in line for line in caught.bits.assumptions)
    assert caught.bits.value == caught.bits.lower == caught.ceiling.value


# --- what the numbers are


def test_a_score_read_the_other_way_leaks_as_much():
    trials = score_trials(1.5)
    back = measure(dataclasses.replace(trials, guess=-trials.guess))
    ahead = measure(trials)
    assert back.bits.value == pytest.approx(ahead.bits.value, abs=0.02)
    assert 0.6 * ahead.bits.lower < back.bits.lower < ahead.bits.lower
    assert back.usual["auc"]["value"] < 0.2


def test_points_are_right_on_average():
    """Threshold bits of unit normals at distance 1: the best declared level has 0.1133 bit."""
    points = [measure(score_trials(1.0, 2000, seed=s)).bits.value for s in range(12)]

    levels = np.array(ChannelSpec().levels)
    truth = float(bits(ndtr(1 + ndtri(levels)), levels).max())
    assert np.mean(points) == pytest.approx(truth, abs=0.012)


def test_symbol_points_are_right_on_average():
    from hartley.channel.symbol import fano

    points = [measure(symbol_trials(10, 0.7, 3000, seed=s)).bits.value for s in range(6)]
    assert np.mean(points) == pytest.approx(float(fano(0.7, 10)), abs=0.03)


def test_the_kary_channel_of_case_c09():
    from hartley.channel.symbol import fano

    assert float(fano(0.7, 10)) == pytest.approx(1.4896596952239753, abs=1e-12)


def test_one_run_certifies_little_shannon_and_much_leakage():
    one = measure(score_trials(3.0, clusters=1))
    many = measure(score_trials(3.0, clusters=64))
    assert 0.0 < one.bits.lower < 0.05 < many.bits.lower
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
    spec = dataclasses.replace(bit.spec, wire=Wire.SCORE)
    found = measure(dataclasses.replace(bit, spec=spec, guess=bit.guess.astype(float)))
    assert found.bits.lower == pytest.approx(measure(bit).bits.lower, abs=0.06)
    assert any("two values" in line for line in found.bits.assumptions)


# --- invariances


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.floats(1e-3, 1e3), st.floats(-100, 100), st.integers(0, 1000))
def test_units_of_a_score_do_not_matter(scale, shift, seed):
    trials = score_trials(1.0, 300, seed=seed)
    moved = measure(dataclasses.replace(trials, guess=trials.guess * scale + shift))
    base = measure(trials)
    assert moved.bits == base.bits
    assert moved.high == base.high
    assert moved.leakage == base.leakage
    assert moved.curve == base.curve
    assert moved.snr == pytest.approx(base.snr, rel=1e-4)


@pytest.mark.parametrize("clusters", [0, 8])
def test_monotone_maps_of_a_score_do_not_matter(clusters):
    trials = score_trials(1.0, 400, clusters=clusters)
    base, moved = (
        measure(dataclasses.replace(trials, guess=g)) for g in (trials.guess, np.exp(trials.guess))
    )
    assert moved.bits == base.bits
    assert moved.usual["auc"] == base.usual["auc"]
    assert moved.usual["tpr_at_fpr_1e2"] == base.usual["tpr_at_fpr_1e2"]


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.permutations(range(6)), st.sampled_from([0, 6]), st.floats(0, 1))
def test_names_of_symbols_do_not_matter(order, clusters, erased):
    trials = symbol_trials(6, 0.6, 300, clusters=clusters, erased=erased * 0.8)
    names = np.array([*order, -1])
    moved = dataclasses.replace(trials, truth=names[trials.truth], guess=names[trials.guess])
    a, b = measure(trials), measure(moved)
    assert b.bits.value == pytest.approx(a.bits.value, abs=1e-12)
    assert b.bits.lower == pytest.approx(a.bits.lower, abs=1e-9)
    assert b.leakage == a.leakage


def test_names_of_clusters_do_not_matter():
    trials = score_trials(1.0, clusters=16)
    assert measure(dataclasses.replace(trials, cluster=trials.cluster * 7 + 3)) == measure(trials)


def test_a_swap_of_classes_with_the_score_turned_round_changes_little():
    trials = score_trials(1.5, 2000)
    swapped = dataclasses.replace(trials, truth=1 - trials.truth, guess=-trials.guess)
    assert measure(swapped).bits.value == pytest.approx(measure(trials).bits.value, abs=0.03)
    assert measure(swapped).usual["auc"]["value"] == pytest.approx(
        measure(trials).usual["auc"]["value"]
    )


# --- degenerate inputs


def with_(trials, **changes):
    return dataclasses.replace(trials, **changes)


BAD = {
    "no trials": with_(score_trials(1.0), truth=np.array([]), guess=np.array([])),
    "one class only": with_(score_trials(1.0), truth=np.ones(1000, int)),
    "NaN": with_(score_trials(1.0), guess=np.full(1000, np.nan)),
    "infinity": with_(score_trials(1.0), guess=np.full(1000, np.inf)),
    "rows are due": with_(score_trials(1.0), guess=np.zeros(3)),
    "not numeric": with_(score_trials(1.0), guess=np.full(1000, "x")),
    "outside -1": with_(symbol_trials(4, 0.5), guess=np.full(600, 4)),
    "outside 0": with_(symbol_trials(4, 0.5), truth=np.full(600, 7)),
    "outside 1": rank_trials([0, 1, 2]),
    "whole numbers": with_(symbol_trials(4, 0.5), guess=np.full(600, 0.5)),
    "needs `reference`": with_(jam_trials(0.1), reference=None),
    "decoded symbols": score_trials(1.0, role=Role.JAM),
    "secret bit": score_trials(1.0, alphabet=3),
    "cluster has shape": with_(score_trials(1.0, clusters=4), cluster=np.zeros(3)),
}


@pytest.mark.parametrize("message", BAD)
def test_what_cannot_be_measured_is_said_in_one_line(message):
    with pytest.raises(BadTrials, match=message) as caught:
        measure(BAD[message])
    assert "\n" not in str(caught.value)


def test_all_ties_tell_nothing():
    found = measure(with_(score_trials(1.0), guess=np.full(1000, 2.5)))
    assert found.bits.value == found.bits.lower == 0.0
    assert found.usual["auc"]["value"] == 0.5
    assert found.noise == 0.0
    assert found.snr == 0.0


def test_a_score_that_is_the_secret():
    trials = score_trials(0.0)
    found = measure(with_(trials, guess=trials.truth.astype(float)))
    assert found.bits.lower > 0.95
    assert found.snr == pytest.approx(3.0, rel=0.01)
    assert found.noise == 0.0


def test_no_false_positives():
    trials = score_trials(0.0, 2000)
    score = np.where(trials.truth == 1, trials.guess.clip(-3, 3) + 20, trials.guess)
    found = measure(with_(trials, guess=score))
    assert found.bits.lower > 0.9
    assert math.isfinite(found.usual["epsilon_lower"])


def test_one_symbol_carries_nothing():
    trials = Trials(ChannelSpec(wire=Wire.SYMBOL, alphabet=1), np.zeros(9, int), np.zeros(9, int))
    found = measure(trials)
    assert found.bits.value == found.bits.lower == found.high == found.ceiling.value == 0.0


def test_two_rows_are_enough_to_say_nothing():
    found = measure(Trials(ChannelSpec(), np.array([0, 1]), np.array([0.1, 0.9])))
    assert found.bits.lower == 0.0
    assert found.high == pytest.approx(1.0)


def test_everything_erased():
    found = measure(with_(symbol_trials(4, 0.5), guess=np.full(600, -1)))
    assert found.bits.value == found.bits.lower == 0.0


def test_the_null_of_the_privacy_library_that_failed_it():
    """jax-privacy ≤ 2.0.0 reports ε > 0 on identical laws in 99 % of runs; ours in ≤ alpha."""
    tripped = sum(
        measure(score_trials(0.0, 500, seed=s)).usual["epsilon_lower"] > 0 for s in range(30)
    )
    assert tripped <= 5


def test_a_metric_that_each_round_gave_has_an_interval_over_rounds():
    """The mean of eight rounds with a t interval, checked against scipy's own."""
    from scipy import stats

    rounds = (0.9, 0.8, 0.85, 0.95, 0.7, 0.9, 0.88, 0.91)
    trials = replace(score_trials(1.0, 400, seed=0), usual={"a": 0.0}, each={"a": rounds})
    found = measure(trials).usual["a"]
    low, high = stats.t.interval(
        0.95, len(rounds) - 1, loc=np.mean(rounds), scale=stats.sem(rounds)
    )
    assert found["value"] == pytest.approx(np.mean(rounds)) and found["n"] == 8
    assert (found["low"], found["high"]) == pytest.approx((low, high))


def test_where_a_code_hears_more_than_a_threshold_the_interval_has_a_width():
    """Nearly half of the non-members are betrayed for sure: a cut between two declared levels."""
    rng, share = np.random.default_rng(5), 0.44
    truth = rng.integers(0, 2, 16 * 1200)
    score = rng.random(len(truth)) - ((truth == 0) & (rng.random(len(truth)) < share))
    found = measure(
        Trials(
            spec=ChannelSpec(Role.TAP, Wire.SCORE, 2, "record", clustered=True),
            truth=truth,
            guess=score,
            cluster=np.repeat(np.arange(16), 1200),
        )
    )
    sides = np.array([share / 2, share])
    entropy = -sides * np.log2(sides) - (1 - sides) * np.log2(1 - sides)
    exact = entropy[0] - entropy[1] / 2  # a Z-channel
    assert found.raw is not None and found.raw < found.bits.lower  # the declared levels say less
    assert found.bits.lower + 0.005 < found.bits.value < found.high - 0.005
    assert found.bits.value <= exact
