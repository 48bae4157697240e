"""Chains: what can follow what, what enters a scene, and what the last attack gains by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.core import Data, Experiment, Loot, Modality, Slot
from hartley.core.errors import UsageError
from hartley.engine.assess import assess
from hartley.engine.chain import TAKES, enter, gain, stages_of
from hartley.engine.plan.plan import CHAINS, Chain, Plan, normalised, parse
from hartley.engine.run.play import play
from hartley.engine.run.player import Player
from hartley.games.membership.membership import membership
from hartley.report import render
from hartley.store.table import trials_from_bytes

VISION = Modality.VISION
FEW = {"membership": {"rounds": 8, "targets": 24}, "poisoning": {"poisons": 4}}


@pytest.fixture
def scene():
    return membership.live(VISION, np.random.default_rng(0))


def test_a_link_is_checked_before_anything_is_played():
    first, last = stages_of(["mislabelled_copies", "loss_threshold"])
    assert first.slot is Slot.TRAIN and last.slot is None
    assert stages_of(["knockoff", "loss_threshold"])[0].slot is Slot.SOURCE
    for names, slots, words in [
        (["loss_threshold"], (), "at least 2 attacks, got 1"),
        (["loss_threshold", "lira"], (), "membership cannot be aimed"),
        (["mislabelled_copies", "knockoff"], (), "its loot is poison; the game extraction accepts"),
        (["mislabelled_copies", "lira"], ("source",), "accepts train .poison., source .model."),
        (["mislabelled_copies", "lira"], ("trian",), "slot must be one of train"),
        (["mislabelled_copies", "lirra"], (), "did you mean lira"),
    ]:
        with pytest.raises(UsageError, match=words):
            stages_of(names, slots)
    with pytest.raises(UsageError, match="no parameter 'round'"):
        stages_of(["knockoff", "lira"], game_params={"membership": {"round": 2}})
    assert set(TAKES) == set(Slot) and set(TAKES.values()) == set(Loot)


def test_poison_enters_everybodys_training(scene):
    pool = scene.extra["pool"]
    poison = Data("poison", VISION, pool.x[:3], (pool.y[:3] + 1) % 4, lineage=("first",))
    after = enter(scene, poison, Slot.TRAIN)
    assert after.digest != scene.digest and "first" in after.model.lineage
    nobody = np.zeros((1, len(pool)), dtype=bool)
    for fit in (after.fit, after.model.fit):
        taught = fit(pool, nobody, 0).member(0)
        assert (taught.query(poison.x).argmax(1) == poison.y).all()
    with pytest.raises(UsageError, match="records must have the shape"):
        enter(after, replace(poison, x=pool.x[:3, ..., :1]), Slot.TRAIN).fit(pool, nobody, 0)
    with pytest.raises(UsageError, match="train must be records, got the model"):
        enter(scene, scene.model, Slot.TRAIN)
    with pytest.raises(UsageError, match="source must be a model"):
        enter(scene, poison, Slot.SOURCE)
    owned = len(scene.extra["public"]) if "public" in scene.extra else 0
    assert len(enter(scene, poison, Slot.PUBLIC).extra["public"]) == owned + 3


def test_only_the_targets_of_a_chain_are_measured(scene):
    trials = play("loss_threshold", scene, game_params={"rounds": 2, "targets": 10})
    assert trials.split.sum() == 2 * 10
    chosen = membership.targets(scene, 10)
    rows = trials.item[trials.split == 1][:10]
    assert np.array_equal(scene.extra["pool"].x[rows], chosen.x)


def test_a_copy_is_held_in_place_of_each_victim_and_the_victim_is_asked_no_more():
    """What a perfect thief holds tells no more than the victim: the copy of a table is a net."""
    alone, chained = _both(["knockoff", "loss_threshold"], "digits", {"membership": {"rounds": 2}})
    assert "queries_to_copy" in chained.metrics and "queries_to_copy" not in alone.metrics
    assert 0 < chained.metrics["queries_to_copy"] <= 1000
    assert np.array_equal(alone.truth, chained.truth)
    assert not np.array_equal(alone.guess, chained.guess)


def test_poison_before_membership_raises_what_it_reads_on_digits():
    """Truth Serum, small: same attack, same budget, 8 victims an arm, few references."""
    few = {"references": 16}
    names = ["mislabelled_copies", "calibrated_loss"]
    alone, chained = _both(names, "digits", FEW, calibrated_loss=few)
    assert np.array_equal(alone.truth, chained.truth)
    assert alone.spec.uses == chained.spec.uses
    found = gain(alone, chained)
    assert found["auc"]["low"] > 0 and found["auc"]["n"] == 8
    assert found["bits"]["value"] > 0 and found["bits"]["low"] < found["bits"]["high"]


def test_the_same_trials_gain_nothing(scene):
    trials = play("loss_threshold", scene, game_params={"rounds": 8})
    found = gain(trials, trials)
    assert found["bits"]["value"] == found["auc"]["value"] == 0
    assert found["bits"]["low"] == found["bits"]["high"] == 0
    assert found["ratio"]["low"] == found["ratio"]["high"] == 1
    assert found["log"]["value"] == 0 and found["log"]["p_above"] == found["log"]["p_below"] == 1


def test_a_plan_orders_a_chain_and_the_document_has_its_edge(tmp_path):
    text = """
    scene = "digits"
    only = ["chains"]
    [[chains]]
    attacks = ["mislabelled_copies", "loss_threshold"]
    [chains.games.membership]
    rounds = 8
    targets = 24
    [executor]
    workers = 0
    """
    plan = parse(text)
    assert parse(normalised(plan)).chains == plan.chains
    document = assess(plan, store=tmp_path)
    rows = {row["attack"]: row for row in document["channels"] if row["status"] == "measured"}
    assert set(rows) == {"loss_threshold", "mislabelled_copies+loss_threshold"}
    (edge,) = document["edges"]
    assert edge["path"] == ["mislabelled_copies", "loss_threshold"] and edge["slots"] == ["train"]
    assert edge["row"] == rows["mislabelled_copies+loss_threshold"]["id"]
    assert edge["n"] == 8 and edge["low"] <= edge["gain"] <= edge["high"]
    gain_of_edge = edge["log_gain"]
    assert gain_of_edge["scale"] == ("bits" if gain_of_edge["why"] else "log2")
    assert 0 < gain_of_edge["p_above"] < 1 and edge["family"] in {"above", "open"}
    assert edge["composition"] == "enable" and not edge["bound"]["violation"]
    assert edge["bound"]["theory"] == 1.0 and edge["fresh"] > 0
    assert len(document["channels"]) == 2  # a plan of chains alone lists nothing else
    page = render(document, "md")
    assert "mislabelled\\_copies → loss\\_threshold" in page and "## Chains" in page
    again = assess(plan, store=tmp_path)
    assert again == document
    (loot,) = (tmp_path / document["id"] / "artifacts").iterdir()
    assert loot.name.startswith("mislabelled_copies-")


def test_a_plan_that_links_what_does_not_fit_is_refused(tmp_path):
    chains = (Chain(("loss_threshold", "lira")),)
    plan = Plan(scene="live:membership", only=(CHAINS,), chains=chains, workers=0)
    with pytest.raises(UsageError, match="lira cannot follow loss_threshold"):
        assess(plan, store=tmp_path)
    assert not list(tmp_path.glob("*/journal.jsonl"))


def _both(names, scene, games, **params):
    stages = stages_of(names, params=params, game_params=games)
    player = Player()
    results = [player.run(Experiment(scene, stages=each)) for each in (stages[-1:], stages)]
    assert [one.status for one in results] == ["done", "done"], [one.note for one in results]
    return [trials_from_bytes(one.content) for one in results]
