"""What a run costs: jobs that are known, jobs that are judged, and the share that is done."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from hartley.core import Applied, Experiment, Knowledge, Stage
from hartley.engine.plan.cost import earlier_seconds, plan_cost, shipped_seconds
from hartley.engine.plan.plan import Plan, parse, scene_params
from hartley.engine.plan.work import Kind, WorkLeft
from hartley.engine.plan.worklist import expand, experiments

ATTACKS = {"quick": 0.5, "slow": 8.0, "tries": 2.0}
DEFENSES = {"": 1.0, "light": 1.0, "heavy": 6.0}


def _job(attack, defense, knowledge=Knowledge.NONE):
    applied = (Applied(defense, {}),) if defense else ()
    sweep = ({"way": 1}, {"way": 2}, {"way": 3}) if attack == "tries" else ()
    return Experiment(
        "scene",
        stages=(Stage(attack, {"way": 0}, "game"),),
        defenses=applied,
        knowledge=knowledge,
        baseline=not defense,
        sweep=sweep if knowledge is not Knowledge.STATIC else (),
    )


def _jobs():
    yield from (_job(attack, "") for attack in ATTACKS)
    for defense in ("light", "heavy"):
        for attack in ATTACKS:
            for knowledge in (Knowledge.STATIC, Knowledge.ADAPTIVE):
                yield _job(attack, defense, knowledge)


def _seconds(job):
    kind = Kind.of(job)
    return ATTACKS[job.label] * DEFENSES[kind.defenses] * kind.plays


def test_a_job_that_tries_settings_counts_each_as_a_quarter():
    assert Kind.of(_job("quick", "")).plays == 1.0
    assert Kind.of(_job("tries", "")).plays == 2.0
    assert Kind.of(_job("tries", "light", Knowledge.STATIC)).plays == 1.0


def test_the_share_that_is_done_is_of_the_work_and_not_of_the_jobs():
    jobs = list(_jobs())
    whole = sum(map(_seconds, jobs))
    known = {job.id: _seconds(job) for job in jobs}
    work = WorkLeft(jobs, known)
    assert work.known and work.seconds == pytest.approx(whole)
    spent = 0.0
    for job in jobs:
        spent += _seconds(job)
        assert work.ended(job, _seconds(job)) == pytest.approx(spent / whole)
    assert work.seconds == 0


def test_a_slower_machine_is_noticed_by_what_was_played():
    jobs = list(_jobs())
    work = WorkLeft(jobs, {job.id: _seconds(job) for job in jobs})
    for job in jobs[:4]:
        share = work.ended(job, 3 * _seconds(job))
    assert share == pytest.approx(sum(map(_seconds, jobs[:4])) / sum(map(_seconds, jobs)))


def test_nothing_is_known_at_first_and_attacks_are_judged_by_their_bare_rows():
    jobs = list(_jobs())
    work = WorkLeft(jobs, {})
    assert not work.known
    for job in jobs[:3]:
        work.ended(job, _seconds(job))
    # Both defenses are taken to cost nothing until one of their jobs has ended.
    plain = sum(_seconds(job) / DEFENSES[Kind.of(job).defenses] for job in jobs[3:])
    assert work.seconds == pytest.approx(plain)
    gaps = []
    for job in jobs[3:]:
        work.ended(job, _seconds(job))
        left = sum(_seconds(other) for other in jobs if other.key in work.keys)
        gaps.append(left - work.seconds)
    # The light defense costs what was thought; the heavy one is noticed job by job.
    light, heavy = gaps[:6], gaps[6:]
    assert light == pytest.approx([light[0]] * 6, rel=1e-6) and light[0] > 100
    assert all(later < before for before, later in pairwise(heavy)) and heavy[-1] == 0
    assert heavy[3] < light[0] / 3


def test_a_utility_that_takes_no_time_without_a_defense_does_not_multiply_all_others():
    """Its job behind a defense trains the model anew, which the next one then has."""
    bare = [_job("slow", ""), Experiment("scene")]
    behind = [
        Experiment("scene", defenses=(Applied("loss_filter", {}),), baseline=False),
        _job("slow", "loss_filter", Knowledge.STATIC),
    ]
    work = WorkLeft([*bare, *behind], {})
    for job, seconds in zip([*bare, *behind[:1]], (8.0, 1e-5, 3.0), strict=True):
        work.ended(job, seconds)
    assert 4 < work.seconds < 16


def test_what_was_played_before_a_stop_is_known():
    jobs = list(_jobs())
    work = WorkLeft(jobs[9:], {}, [(job, _seconds(job)) for job in jobs[:9]])
    assert work.known
    assert work.seconds == pytest.approx(sum(map(_seconds, jobs[9:])) / DEFENSES["heavy"])


PLAN = Plan(
    scene="live:membership",
    only=("loss_threshold", "entropy_metrics"),
    games={"membership": {"rounds": 2}},
    use=("rounding",),
    workers=0,
    isolate=False,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    from hartley.engine.assess import assess

    folder = tmp_path_factory.mktemp("runs")
    events = []
    assess(PLAN, store=folder, watch=lambda *event: events.append(event))
    return folder, events


def test_a_run_says_the_share_of_its_work_after_each_job(store):
    _, events = store
    (jobs,) = [facts for event, facts in events if event == "jobs"]
    shares = [facts["share"] for event, facts in events if event == "ended"]
    assert jobs["seconds"] is None and len(shares) == jobs["total"]
    assert shares[-1] == 1.0 and all(0 < share <= 1 for share in shares)


def test_jobs_that_a_run_of_the_store_played_are_known_whatever_the_seed(store):
    from hartley.engine import build_scene

    folder, _ = store
    scene = build_scene.build(PLAN.scene, {})
    plan = replace(PLAN, seed=5)
    jobs = experiments(expand(plan, scene))
    seconds = earlier_seconds(folder, scene.name)
    assert {job.id for job in jobs} <= set(seconds) and min(seconds.values()) >= 0
    cost = plan_cost(plan, scene, folder)
    assert cost["jobs"] == {"all": 7, "baseline": 2, "static": 2, "adaptive": 1, "utility": 2}
    assert cost["known_by"] == {"earlier": 7, "shipped": 0, "judged": 0}
    assert cost["cpu_seconds"] == pytest.approx(sum(seconds[job.id] for job in jobs), abs=0.06)
    other = plan_cost(replace(plan, games={"membership": {"rounds": 3}}), scene, folder)
    assert other["known_by"] == {"earlier": 2, "shipped": 0, "judged": 5}, "utilities are the same"
    assert other["few"] == {"membership": 3} and cost["few"] == {"membership": 2}
    assert plan_cost(plan, scene, folder / "none")["cpu_seconds"] is None
    assert earlier_seconds(folder, "another scene") == {} == shipped_seconds("demo", jobs)
    assert json.dumps(cost) and np.isfinite(cost["cpu_seconds"])


def test_the_seconds_that_ship_with_the_plan_of_defenses_are_of_its_jobs():
    """Those of attacks that joined the plan since are judged by the others."""
    from hartley.cli.assess import plans
    from hartley.engine import build_scene

    plan = replace(parse(plans()["defenses"](), source="defenses"), name="defenses", seed=3)
    scene = build_scene.build(plan.scene, scene_params(plan))
    jobs = experiments(expand(plan, scene))
    seconds = shipped_seconds("defenses", jobs)
    known = [job for job in jobs if job.id in seconds]
    assert len(known) > 0.9 * len(jobs) > 800
    work = WorkLeft(jobs, seconds)
    # An hour of processor time is what the plan may take: half an hour with two workers.
    assert work.known and sum(seconds[job.id] for job in known) <= work.seconds < 3600
    assert all(len(job.sweep) < 4 for job in jobs if job.stages), (
        "at most four settings of an attack"
    )


def test_the_plans_of_defenses_have_victims_enough_for_intervals_over_them():
    from hartley import catalog
    from hartley.channel.readouts.information import FEW_CLUSTERS
    from hartley.cli.assess import plans

    names = [name for name in plans() if name.startswith("defenses")]
    assert len(names) >= 6
    for name in names:
        plan = parse(plans()[name](), source=name)
        assert plan.tuned_baseline and plan.adaptive, name
        played = {catalog.find("attack", each).game for each in plan.only} | set(plan.games)
        for game in played:
            declared = {each.name: each for each in catalog.load("game", game).parameters}
            rounds = plan.games.get(game, {}).get("rounds", declared["rounds"].default)
            assert rounds >= FEW_CLUSTERS, f"{name}: {game}"
