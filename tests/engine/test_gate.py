"""The gate: three answers, and whatever is not known is not safe."""

from __future__ import annotations

from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from scipy.special import ndtri
from tests.report.sample import document as sample

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import ChannelSpec, Trials
from hartley.core.errors import BadPlan, UsageError
from hartley.engine.plan.plan import normalised, parse
from hartley.engine.result.document import measured
from hartley.engine.result.gate import check_metrics, judge
from hartley.engine.result.largest_values import largest
from hartley.report import render

ALPHAS = [0.05 * 2.0**-k for k in range(13)]


def row(attack="a", game="membership", low=0.1, high=0.2, **more):
    return {
        "id": f"{attack}-0a1b2c",
        "baseline": True,
        "attack": attack,
        "game": game,
        "axis": "model_to_data",
        "status": "measured",
        "reason": None,
        "cause": None,
        "flags": [],
        "bits": {"low": low, "high": high, "point": 0.15, "alpha": 0.05},
        "ceiling": 1.0,
        "metrics": {"auc": {"value": 0.6, "low": 0.55, "high": 0.65}, "psnr": 30.0},
        **more,
    }


def gone(attack="b", status="skipped", cause="scene", reason="why not", game="membership"):
    return row(attack, game) | {"status": status, "cause": cause, "reason": reason, "bits": None}


def status(rows, **limits):
    verdict = judge({"channels": rows}, {k.replace("__", "."): v for k, v in limits.items()})
    assert verdict.code == {"pass": 0, "over": 1, "inconclusive": 3}[verdict.status]
    assert verdict.reasons
    return verdict.status


@pytest.mark.parametrize(
    ("limit", "answer"),
    [(0.2, "pass"), (0.5, "pass"), (0.199, "inconclusive"), (0.1, "inconclusive"), (0.09, "over")],
)
def test_the_interval_against_the_limit(limit, answer):
    assert status([row()], membership=limit) == answer


def test_the_lower_of_the_two_upper_ends_counts():
    assert status([row(ceiling=0.12)], membership=0.15) == "pass"
    assert status([row(high=None, ceiling=0.12)], membership=0.15) == "pass"
    assert status([row(high=None, ceiling=None)], membership=5) == "inconclusive"


def test_no_lower_end_is_never_over():
    assert status([row(low=None, high=0.2)], membership=0.1) == "inconclusive"


@pytest.mark.parametrize(
    "key", ["membership", "class:membership", "attack:a", "axis:model_to_data"]
)
def test_a_limit_finds_its_rows(key):
    assert judge({"channels": [row()]}, {key: 0.05}).status == "over"
    other = "inconclusive" if key != "axis:model_to_data" else "over"
    moved = row("z", "inversion")
    assert judge({"channels": [moved]}, {key: 0.05}).status == other


def with_lows(attack="a", low=0.1, high=0.2, fall=0.0, **more):
    """A row whose lower bound falls by ``fall`` each time that alpha is halved."""
    lows = [[a, low - k * fall] for k, a in enumerate(ALPHAS)]
    plain = row(attack, low=low, high=high)
    return plain | {"bits": plain["bits"] | {"lows": lows} | more, "clusters": 8, "n": 400}


def test_the_worst_row_decides():
    assert status([row(), with_lows("b", 0.5, 0.6)], membership=0.3) == "over"
    assert status([row(), row("b", low=0.25, high=0.6)], membership=0.3) == "inconclusive"


def _of_sets(**more):
    return row("dataset_test", unit="set of 32 records", **more) | {"class": "membership"}


