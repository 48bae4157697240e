"""Optional columns and declarations, each against a channel whose truth is known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hartley.channel.measure import measure
from hartley.channel.trials.optional_columns import (
    evidence,
    fisher,
    judged,
    mean_gain,
    observed_capacity,
    posterior_bits,
)
from hartley.channel.trials.validate import Columns, measured_rows
from hartley.core import AnswerForm, Bound, ChannelSpec, Kind, Trials, commitment
from hartley.core.errors import BadTrials
from hartley.infotheory.capacity import capacity
from hartley.infotheory.closed_forms import binary_capacity
from hartley.infotheory.e_values import Breaker
from hartley.infotheory.gaussian import h2

OPTIONAL = ("bits_posterior", "g_vulnerability", "log2_e", "anytime_p", "judge_bits")


def bsc(p, n=400, *, seed=0, clusters=0, **spec):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    guess = truth ^ (rng.random(n) < p)
    return Trials(
        ChannelSpec(form=AnswerForm.SYMBOL, clustered=clusters > 0, **spec),
        truth,
        guess,
        cluster=np.arange(n) * clusters // n if clusters else None,
    )


def test_nothing_changes_without_them():
    plain = bsc(0.2)
    full = replace(
        plain,
        order=np.arange(400.0),
        logq=np.full(400, -1.0),
        gain=np.ones(400),
        p_null=np.ones(400),
        observed=np.zeros(400, int),
        spec=replace(plain.spec, judge=(0.9, 0.9, 100)),
    )
    a, b = measure(plain), measure(full)
    assert not set(OPTIONAL) & set(a.metrics)
    assert set(OPTIONAL) <= set(b.metrics)
    assert (a.bits.value, a.bits.lower, a.high, a.null) == (
        b.bits.value,
        b.bits.lower,
        b.high,
        b.null,
    )
    assert {k: v for k, v in b.metrics.items() if k not in OPTIONAL} == a.metrics


def test_tuned_rows_are_not_measured():
    honest = bsc(0.3, 300, clusters=30)
    # The attacker knew every row that he tuned on: measured, these would look like a leak.
    tuned = np.arange(600) % 2
    mixed = {name: np.repeat(getattr(honest, name), 2) for name in ("truth", "guess", "cluster")}
    mixed["guess"] = np.where(tuned == 0, mixed["truth"], mixed["guess"])
    all_of_it = replace(honest, **mixed)
    gain = np.where(tuned == 0, 1.0, 0.25)
    split = measure(replace(all_of_it, split=tuned, gain=gain))
    assert split.n == 300
    assert split.metrics["g_vulnerability"]["value"] == 0.25
    same = measure(replace(honest, gain=np.full(300, 0.25)))
    assert split == same
    assert measure(all_of_it).bits.value > split.bits.value + 0.2
    with pytest.raises(BadTrials, match="tuned on all"):
        measure(replace(all_of_it, split=np.zeros(600, int)))


@pytest.mark.parametrize(
    ("name", "values", "match"),
    [
        ("split", [0, 1, 2, 1], "split must be from 0 to 1, got 2"),
        ("order", [0, 1, np.nan, 2], "NaN"),
        ("logq", [-1, -1, 0.5, -1], "logq must be at most 0, got 0.5"),
        ("logq", [-1, -1, np.nan, -1], "NaN"),
        ("gain", [0, 0, 1.5, 1], "gain must be from 0 to 1, got 1.5"),
        ("p_null", [1, 1, 0, 1], "p_null must be above 0"),
        ("p_null", [1, 1, 2, 1], "p_null must be from 0 to 1, got 2"),
        ("observed", [0, -1, 1, 1], "observed must be at least 0, got -1"),
        ("observed", [0, 0.5, 1, 1], "whole"),
        ("gain", [0, 1], "shape"),
    ],
)
def test_a_wrong_column_is_said_in_one_line(name, values, match):
    with pytest.raises(BadTrials, match=match) as caught:
        measure(replace(bsc(0.2, 4), **{name: np.array(values)}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("clusters", [0, 25])
def test_posterior_bits_cover_the_channel(clusters):
    p, truth, inside = 0.1, 1 - h2(0.1), 0
    for seed in range(100):
        trials = bsc(p, 500, seed=seed, clusters=clusters)
        logq = np.log2(np.where(trials.guess == trials.truth, 1 - p, p))
        # As ``measure`` prints it, without the rest of a row.
        got = posterior_bits(logq, Columns(trials.truth, trials.guess, None, trials.cluster), 2)
        assert seed or got == measure(replace(trials, logq=logq)).metrics["bits_posterior"]
        assert got["low"] <= got["value"] <= got["high"]
        inside += got["low"] <= truth <= got["high"]
    assert inside >= 88


def test_posterior_bits_stay_a_lower_bound():
    trials = bsc(0.1, 4000)
    right = trials.guess == trials.truth
    # Overconfident, and wrong for sure at times: the prior mixed in keeps the loss finite.
    sure = measure(replace(trials, logq=np.where(right, 0.0, -np.inf))).metrics["bits_posterior"]
    assert -math.log2(100) < sure["value"] < 1 - h2(0.1) - 0.1
    blind = measure(replace(trials, logq=np.full(4000, -1.0))).metrics["bits_posterior"]
    assert blind["value"] == pytest.approx(0.0, abs=1e-12)


def test_posterior_bits_of_shares_nobody_drew():
    truth = (np.arange(1000) % 10 == 0).astype(int)
    columns = Columns(truth, truth, None, None, planted=False)
    share = np.where(truth == 1, 0.1, 0.9)
    assert posterior_bits(np.log2(share), columns, 2)["value"] == pytest.approx(0.0, abs=1e-12)
    told = posterior_bits(np.zeros(1000), columns, 2)["value"]
    assert h2(0.1) - 0.02 < told <= h2(0.1)


def test_one_cluster_has_hardly_a_posterior_interval():
    """Markov's limit: 2.5 % of the way from the least that is possible to what was seen."""
    trials = bsc(0.1, 100, clusters=1)
    got = measure(replace(trials, logq=np.full(100, -0.5))).metrics["bits_posterior"]
    least = math.log2(0.01)
    assert got["low"] == pytest.approx(least + 0.05 * (got["value"] - least))
    most = math.log2(0.99 * 2 + 0.01)
    assert got["high"] == pytest.approx(most - 0.05 * (most - got["value"]))


