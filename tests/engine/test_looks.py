"""A plan with looks: batches, one judgement at each look, and a stop once it is settled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.channel.measure import measure
from hartley.core import ChannelSpec, Trials
from hartley.core.errors import BadPlan
from hartley.core.scene import Bound
from hartley.engine import assess as line
from hartley.engine.assess import Stopped, assess, remeasure
from hartley.engine.plan.plan import Plan, normalised, parse
from hartley.engine.plan.power import forecast, parse_effect
from hartley.engine.result.document import measured
from hartley.engine.result.least import Least
from hartley.engine.run.play import play
from hartley.engine.run.pooled_trials import pooled
from hartley.report import render
from hartley.report.format_numbers import meaning
from hartley.store import read_trials
from hartley.store.journal import read_journal
from hartley.store.verify import read_verified

LOOKS = Plan(
    scene="live:membership",
    only=("loss_threshold",),
    looks=(4, 8, 16),
    limits={"attack:loss_threshold": 0.3},
    least=Least(attacks=("loss_threshold",)),
    workers=0,
)
"""Four victims cannot certify 0.3 bit at a third of 0.05, eight can."""


def row_of(document):
    return next(row for row in document["channels"] if row["status"] == "measured")


def trials_of(folder):
    """The stored trials, in the order in which they were written."""
    records = read_journal(folder / "journal.jsonl").records.values()
    return [read_trials(folder / record["trials"]) for record in records if "trials" in record]


def test_a_run_stops_at_the_first_look_that_settles_its_limits(tmp_path):
    document, folder = assess(LOOKS, store=tmp_path, run="looks"), tmp_path / "looks"
    row, verdict = row_of(document), document["verdict"]
    assert document["looks"] == {"rounds": [4, 8, 16], "look": 2}
    assert (verdict["status"], verdict["level"]) == ("over", pytest.approx(0.05 / 3))
    assert "judged at look 2 of 3, after 8 rounds" in verdict["reasons"][-1]
    assert "with chance at most 5 % over all its 3 looks" in meaning(verdict)
    for name in ("html", "md", "sarif", "junit", "json"):
        assert "judged at look 2 of 3, after 8 rounds" in render(document, name), name
    assert row["bits"]["alpha"] == pytest.approx(0.05 / 3)
    assert row["experiment"]["stages"][0]["game_params"]["rounds"] == row["clusters"] == 8
    # The interval is that of the joined rows, of which the first four victims are a plain run's.
    first, alone, second, both = trials_of(folder)
    plain = play("loss_threshold", "live:membership", game_params={"rounds": 4})
    assert np.array_equal(first.guess, plain.guess) and np.array_equal(alone.guess, plain.guess)
    assert len(second) == len(first) and not np.array_equal(second.truth, first.truth)
    assert np.array_equal(both.truth, np.concatenate([first.truth, second.truth]))
    assert np.array_equal(both.cluster, np.repeat(np.arange(8), 128))
    assert row == row | measured(both, measure(both))
    # The same command plays nothing, and the files vouch for what is there.
    assert assess(LOOKS, store=tmp_path, run="looks") == document
    assert read_verified(folder).document == document
    assert remeasure(folder)["channels"] == document["channels"]
    # Another limit is settled at another look, from what is kept.
    other = replace(LOOKS, limits={"attack:loss_threshold": 0.6})
    later = assess(other, store=tmp_path, run="looks")
    assert later["looks"]["look"] == 3 and row_of(later)["clusters"] == 16


def test_a_run_that_was_stopped_goes_on_with_identical_numbers(tmp_path, monkeypatch):
    whole = assess(LOOKS, store=tmp_path, run="whole")
    perform = line.executor.perform

    def interrupted(jobs, **how):
        if jobs[-1].batch == 2:
            raise KeyboardInterrupt
        perform(jobs, **how)

    monkeypatch.setattr(line.executor, "perform", interrupted)
    with pytest.raises(Stopped, match="1 of 2 jobs are kept"):
        assess(LOOKS, store=tmp_path, run="cut")
    monkeypatch.undo()
    played = []
    cut = assess(
        LOOKS,
        store=tmp_path,
        run="cut",
        watch=lambda event, facts: played.append(facts["job"].batch) if event == "ended" else None,
    )
    assert played == [2]
    assert cut["verdict"] == whole["verdict"] and row_of(cut)["bits"] == row_of(whole)["bits"]


def test_an_owners_split_is_refused_since_it_cannot_be_dealt_again(tmp_path, monkeypatch):
    from hartley.engine.run import player

    deal = player.deal
    monkeypatch.setattr(player, "deal", lambda *a, **how: replace(deal(*a, **how), planted=False))
    with pytest.raises(line.Mistaken, match="must be about secrets that Hartley draws"):
        assess(LOOKS, store=tmp_path)


def test_batches_are_joined_column_by_column():
    def batch(seed, *bounds, **more):
        rng = np.random.default_rng(seed)
        spec = ChannelSpec(
            clustered=True, seconds=1.0, uses=10, bounds=(SHARED, *more.pop("b", ()))
        )
        columns = {"trial": np.arange(6), "order": np.arange(6), "item": np.arange(6) % 3}
        return Trials(
            spec,
            np.arange(6) % 2,
            rng.normal(size=6),
            cluster=np.arange(6) // 3,
            costs={"cost_queries": np.full(6, 2.0)},
            metrics={"rate": 0.5, "overlap": 0.1 * seed},
            metrics_by_round={"rate": (0.5, 0.25 * seed)},
            cost={"queries": 10.0 * seed},
            shared_seconds={"reference models": 3.0},
            run_id="a" * 16,
            seed=seed,
            **columns,
            **more,
        )

    both = pooled([batch(1, Bound("dp", {"epsilon": 1.0})), batch(2, logq=np.zeros(6))])
    assert both.cluster.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert both.trial.tolist() == both.order.tolist() == list(range(12))
    assert both.item.tolist() == [0, 1, 2] * 4 and both.logq is None
    assert both.costs["cost_queries"].shape == (12,) and both.seed == 1
    assert both.metrics == {"rate": pytest.approx((0.5 + 0.25 + 0.5 + 0.5) / 4), "overlap": 0.2}
    assert both.metrics_by_round == {"rate": (0.5, 0.25, 0.5, 0.5)}
    assert both.cost == {"queries": 15.0} and both.shared_seconds == {"reference models": 6.0}
    assert (both.spec.seconds, both.spec.uses, both.spec.bounds) == (2.0, 20, (SHARED,))


SHARED = Bound("alphabet", {"bits": 1.0})

PLAN = """scene = "live:membership"
only = ["loss_threshold"]
[looks]
rounds = [4, 8]
[limits]
membership = 0.1
"""


def test_a_plan_with_looks_is_read_checked_and_written():
    plan = parse(PLAN)
    assert plan.looks == (4, 8) and parse(normalised(plan)) == plan
    assert "looks" not in normalised(replace(plan, looks=()))
    for wrong, words in {
        PLAN.replace("[4, 8]", "[8, 4]"): r"looks.rounds must ascend, got \[8, 4\]",
        PLAN.replace("[4, 8]", "[4, 4]"): "looks.rounds must ascend",
        PLAN.replace("[4, 8]", "[0, 4]"): "looks.rounds must be at least 1, got 0",
        PLAN.replace("[4, 8]", "[1, 2, 3, 4, 5, 6]"): "must be a list of 1 to 5 numbers",
        PLAN.replace("[4, 8]", "[]"): "must be a list of 1 to 5 numbers",
        PLAN.replace("[4, 8]", "8"): "must be a list of 1 to 5 numbers",
        PLAN.replace("[4, 8]", "[4, 8.5]"): "looks.rounds must be a whole number",
        PLAN.replace("rounds", "round"): "unknown key 'looks.round'; did you mean looks.rounds",
        PLAN.partition("[limits]")[0]: r"must have a table \[limits\], got none",
        "budget = 9\n" + PLAN: "must be without chains, .* got budget",
        PLAN + "[games.membership]\nrounds = 4\n": r"got games.\*.rounds",
        PLAN + '[defenses]\nuse = ["rounding"]\n': "got defenses.use",
    }.items():
        with pytest.raises(BadPlan, match=words):
            parse(wrong)


def test_power_plans_a_look_at_its_share_of_alpha():
    by_looks, effects = parse(PLAN), dict([parse_effect("membership=0.6")])
    rows = [forecast(plan, None, effects) for plan in (replace(by_looks, looks=()), by_looks)]
    assert [row["alpha"] for row in rows] == [0.05, 0.025]
    assert rows[1]["rows"][0]["uses"] > rows[0]["rows"][0]["uses"]