def test_bits_of_a_set_are_not_compared_with_a_limit_on_a_record():
    """A set of 32 documents is another secret than a record: its bits are no multiple of those."""
    records = row("a", low=0.0, high=0.04, unit="record") | {"class": "membership"}
    sets = _of_sets(low=0.6, high=0.9)
    limits = {"membership": 0.05}
    verdict = judge({"channels": [records, sets]}, limits)
    words = (
        "membership: dataset_test reads at least 0.6 bit per set of 32 records, and the limit is "
        'about a record: give it a limit of its own, "attack:dataset_test" = …'
    )
    assert verdict.status == "inconclusive" and verdict.reasons[0] == words
    assert judge({"channels": [sets]}, limits).status == "inconclusive"  # also alone
    # What is within the limit on a record is small of a set too, and is printed as what it is.
    quiet = judge({"channels": [records, _of_sets(low=0.0, high=0.04)]}, limits)
    assert quiet.status == "pass"
    assert "dataset_test is at most 0.04 bit per set of 32 records, within" in str(quiet.reasons)
    # A limit of its own decides; that of the class then leaves the row out.
    for own_limit, answer in ((0.95, "pass"), (0.7, "inconclusive"), (0.5, "over")):
        both = {**limits, "attack:dataset_test": own_limit}
        lows = {"bits": sets["bits"] | {"lows": [[a, 0.6] for a in ALPHAS]}}
        assert judge({"channels": [records, sets | lows]}, both).status == answer
    # Its own limit on another quantity does not.
    other = {**limits, "attack:dataset_test.auc": 0.9}
    assert judge({"channels": [records, sets]}, other).status == "inconclusive"
    auc = judge({"channels": [records, sets]}, {"membership.auc": 0.6})
    assert auc.status == "inconclusive" and '"attack:dataset_test.auc" = …' in str(auc.reasons)


def test_a_unit_that_a_plan_orders_for_all_rows_is_that_of_its_limits():
    groups = row("a", low=0.3, high=0.4, unit="group of 8 records")
    assert status([groups], membership=0.2) == "over"


def test_over_is_told_even_when_something_else_failed():
    assert status([row(low=0.5, high=0.6), gone(status="failed")], membership=0.3) == "over"


def test_a_row_above_its_limit_alone_is_not_over_and_says_so():
    others = [with_lows(f"r{k}", 0.0, 0.2) for k in range(22)]
    rows = [with_lows("rmia", 0.061, 0.09, fall=0.01), *others]
    verdict = judge({"channels": rows}, {"membership": 0.05})
    words = (
        "membership: rmia is above the limit 0.05 alone (at least 0.061 bit at 95 %), not at the "
        "level of all 23 checks"
    )
    assert verdict.status == "inconclusive" and words in verdict.reasons
    assert (verdict.level, verdict.tested) == (0.05, 23)
    assert next(c for c in verdict.checks if c["attack"] == "rmia")["p"] == 0.025
    # Twenty-three checks need 0.05 / 23 = 0.0022: the lower bound at 0.0016 is above.
    rows[0] = with_lows("rmia", 0.061, 0.09, fall=0.002)
    verdict = judge({"channels": rows}, {"membership": 0.05})
    assert verdict.status == "over"
    assert verdict.reasons[0] == (
        "membership: rmia is at least 0.061 bit, over the limit 0.05 at the level of all 23 checks"
    )
    # A row of an older run has one level only, which two checks cannot share.
    old = [row("old", low=0.5, high=0.6), with_lows("b", 0.0, 0.2)]
    verdict = judge({"channels": old}, {"membership": 0.3})
    assert verdict.status == "inconclusive" and "measure the run again" in verdict.reasons[0]


def test_a_metric_of_rows_is_over_at_the_level_of_all_checks():
    # The AUC of a measured table, among 22 other checks: its lower end is known at their level too.
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 2000)
    trials = Trials(ChannelSpec(), truth, rng.normal(size=2000) + truth)
    table = row("table") | measured(trials, measure(trials, redraws=1))
    others = [with_lows(f"r{k}", 0.0, 0.2) for k in range(22)]
    verdict = judge({"channels": [table, *others]}, {"membership": 0.5, "attack:table.auc": 0.6})
    assert verdict.status == "over" and verdict.tested == 24
    assert "over the limit 0.6 at the level of all 24 checks" in verdict.reasons[0]
    tried = replace(trials, spec=ChannelSpec(tries=20))
    assert measured(tried, measure(tried, redraws=1))["metrics"]["auc"]["lows"][0][0] == 0.05