@pytest.mark.parametrize("clusters", [0, 40])
def test_mean_gain_covers(clusters):
    wrong, width = 0, []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        cluster = np.arange(400) * clusters // 400 if clusters else None
        centre = np.repeat(rng.random(40), 10) if clusters else rng.random(400)
        gain = centre**2 * 0.9  # mean 0.3
        got = mean_gain(gain, cluster)
        assert got["low"] <= got["value"] <= got["high"]
        wrong += not got["low"] <= 0.3 <= got["high"]
        width.append(got["high"] - got["low"])
    assert wrong <= 15
    assert np.median(width) < (0.4 if clusters else 0.12)
    if clusters:
        assert np.median(width) > mean_gain(gain, None)["high"] - mean_gain(gain, None)["low"]


def test_stated_chances_certify_no_more_than_alpha_under_the_null():
    certified = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        rank = rng.integers(1, 11, 50)
        certified += fisher(rank / 10, None).lower > 0
    assert certified <= 30
    assert fisher(np.full(50, 0.1), None).lower > 0.3


def test_stated_chances_replace_the_default_statistic():
    trials = bsc(0.05, 200)
    default = measure(trials).leakage
    mute = measure(replace(trials, p_null=np.ones(200))).leakage
    assert default.lower > 0.4
    # No better of two: that would be a look at the data.
    assert mute.lower == 0.0
    loud = measure(replace(trials, p_null=np.full(200, 2.0**-4))).leakage
    assert loud.lower > default.lower
    assert "Fisher" in loud.method


def test_a_cluster_nobody_drew_in_counts_once():
    # One secret copied into all ten rows of a cluster: ten times the same success.
    certified = 0
    for seed in range(300):
        p = np.repeat(np.random.default_rng(seed).random(20), 10)
        certified += fisher(p, np.repeat(np.arange(20), 10)).lower > 0
    assert certified <= 25
    spec = ChannelSpec(form=AnswerForm.SYMBOL, planted=False, clustered=True)
    row = bsc(0.2, 100, clusters=10)
    got = measure(replace(row, spec=spec, p_null=np.full(100, 0.5))).leakage
    assert got.lower == 0.0


