"""``assert_bits`` fails a test over a limit, and where nothing is settled."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import hartley
from hartley.core import AnswerForm, ChannelSpec, Role, Trials
from hartley.core.errors import UnknownName, UsageError
from hartley.engine.assess import assess
from hartley.engine.plan.plan import parse
from hartley.testing import assert_bits

PLAN = """scene = "live:membership"
only = ["loss_threshold"]
[executor]
workers = 0
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "runs"
    return store, assess(parse(PLAN, source="plan.toml"), store=store, run="loud")


@pytest.fixture(scope="module")
def channels():
    """One that leaks a bit a use, and one that leaks nothing."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 2000)
    spec = ChannelSpec(Role.TAP, AnswerForm.SCORE, 2)
    leaky = Trials(spec=spec, truth=truth, guess=truth + 0.1 * rng.normal(size=2000))
    silent = replace(leaky, guess=rng.normal(size=2000))
    return hartley.measure(leaky), hartley.measure(silent)


def test_a_channel_is_held_against_a_limit(channels):
    leaky, silent = channels
    assert_bits(silent, at_most=0.05)
    assert_bits(leaky, at_most=1.0)
    with pytest.raises(AssertionError, match=r"^over: .* bit, in .* above the limit 0\.05"):
        assert_bits(leaky, at_most=0.05)
    with pytest.raises(AssertionError, match=r"^inconclusive: .* across the limit 1e-06"):
        assert_bits(silent, at_most=1e-6)
    with pytest.raises(UsageError, match="at_most"):
        assert_bits(silent)


def test_a_run_is_judged_as_the_gate_does(played, tmp_path):
    store, document = played
    with pytest.raises(AssertionError, match=r"^over:\n  attack:loss_threshold: .* over the limit"):
        assert_bits("loud", limits={"attack:loss_threshold": 0.05}, store=store)
    assert_bits("loud", limits={"attack:loss_threshold": 1.0}, store=store)
    limits = tmp_path / "limits.toml"
    limits.write_text("[limits]\nmembership = 1.0\n")
    # What fits and was left out is not known.
    with pytest.raises(AssertionError, match=r"^inconclusive:\n  membership: the plan leaves out"):
        assert_bits(store / "loud", limits=limits)
    assert_bits(document, limits={"attack:loss_threshold": 1.0})
    with pytest.raises(UnknownName, match="membershp"):
        assert_bits(document, limits={"membershp": 1.0})
    with pytest.raises(UsageError, match="limits="):
        assert_bits(document)


def test_a_copy_and_a_damaged_run_do_not_pass(played, tmp_path):
    store, document = played
    (tmp_path / "copy.json").write_text(json.dumps(document))
    with pytest.raises(AssertionError, match=r"^inconclusive:\n  unverified"):
        assert_bits(tmp_path / "copy.json", limits={"attack:loss_threshold": 1.0})
    (store / "loud/plan.toml").write_text("")
    with pytest.raises(AssertionError, match="is damaged"):
        assert_bits(store / "loud", limits={"attack:loss_threshold": 1.0})