def test_holm_steps_down_and_counts_a_channel_once():
    # p = 0.0125, 0.0125, 0.025, 0.05 of four: Bonferroni (0.0125) rejects two, Holm all of them.
    lows = {"a": 0.0025, "b": 0.0025, "c": 0.005, "d": 0.01}
    rows = [with_lows(name, 0.106, 0.2, fall=fall) for name, fall in lows.items()]
    checks = judge({"channels": rows}, {"membership": 0.1}).checks
    assert [c["p"] for c in checks] == [0.0125, 0.0125, 0.025, 0.05]
    assert {c["status"] for c in checks} == {"over"}
    flagged = [*rows[:1], rows[1] | {"flags": ["its null arm reads 0.3 bit"]}, *rows[2:]]
    after = [c["status"] for c in judge({"channels": flagged}, {"membership": 0.1}).checks]
    # A flagged row is over nothing, and goes on counting: 0.025 is too much for three checks.
    assert after == ["over", "inconclusive", "inconclusive", "inconclusive"]
    # Two limits on one quantity of one row share its lower bounds; a metric is another quantity.
    twice = {"membership": 0.1, "attack:a": 0.1, "axis:model_to_data": 0.11}
    verdict = judge({"channels": rows[:1]}, twice)
    assert verdict.tested == 1
    assert [c["status"] for c in verdict.checks] == ["over", "over", "inconclusive"]
    assert judge({"channels": rows[:1]}, {"membership": 0.1, "membership.auc": 0.9}).tested == 2
    metric = with_lows("m")
    metric["metrics"]["auc"]["lows"] = [[a, 0.55 - 0.01 * k] for k, a in enumerate(ALPHAS)]
    verdict = judge({"channels": [metric, rows[0]]}, {"attack:m.auc": 0.535, "attack:a": 0.9})
    assert verdict.checks[0]["p"] == 0.025 and verdict.status == "over"


def simulated(truth, rng, error=0.01):
    """A row whose bounds have exactly their level: a normal estimate of ``truth``."""
    point = rng.normal(truth, error)
    return with_lows(low=0.0, high=point - error * ndtri(0.05)) | {
        "id": f"r{rng.integers(1 << 60)}",
        "bits": {
            "alpha": 0.05,
            "high": point - error * ndtri(0.05),
            "low": point + error * ndtri(0.05),
            "lows": np.column_stack([ALPHAS, point + error * ndtri(ALPHAS)]).tolist(),
        },
    }


def test_a_false_over_and_a_false_pass_have_at_most_the_level_that_the_docs_promise():
    rng, runs, limit = np.random.default_rng(9), 400, 0.05
    over = alone = 0
    for _ in range(runs):  # all 23 channels exactly at their limits
        rows = [simulated(limit, rng) for _ in range(23)]
        over += judge({"channels": rows}, {"membership": limit}).status == "over"
        alone += any(r["bits"]["low"] > limit for r in rows)
    assert alone / runs > 0.5  # what the gate said before it knew of families: 1 - 0.95^23 = 0.69
    assert over / runs <= 0.05 + 2.6 * (0.05 * 0.95 / runs) ** 0.5
    for above in (1.0, 1.1, 1.5):  # one channel at or above its limit among 22 that leak nothing
        verdicts = []
        for _ in range(runs):
            rows = [simulated(above * limit, rng), *(simulated(0.0, rng) for _ in range(22))]
            verdicts.append(judge({"channels": rows}, {"membership": limit}).status)
        assert verdicts.count("pass") / runs <= 0.05 + 2.6 * (0.05 * 0.95 / runs) ** 0.5
    assert verdicts.count("over") > 0