def test_observed_capacity_of_a_known_channel():
    w = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.05, 0.05, 0.2, 0.7]])
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 6000)
    observed = (rng.random(6000)[:, None] > np.cumsum(w[truth], 1)).sum(1)
    trials = Trials(
        ChannelSpec(form=AnswerForm.SYMBOL, alphabet=3), truth, truth, observed=observed * 7
    )
    got = measure(trials).capacity
    assert got.kind is Kind.ESTIMATE
    assert got.value == pytest.approx(capacity(w).value, abs=0.03)
    few = observed_capacity(truth[:239], observed[:239], 3)
    assert few is None
    assert observed_capacity(truth[:240], observed[:240], 3) is not None
    assert observed_capacity(np.zeros(6000, int), observed, 3) is None


def test_evidence_is_the_breakers_in_the_order_of_play():
    trials = bsc(0.3, 200, seed=3)
    hits = trials.guess == trials.truth
    # Stored with all misses first; played in another order.
    stored = np.argsort(hits, kind="stable")
    time = np.empty(200)
    time[:] = stored
    shuffled = replace(trials, truth=trials.truth[stored], guess=trials.guess[stored], order=time)
    breaker = Breaker(0.5)
    for hit in hits:
        breaker.update(bool(hit))
    usual = measure(shuffled).metrics
    assert usual["log2_e"] == pytest.approx(breaker.log2_e)
    assert usual["anytime_p"] == pytest.approx(breaker.p)
    assert breaker.p < 1e-3
    by_row = measure(replace(shuffled, order=np.arange(200))).metrics
    assert by_row["anytime_p"] < usual["anytime_p"]


def test_evidence_trips_falsely_no_more_than_alpha():
    rng = np.random.default_rng(0)
    tripped = sum(evidence(rng.random(300) < 0.25, 0.25)[1] >= math.log2(20) for _ in range(400))
    assert tripped <= 20
    assert evidence(np.zeros(0, bool), 0.5) == (pytest.approx(0.0), 0.0)


def test_no_evidence_where_nobody_drew():
    trials = replace(bsc(0.1, planted=False), order=np.arange(400))
    assert "log2_e" not in measure(trials).metrics


def test_the_judge_is_part_of_what_is_said():
    trials = bsc(0.1, judge=(0.9, 0.8, 500))
    got = measure(trials)
    assert got.metrics["judge_bits"]["value"] == binary_capacity(0.9, 0.2)[0]
    assert 0.3 < got.metrics["judge_bits"]["low"] < got.metrics["judge_bits"]["value"]
    assert any(line.startswith("success was decided by a judge") for line in got.bits.assumptions)
    assert judged((0.2, 0.1, 500))[0] == pytest.approx(judged((0.9, 0.8, 500))[0])
    with pytest.raises(BadTrials, match="judge must be"):
        measure(bsc(0.1, judge=(1.2, 0.8, 500)))


def test_another_seed_than_the_one_committed_to_is_refused():
    trials = replace(bsc(0.1, commit=commitment(7)), seed=7)
    assert measure(trials).n == 400
    with pytest.raises(BadTrials, match="committed"):
        measure(replace(trials, seed=8))


def test_registration_covers_what_is_declared_and_not_what_is_spent():
    spec = ChannelSpec(bounds=(Bound("dp", {"epsilon": np.float64(1.0)}),))
    assert len(spec.registration) == 64
    assert replace(spec, seconds=3.0, uses=9).registration == spec.registration
    others = [
        replace(spec, alpha=0.01),
        replace(spec, levels=(0.1,)),
        replace(spec, bounds=()),
        replace(spec, judge=(1.0, 1.0, 9)),
        replace(spec, commit=commitment(1)),
    ]
    assert len({spec.registration, *(s.registration for s in others)}) == 6


def test_rows_without_options_pass_untouched():
    trials = bsc(0.1)
    assert measured_rows(trials) is trials
