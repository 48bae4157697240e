"""Sets of documents in front of one deployed model: who is in which set, and what is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hartley
from hartley import catalog
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.core import Data, Modality, Scene
from hartley.core.errors import UsageError
from hartley.engine.plan.applicability import unplayable
from hartley.engine.run.play import deal
from hartley.games.membership import live_and_dead
from hartley.games.membership.document_sets import SETS, sets_of

LM = Modality.LANGUAGE
TEST = catalog.load("attack", "dataset_test")


def deployed(*, remembers, n=240, seed=0, public=0, weak=0):
    """A model that was trained on n texts, or on none, and as many that it never saw.

    Args:
        remembers: whether it learns by heart what it was trained on.
        n: members, and others.
        seed: of the texts.
        public: known others.
        weak: how many of the members it was really trained on; 0 is all.
    """
    rng = np.random.default_rng(seed)
    made = live_and_dead.scene(LM, rng, remembers=remembers, n=2 * n)
    pool = made.extra["pool"]
    include = np.zeros((1, 2 * n), dtype=bool)
    include[0, : weak or n] = True
    last = 2 * n - public
    rows = {"train": slice(n), "holdout": slice(n, last), "public": slice(last, None)}
    parts = [Data(name, LM, pool.x[part]) for name, part in rows.items()]
    model = made.fit(pool, include, 0).member(0).with_(fit=None)
    extra = {"public": parts[2]} if public else {}
    return Scene(f"deployed {seed}", LM, model=model, train=parts[0], holdout=parts[1], extra=extra)


@pytest.mark.parametrize(("records", "group", "size"), [(1000, 32, 32), (200, 32, 20), (10, 32, 2)])
def test_sets_are_disjoint_and_each_is_of_members_or_of_others(records, group, size):
    order = np.random.default_rng(0).permutation(2 * records)
    left, sets, each = sets_of(records, group, order)
    assert each == size and (np.bincount(sets) == size).all()
    member = order[left] < records
    whole = [member[sets == k].mean() for k in range(sets.max() + 1)]
    assert set(whole) == {0.0, 1.0} and np.mean(whole) == 0.5
    assert len(whole) >= min(2 * SETS, records)
    # Where a set comes says nothing about what it is of.
    assert not np.array_equal(whole, sorted(whole)) and len(np.unique(order[left])) == len(left)


def test_the_attackers_texts_are_in_no_set():
    for public in (0, 40):
        scene = deployed(remembers=True, public=public)
        dealt = deal(TEST, scene, seed=3)
        brief = dealt.rounds[0].view.brief
        rows = {row.tobytes() for row in brief.question.x}
        assert len(brief.nonmembers) == (public or 120)
        assert not rows & {row.tobytes() for row in brief.nonmembers.x}
        assert dealt.unit == f"set of {len(brief.question) // len(dealt.rounds[0].truth)} records"
        inside = {row.tobytes() for row in scene.train.x}
        for k, truth in enumerate(dealt.rounds[0].truth):
            of_set = brief.question.x[brief.groups == k]
            assert {row.tobytes() in inside for row in of_set} == {bool(truth)}


def test_a_set_shows_what_single_texts_hide_and_a_model_that_learnt_nothing_shows_nothing():
    """A quarter of the texts were learnt: each set as a whole was, most of its texts were not."""
    scene = deployed(remembers=True, n=400, weak=100)
    alone, together = (
        hartley.measure(hartley.play(a, scene)) for a in ("loss_threshold", "dataset_test")
    )
    assert together.n == 20 and alone.n == 800
    assert together.metrics["auc"]["value"] > 0.95 > 0.75 > alone.metrics["auc"]["value"]
    assert together.metrics["set_p_value"] < 1e-3 and together.bits.lower > 0
    assert not deal(TEST, scene, seed=0).planted
    # 20 dead models: false alarms at 0.05 are binomial, above 4 with chance 0.3 %.
    p, certified = [], 0
    for seed in range(20):
        channel = hartley.measure(
            hartley.play("dataset_test", deployed(remembers=False, n=40, seed=seed), seed=seed)
        )
        p.append(channel.metrics["set_p_value"])
        certified += channel.bits.lower > 0
    assert (np.array(p) < 0.05).sum() <= 4 and certified <= 4 and 0.35 < np.mean(p) < 0.65


def test_a_model_without_moments_is_asked_for_its_log_probabilities():
    scene = deployed(remembers=True, n=80)
    moments = scene.model.moments
    calls = {"score": lambda x: np.asarray(moments(x))[..., 0]}
    endpoint = replace(scene, model=hartley.Model("served", LM, calls=calls, classes=50,
                       offers=hartley.Access.LABELS | hartley.Access.SCORES))  # fmt: skip
    channel = hartley.measure(hartley.play("dataset_test", endpoint))
    assert channel.metrics["auc"]["value"] > 0.95


def test_what_has_no_sets_is_refused_or_left_out():
    scene = deployed(remembers=True, n=80)
    with pytest.raises(UsageError, match="must have a pipeline and a pool for group"):
        deal(loss_threshold, scene, seed=0, params={"group": 0})
    few = replace(scene, train=Data("train", LM, scene.train.x[:8]))
    with pytest.raises(UsageError, match="must have at least 20 members, got 8"):
        deal(TEST, few, seed=0)
    gap = unplayable(catalog.find("attack", "dataset_test"), replace(scene, holdout=None))
    assert gap.cause == "scene"