def test_strict_limits_also_count_what_silent_victims_could_hide():
    silent = with_lows(low=0.0, high=0.02, hidden=0.31, certifiable=0.69)
    assert judge({"channels": [silent]}, {"membership": 0.1}).status == "pass"
    verdict = judge({"channels": [silent]}, {"membership": 0.1}, strict=True)
    assert verdict.status == "inconclusive" and verdict.strict
    assert verdict.reasons[0] == (
        "membership: a lies in [0, 0.31] bit, across the limit 0.1 (strict: 8 clusters that showed "
        "nothing could hide that much)"
    )
    assert judge({"channels": [silent]}, {"membership": 0.31}, strict=True).status == "pass"
    # A proved ceiling holds for silent victims too; a row that never counted them does not pass.
    proved = silent | {"ceiling": 0.09}
    assert judge({"channels": [proved]}, {"membership": 0.1}, strict=True).status == "pass"
    old = judge({"channels": [with_lows(low=0.0, high=0.02)]}, {"membership": 0.1}, strict=True)
    assert old.status == "inconclusive"
    few = with_lows(low=0.0, high=0.9, certifiable=0.05)
    reason = judge({"channels": [few]}, {"membership": 0.1}).reasons[0]
    assert reason.endswith("; 8 clusters can certify at most 0.05 bit")


def test_a_plan_says_strict_among_its_limits():
    plan = parse('scene = "digits"\n[limits]\nstrict = true\nmembership = 0.1')
    assert plan.strict and dict(plan.limits) == {"membership": 0.1}
    assert replace(parse(normalised(plan)), name="") == plan
    assert not parse("[limits]\nmembership = 0.1").strict
    with pytest.raises(BadPlan, match=r"limits\.strict must be true or false, got 1"):
        parse("[limits]\nstrict = 1")


def test_all_reports_give_the_reason_of_a_row_that_is_above_alone():
    document = sample()
    rows = [r for r in document["channels"] if r["attack"] == "lira_online"]
    reason = judge({"channels": [*rows, with_lows("z")]}, {"membership": 0.21})
    (check,) = [c for c in reason.checks if c["attack"] == "lira_online"]
    document["verdict"] = reason.dump()
    assert check["status"] == "inconclusive" and "alone" in check["reason"]
    for format in ("html", "md", "sarif", "junit"):
        text = unescape(render(document, format)).replace("\\_", "_")
        assert check["reason"] in text, format


def test_what_failed_or_is_missing_is_inconclusive():
    assert status([row(), gone(status="failed", cause=None)], membership=0.9) == "inconclusive"
    assert status([row(), gone(status="failed", game="inversion")], membership=0.9) == (
        "inconclusive"
    )
    assert status([row(), gone(cause="install")], membership=0.9) == "inconclusive"
    assert status([row(), gone(cause=None)], membership=0.9) == "inconclusive"
    assert status([row(), gone(reason="")], membership=0.9) == "inconclusive"
    assert status([row("a", "inversion")], membership=0.9) == "inconclusive"
    assert status([gone()], membership=0.9) == "inconclusive"
    assert status([], membership=0.9) == "inconclusive"


@pytest.mark.parametrize("cause", ["modality", "scene", "access"])
def test_an_attack_that_cannot_be_carried_is_no_fault_unless_a_limit_names_it(cause):
    rows = [row(), gone(cause=cause)]
    assert status(rows, membership=0.9) == "pass"
    assert judge({"channels": rows}, {"attack:b": 0.9}).status == "inconclusive"


def test_a_broken_plugin_that_belongs_nowhere_counts_everywhere():
    assert status([row(), gone("lost", "failed", None, game="")], membership=0.9) == "inconclusive"


def test_a_flagged_row_settles_nothing():
    assert status([row(flags=["its null arm reads 0.3 bit"])], membership=0.9) == "inconclusive"


