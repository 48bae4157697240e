"""Defenses that are ordered in one text each, with their parameters."""

from __future__ import annotations

import pytest

from hartley.core.errors import Mistakes, UnknownName, UsageError
from hartley.engine import build_scene
from hartley.engine.plan.ordered_defenses import check_fit, parse_defenses


def test_a_text_is_what_a_plan_says_in_tables():
    assert parse_defenses(["dp_sgd:epsilon=8,epochs=10", "rounding"]) == (
        *(("dp_sgd", "rounding"), {"dp_sgd": {"epsilon": 8, "epochs": 10}}),
    )
    texts = ["rounding:digits=1+score_noise:scale=1e+1,law=laplace", "rounding:digits=1"]
    assert parse_defenses(texts) == (
        ("rounding+score_noise", "rounding"),
        {"rounding": {"digits": 1}, "score_noise": {"scale": 10.0, "law": "laplace"}},
    )
    assert parse_defenses([]) == ((), {})


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["dp_sgd:epsilon"], "NAME:KEY=VALUE,KEY=VALUE, got 'dp_sgd:epsilon'"),
        (["dp_sgd:"], "got 'dp_sgd:'"),
        (["rounding:digits="], "got 'rounding:digits='"),
        (["rounding:digits=1", "rounding:digits=2"], "rounding must have one setting in a run"),
        (["rounding", "rounding:digits=2"], "got two; make two runs"),
    ],
)
def test_what_cannot_be_read_is_one_line(texts, message):
    with pytest.raises(UsageError, match=message):
        parse_defenses(texts)


def test_an_unknown_defense_has_its_nearest():
    with pytest.raises(UnknownName, match="did you mean rounding"):
        parse_defenses(["top_k+roundin"])


def test_what_does_not_fit_is_refused_with_what_does():
    scene = build_scene.build("live:membership:tabular")
    check_fit(["rounding+top_k", "label_only"], scene)
    with pytest.raises(UsageError, match=r"^edge_dp .*what fits it: .*rounding"):
        check_fit(["rounding+edge_dp"], scene)
    with pytest.raises(Mistakes, match="goldfish"):
        check_fit(["edge_dp", "goldfish"], scene)
