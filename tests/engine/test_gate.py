"""The gate: three answers, and whatever is not known is not safe."""

from __future__ import annotations

import pytest

from hartley.core.errors import UsageError
from hartley.engine.result.gate import check_metrics, judge


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
        "bits": {"low": low, "high": high, "point": 0.15},
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


def test_the_worst_row_decides():
    assert status([row(), row("b", low=0.5, high=0.6)], membership=0.3) == "over"
    assert status([row(), row("b", low=0.25, high=0.6)], membership=0.3) == "inconclusive"


def test_over_is_told_even_when_something_else_failed():
    assert status([row(low=0.5, high=0.6), gone(status="failed")], membership=0.3) == "over"


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


@pytest.mark.parametrize("cause", ["modality", "scene", "access", "plan"])
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