@pytest.mark.parametrize(
    ("limit", "answer"), [(0.65, "pass"), (0.6, "inconclusive"), (0.5, "over")]
)
def test_usual_metrics_have_limits_too(limit, answer):
    assert status([row()], membership__auc=limit) == answer


def test_a_metric_without_an_interval_settles_nothing():
    assert status([row()], membership__psnr=99) == "inconclusive"
    assert status([row()], membership__gone=99) == "inconclusive"


def test_without_limits_nothing_is_over():
    assert status([row(), gone()]) == "pass"
    assert status([row(), gone(status="failed")]) == "inconclusive"
    assert status([gone()]) == "inconclusive"
    assert "no limits" in judge({"channels": [row()]}, {}).reasons[-1]


def test_a_metric_that_no_measured_row_has_is_an_unknown_name():
    document = {"channels": [row(), gone()]}
    check_metrics(document, {"membership": 1, "membership.auc": 1, "inversion.psnr": 1})
    check_metrics({"channels": [gone()]}, {"membership.speed": 1})
    with pytest.raises(UsageError, match="attack:a has no metric named 'au'; did you mean auc"):
        check_metrics(document, {"attack:a.au": 1})
    verdict = judge(document, {"membership.speed": 1})
    assert verdict.status == "inconclusive" and "has no metric 'speed'" in verdict.reasons[0]


def test_checks_that_pass_are_shown_beside_those_that_do_not():
    document = {"channels": [row("a", low=0.3, high=0.5), row("b", low=0.0, high=0.05)]}
    verdict = judge(document, {"membership": 0.1})
    assert verdict.status == "inconclusive"  # one level only: a is above the limit alone
    assert [r for r in verdict.reasons if "b is at most 0.05 bit, within the limit 0.1" in r]


def test_a_limit_that_no_channel_can_break_is_remarked():
    verdict = judge({"channels": [row("a", low=0.3, high=0.5)]}, {"membership": 3.0})
    assert verdict.status == "pass"
    assert "the limit 3 is above the ceiling 1: it can never be broken" in verdict.reasons[0]
    verdict = judge({"channels": [row("a", low=0.3, high=0.5)]}, {"membership": 0.9})
    assert "ceiling" not in verdict.reasons[0]


def test_limits_on_metrics_that_no_run_can_break_do_not_make_a_pass_alone():
    auc = {"value": 0.99, "low": 0.98, "high": 1.0, "n": 100}
    exposure = {"value": 3.0, "low": 2.5, "high": 3.4, "n": 100}
    metrics = {"auc": auc, "exposure": exposure, "exposure_max": 5.0}
    leaking = row("a", low=0.3, high=0.5)
    document = {"channels": [{**leaking, "metrics": metrics}]}
    for limits in (
        {"membership.auc": 1.0},
        {"membership.auc": 2.0},
        {"membership.exposure": 5.0},
        {"membership.auc": 1.0, "membership": 1.0},
    ):
        verdict = judge(document, limits)
        assert (verdict.status, verdict.code) == ("inconclusive", 3), limits
        assert any("it can never be broken" in reason for reason in verdict.reasons)
        assert any(reason.startswith("no run can break any of") for reason in verdict.reasons)
    beside = judge(document, {"membership.auc": 1.0, "membership": 0.9})
    assert beside.status == "pass"
    words = "the limit 1 is at the largest value of auc, 1: it can never be broken"
    assert any(words in reason for reason in beside.reasons)
    assert judge(document, {"membership.exposure": 4.9}).status == "pass"
    assert judge(document, {"membership.auc": 0.9}).status != "pass"


