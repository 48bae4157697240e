"""Limits on metrics: a pilot's clusters are drawn anew, and the number settles fresh runs."""

from dataclasses import replace

import numpy as np
import pytest
from tests.channel.trials import jam_trials, score_trials, symbol_trials

from hartley.channel import metric_power, power
from hartley.channel.measure import measure
from hartley.core import AnswerForm, ChannelSpec, Trials
from hartley.core.errors import BadTrials
from hartley.engine.plan.power import doubted


def rank_trials(n=200, seed=0):
    rng = np.random.default_rng(seed)
    rank = 1 + (100 * rng.random(n) ** 3).astype(int)
    return Trials(ChannelSpec(form=AnswerForm.RANK, alphabet=100), np.zeros(n, int), rank)


@pytest.mark.parametrize(
    ("trials", "names"),
    [
        (score_trials(1.0, seed=1), ["auc", "auc_two_sided", "tpr_at_fpr_1e3", "advantage"]),
        (score_trials(1.0, clusters=10, seed=1), ["auc", "tpr_at_fpr_1e2", "balanced_accuracy"]),
        (score_trials(1.0, seed=1, tries=4), ["auc"]),
        (symbol_trials(4, 0.5, n=400, erased=0.1, clusters=20), ["accuracy", "bits_confusion"]),
        (rank_trials(), ["exposure", "accuracy"]),
        (jam_trials(0.2, clusters=10), ["ber_before", "ber_after"]),
    ],
)
def test_a_metric_is_that_of_the_measurement(trials, names):
    metrics = measure(trials).metrics
    for name in names:
        pilot = metric_power.resampled(trials, name)
        alone = pilot.of(pilot.columns, np.random.default_rng(0))
        # How rows are paired for the lower ends at further levels is drawn.
        for end in ("value", "low", "high"):
            assert alone[end] == pytest.approx(metrics[name][end], abs=1e-3), (name, end)
        if "lows" in metrics[name]:
            levels = [level for level, _ in metrics[name]["lows"]]
            assert [level for level, _ in alone["lows"]] == pytest.approx(levels)


def test_rounds_are_drawn_where_the_judge_counts_them():
    trials = replace(symbol_trials(4, 0.5, n=40), metrics_by_round={"rate": (0.1, 0.3, 0.4, 0.2)})
    pilot = metric_power.resampled(trials, "rate")
    assert (pilot.units, pilot.uses) == (4, 10)
    drawn = pilot.metric(2000, np.random.default_rng(0))
    assert drawn["value"] == pytest.approx(0.25, abs=0.01) and drawn["n"] == 2000
    few = replace(trials, metrics_by_round={"rate": (0.1,)})
    for lacking, name, words in [
        (few, "rate", "one round"),
        (replace(trials, metrics={"psnr": 3.0}), "psnr", "one number for the whole deal"),
        (trials, "chance", "no interval"),
        (score_trials(1.0), "mu_lower", "no interval"),
    ]:
        with pytest.raises(BadTrials, match=words):
            metric_power.resampled(lacking, name)


def test_resampled_scores_have_no_steps_but_those_of_the_pilot():
    pilot = metric_power.resampled(score_trials(1.0, n=1000, seed=2), "tpr_at_fpr_1e2")
    rng = np.random.default_rng(0)
    values = [pilot.metric(20_000, rng)["value"] for _ in range(6)]
    # A threshold on one of five negatives would jump by a fifth of the level.
    assert np.std(values) < 0.012 and 0.03 < np.mean(values) < 0.2
    coarse = score_trials(1.0, n=1000, seed=2)
    steps = metric_power.resampled(replace(coarse, guess=np.round(coarse.guess)), "auc")
    assert (np.sort(steps.reach, axis=None)[:-4] == 0).all()


@pytest.mark.parametrize("multiple", [0.5, 2.0])
def test_the_number_settles_fresh_runs(multiple):
    pilot = symbol_trials(10, 0.4, n=160, clusters=40, seed=3)
    metric = measure(pilot).metrics["accuracy"]
    excess = {"point": metric["value"] - 0.1, "high": metric["high"] - 0.1}
    limit = 0.1 + multiple * 0.3
    planned = 0.1 + doubted(excess, limit - 0.1, None)
    source = metric_power.resampled(pilot, "accuracy")
    need = metric_power.needed(source, limit, planned=planned, chance=0.1, tests=4)
    assert need.side == ("over" if multiple < 1 else "pass") and need.simulated
    question = power.Question(need.side, 0.05 / 4 if multiple < 1 else 0.05)
    settled = 0
    for k in range(40):
        trials = symbol_trials(10, 0.4, n=4 * need.clusters, clusters=need.clusters, seed=100 + k)
        fresh = metric_power.resampled(trials, "accuracy")
        metric = fresh.of(fresh.columns, np.random.default_rng(k))
        end = metric_power.settling_end(metric, question, 0.05)
        settled += end > limit if multiple < 1 else end <= limit
    assert settled >= 36
    alone = metric_power.needed(source, limit, planned=planned, chance=0.1)
    assert alone.clusters <= need.clusters


def test_what_no_number_settles_says_so(monkeypatch):
    clustered = metric_power.resampled(score_trials(1.0, clusters=16), "auc")
    alone = metric_power.needed(clustered, 0.6, planned=0.75, chance=0.5)
    assert alone.side == "over"
    shared = metric_power.needed(clustered, 0.6, planned=0.75, chance=0.5, tests=2)
    assert shared.side == "" and "at one level only" in shared.reason
    rows = metric_power.resampled(score_trials(1.0), "auc")
    many = metric_power.needed(rows, 0.6, planned=0.75, chance=0.5, tests=100)
    assert many.side == "" and "at 6 levels only" in many.reason
    near = metric_power.needed(rows, 0.75, planned=0.752, chance=0.5)
    assert near.side == "" and near.reason == "it is too near the limit"
    # Of 1,000 negatives no place is surely above one in a thousand.
    monkeypatch.setattr(power, "MOST", 2000)
    rate = metric_power.resampled(score_trials(2.0), "tpr_at_fpr_1e3")
    bare = metric_power.needed(rate, 0.05, planned=0.2)
    assert bare.side == "" and bare.reason.startswith("its lower end is 0 with any number")
    alike = replace(symbol_trials(4, 0.5, n=20), metrics_by_round={"count": (2.0, 2.0)})
    counts = metric_power.resampled(alike, "count")
    assert "no interval" in metric_power.needed(counts, 1.0, planned=2.0).reason


def test_chance_is_where_nothing_leaks():
    assert metric_power.chance_of("auc", {}) == 0.5
    assert metric_power.chance_of("accuracy", {"chance": 0.1}) == 0.1
    assert metric_power.chance_of("tpr_at_fpr_1e2", {"chance": 0.1}) == 0.0