def test_every_metric_that_a_game_declares_has_a_largest_value_or_is_known_to_have_none():
    unbounded = {
        *("epsilon_lower", "exposure", "blind_bits", "psnr", "likeness", "evidence"),
        *("key_letters", "unicity", "length", "queries", "symbols_per_query", "bits_a_label"),
        *("poisons_per_trigger", "perturbation", "samples", "steps"),
        # More letters may be read than were written.
        *("character_error_rate", "bits_a_character"),
        *("worst_error", "parameter_error", "size_error"),
        *("predicates", "records", "streamed_bytes", "cipher_rounds", "characters"),
        "authorised_bits_a_task",
        *("generations", "held_back"),
    }
    for entry in catalog.entries("game"):
        for name in catalog.load("game", entry.name).metrics:
            assert (largest({}, name) == 1.0) != (name in unbounded), f"{entry.name}: {name}"


def canaries(seed, shift, name="a", n=201, alpha=0.05):
    """The row of one training that was asked for all its canaries."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    trials = Trials(
        spec=ChannelSpec(clustered=True, unit="canary", alpha=alpha),
        truth=truth, guess=rng.standard_normal(n) + shift * truth, cluster=np.zeros(n, int),
        attack=name, game="membership", cls="membership", scene="own",
    )  # fmt: skip
    return row(name) | measured(trials, measure(trials, redraws=1))


def test_canaries_of_one_training_can_be_over_at_the_level_of_all_checks():
    leaking = [canaries(k, 2.0, f"a{k}") for k in range(4)]
    verdict = judge({"channels": leaking}, {"membership.epsilon": 0.5})
    assert verdict.status == "over" and verdict.tested == 4
    assert "at the level of all 4 checks" in verdict.reasons[0]
    low = leaking[0]["beside"]["epsilon"]["low"]
    assert low == leaking[0]["metrics"]["epsilon_lower"] > 1.0
    # Two names of one quantity are one test.
    both = judge({"channels": leaking}, {"membership.epsilon": 0.5, "membership.epsilon_lower": 1})
    assert both.tested == 4 and {check["status"] for check in both.checks} == {"over"}
    assert status(leaking, membership__min_capacity=0.01) == "over"
    bits = judge({"channels": leaking}, {"membership": 0.5})
    assert bits.status == "inconclusive"


def test_a_limit_on_epsilon_is_never_passed_without_a_proof():
    quiet = canaries(0, 0.0)
    verdict = judge({"channels": [quiet]}, {"membership.epsilon": 8.0})
    assert verdict.status == "inconclusive"
    assert "can be over and is never passed" in verdict.reasons[0]
    quiet["beside"]["epsilon"]["high"] = 3.0  # what a proof promises
    assert status([quiet], membership__epsilon=8.0) == "pass"
    assert status([quiet], membership__epsilon=2.0) == "inconclusive"
    check_metrics({"channels": [quiet]}, ["membership.epsilon", "membership.min_capacity"])
    with pytest.raises(UsageError, match="no metric named"):
        check_metrics({"channels": [row()]}, ["membership.epsilon"])


def test_the_ends_of_epsilon_fall_with_their_error_level():
    lows = canaries(1, 2.0)["beside"]["epsilon"]["lows"]
    assert [a for a, _ in lows] == ALPHAS
    ends = [low for _, low in lows]
    assert ends == sorted(ends, reverse=True) and ends[0] > ends[4] > 0.0
    # The level after two halvings is that of a row which is measured at it, as far as one share
    # of the guesses may be less than the best of all.
    assert ends[2] <= canaries(1, 2.0, alpha=0.05 / 4)["metrics"]["epsilon_lower"] + 1e-9


def test_canaries_of_which_nothing_leaks_are_rarely_over():
    limits = {"membership.epsilon": 1e-9, "membership.min_capacity": 1e-9}
    over = sum(status([canaries(k, 0.0, n=101)], **{k.replace(".", "__"): v
               for k, v in limits.items()}) == "over" for k in range(60))  # fmt: skip
    assert over <= 7  # 60 runs at 5 %: more than 7 in 1 of 100
