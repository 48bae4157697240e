"""Chains: what can follow what, what enters a scene, and what the last attack gains by it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from sklearn.metrics import roc_auc_score

from hartley import catalog
from hartley.cli.print_edges import print_edges
from hartley.core import (
    AnswerForm,
    ChannelSpec,
    Data,
    Experiment,
    Loot,
    Modality,
    Role,
    Slot,
    Trials,
)
from hartley.core.errors import UsageError
from hartley.engine.assess import assess
from hartley.engine.chain import control_of, stages_of
from hartley.engine.entering import TAKES, closed, enter
from hartley.engine.loot import Means, entered, handed
from hartley.engine.plan.plan import CHAINS, Chain, Plan, normalised, parse
from hartley.engine.result.document import standing_of
from hartley.engine.result.edge_family import settings_apart
from hartley.engine.result.edge_gain import gain, product
from hartley.engine.run.play import deal, play
from hartley.engine.run.player import Player
from hartley.games.extraction.extraction import extraction
from hartley.games.membership.membership import membership
from hartley.infotheory.channel_matrix import cascade, mutual_information
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
        (["exposure", "lira"], (), "memorization cannot be aimed"),
        (["knockoff", "mislabelled_copies"], (), "its loot is model; the game poisoning accepts"),
        (["mislabelled_copies", "pgd"], (), "the game evasion accepts source .model."),
        (["mislabelled_copies", "knockoff"], (), "names no records that mislabelled_copies can"),
        (["mislabelled_copies", "lira"], ("source",), "accepts train .*; it can by train$"),
        (["mislabelled_copies", "lira"], ("train", "train"), "one for each link, 1 of 2 attacks"),
        (["mislabelled_copies", "lira"], ("trian",), "slot must be one of train"),
        (["mislabelled_copies", "lirra"], (), "did you mean lira"),
    ]:
        with pytest.raises(UsageError, match=words):
            stages_of(names, slots)
    with pytest.raises(UsageError, match="no parameter 'round'"):
        stages_of(["knockoff", "lira"], game_params={"membership": {"round": 2}})
    assert set(TAKES) == set(Slot) and {k for kinds in TAKES.values() for k in kinds} == set(Loot)


def test_what_does_not_fit_is_refused_with_the_nearest_chain_that_would():
    for names, near in [
        (["exposure", "lira"], "hartley chain .* lira"),
        (["mislabelled_copies", "pgd"], "hartley chain .* pgd"),
        (["knockoff", "mislabelled_copies"], "hartley chain .* mislabelled_copies"),
    ]:
        with pytest.raises(UsageError, match=f"nearest that fits: {near}") as refused:
            stages_of(names)
        # What is named does fit.
        stages_of(str(refused.value).rpartition("hartley chain ")[2].split())


def test_a_control_brings_home_what_the_chain_does():
    chain = stages_of(["knockoff", "pgd"], params={"pgd": {"steps": 7}})
    (alone,) = control_of(chain, ())
    assert alone == chain[-1]
    deep = stages_of(["inverse_network", "exposure"], ["public"])
    control = control_of(deep, ["surrogate", "inverse_network"])  # of several attacks, as of one
    assert [stage.slot for stage in control] == [Slot.SOURCE, Slot.PUBLIC, None]
    before, last = control_of(chain, ["surrogate"], params={"surrogate": {"steps": 50}})
    assert last == chain[-1] and before.attack == "surrogate" and before.params["steps"] == 50
    for against, words in [
        (["mislabelled_copies"], "model as knockoff, got poison of mislabelled_copies; controls"),
        (["surogate"], "did you mean surrogate"),
        (["knockoff"], "must be other attacks than the chain"),
    ]:
        with pytest.raises(UsageError, match=words):
            control_of(chain, against)


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
    # The deployed model is what its owner, who trained it from one seed, makes of more records.
    seeds = []

    def recorded(data, include, seed):
        seeds.append(seed)
        return scene.fit(data, include, seed)

    seeded = replace(scene, fit=recorded, settings=replace(scene.settings, seed=5))
    enter(seeded, poison, Slot.TRAIN)
    assert seeds == [5]
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
    counted = [
        np.flatnonzero((alone.cluster == victim) & (alone.split == 1)) for victim in range(8)
    ]
    gaps = [
        roc_auc_score(chained.truth[v], chained.guess[v])
        - roc_auc_score(alone.truth[v], alone.guess[v])
        for v in counted
    ]
    ends = ttest_1samp(gaps, 0).confidence_interval(0.95)
    # Student's ends at the same level, moved a little since the differences are skewed.
    assert [found["auc"][end] for end in ("low", "high")] == pytest.approx([*ends], abs=0.015)
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


CONTROLLED = """
scene = "live:extraction"
only = ["chains"]
[[chains]]
attacks = ["knockoff", "loss_threshold"]
against = ["surrogate"]
[[chains]]
attacks = ["knockoff", "loss_threshold"]
[games.membership]
rounds = 4
targets = 12
[attacks.knockoff]
steps = 4
[attacks.surrogate]
steps = 4
[executor]
workers = """


def test_an_edge_names_its_control_and_two_workers_find_the_same(tmp_path, capsys):
    plan = parse(CONTROLLED + "0")
    assert parse(normalised(plan)).chains == plan.chains
    document = assess(plan, store=tmp_path / "alone")
    control, chain, victim = document["channels"]
    assert [row["attack"] for row in (control, chain, victim)] == [
        *("surrogate+loss_threshold", "knockoff+loss_threshold", "loss_threshold"),
    ]
    # The control alone is no edge, though the last attack alone was played as well.
    edge, degraded = document["edges"]
    assert degraded["path"] == edge["path"] and degraded["control"] == []
    assert degraded["alone"] == victim["id"]
    assert edge["control"] == ["surrogate"] and edge["alone"] == control["id"]
    assert not edge["queried"] and edge["composition"] == "degrade"
    asked = [row["metrics"]["queries_to_copy"] for row in (control, chain)]
    assert asked[0] == 0 < asked[1]  # a control asks the victims nothing
    for kind in ("md", "html"):
        assert "surrogate" in render(document, kind)
    print_edges(document)
    lines = capsys.readouterr().out
    assert "knockoff →source→ loss_threshold  surrogate" in lines
    assert "no times, but the difference, of knockoff → loss_threshold against surrogate" in lines
    both = assess(parse(CONTROLLED + "2"), store=tmp_path / "both")
    assert both["edges"] == document["edges"]
    measured = [[(row["id"], row["bits"]) for row in run["channels"]] for run in (both, document)]
    assert measured[0] == measured[1]


def test_a_chain_needs_what_its_attacks_use_of_the_victim_and_not_of_a_copy():
    for names, slots, access in [
        (["knockoff", "pgd"], ["source"], ["scores"]),
        (["surrogate", "pgd"], ["source"], []),
        (["mislabelled_copies", "lira"], ["train"], ["scores", "train", "poison"]),
        (["inverse_network", "knockoff"], ["public"], ["scores"]),
        (["knockoff", "knockoff", "lira"], ["source", "source"], ["scores"]),
    ]:
        chain = Experiment(scene="digits", stages=stages_of(names, slots))
        entry = catalog.find("attack", names[-1])
        assert standing_of(entry, "vision", chain)["access"] == access
        alone = Experiment(scene="digits", stages=chain.stages[-1:])
        assert standing_of(entry, "vision", alone)["access"] == [*entry.access]


def test_chains_of_the_same_attacks_are_told_apart_by_their_settings():
    def row(name, budget, rounds):
        stages = [
            {"params": {"budget": budget, "mix": True}, "game_params": {"rounds": 8}},
            {"params": {"steps": 20}, "game_params": {"rounds": rounds}},
        ]
        return {"id": name, "experiment": {"stages": stages}}

    def edge(name, *control):
        return {"row": name, "path": ["knockoff", "pgd"], "slots": ["source"], "control": control}

    channels = [row("a", 10, 8), row("b", 20, 8), row("c", 20, 4)]
    pair = [edge("a", "surrogate"), edge("b", "surrogate"), edge("b")]
    assert settings_apart(pair, channels) == ["budget=10", "budget=20", ""]
    assert settings_apart([edge("b"), edge("c")], channels) == ["rounds=8", "rounds=4"]
    assert settings_apart([edge("gone"), edge("b")], channels) == ["", ""]
    assert settings_apart([], channels) == []


def test_records_join_those_of_the_attacker_and_the_deal_stays(scene):
    table = extraction.live(VISION, np.random.default_rng(0))
    stages = stages_of(["noise_records", "knockoff"], game_params={"extraction": {"rounds": 2}})
    attack = catalog.load("attack", "knockoff")
    dealt = deal(attack, table, seed=0, params=stages[-1].game_params)
    fed = handed(stages, table, dealt, Means(seed=0))
    assert entered(stages, table, Means(seed=0)) is table
    assert fed.metrics["queries_for_loot"] == 0
    for before, after in zip(dealt.rounds, fed.rounds, strict=True):
        owned, public = before.view.brief.public, after.view.brief.public
        assert len(public) == len(owned) + 4  # a record of noise for each of four outputs
        assert np.array_equal(public.x[: len(owned)], owned.x)
        assert after.view.source is before.view.source and (after.truth == before.truth).all()
    first, second = (round_.view.brief.public.x[-4:] for round_ in fed.rounds)
    assert not np.array_equal(first, second)  # taken from each victim, not from one for all


def test_a_part_takes_loot_that_the_engine_knows_nothing_of(scene):
    @dataclass(frozen=True)
    class Prompt:
        texts: tuple[str, ...] = ()

        def entered(self, slot, asset):
            return Prompt(tuple(asset.x)) if slot is Slot.PROMPT else None

    texts = Data("few shots", Modality.LANGUAGE, np.array(["first", "second"]), lineage=("x",))
    with pytest.raises(UsageError, match="cannot enter the prompt of live: no part of it takes it"):
        enter(scene, texts, Slot.PROMPT)
    chatting = scene.with_part(Prompt())
    after = enter(chatting, texts, Slot.PROMPT)
    assert after.part(Prompt).texts == ("first", "second") and after.digest != chatting.digest
    assert closed(scene, Slot.PROMPT) == "live has no part that takes a prompt"
    assert not closed(chatting, Slot.PROMPT) and not closed(scene, Slot.TRAIN)
    assert "without its training" in closed(replace(scene, fit=None), Slot.TRAIN)


def test_the_product_of_two_matrices_is_the_cascade_where_it_is_markov():
    """Two known channels in series: the cascade of their matrices, in closed form."""
    rng = np.random.default_rng(3)
    first, second = (np.where(np.eye(4, dtype=bool), keep, (1 - keep) / 3) for keep in (0.9, 0.7))
    truth = rng.integers(0, 4, 4000)
    observed = np.array([rng.choice(4, p=first[t]) for t in truth])
    guess = np.array([rng.choice(4, p=second[o]) for o in observed])
    spec = ChannelSpec(Role.TAP, AnswerForm.SYMBOL, 4, "label")
    trials = Trials(spec, truth, guess, cluster=np.arange(4000) % 20, observed=observed)
    estimate = product(trials)
    exact = mutual_information(cascade(first, second))
    assert estimate["low"] <= exact <= estimate["high"] and estimate["n"] == 20
    assert estimate["high"] - estimate["low"] < 0.2
    assert product(replace(trials, observed=None)) is None
    # What is received past the loot is not in the product: that is how a side channel shows.
    aside = product(replace(trials, guess=truth))
    assert aside["high"] < 2.0 and aside["value"] == pytest.approx(mutual_information(first), abs=1)


def test_a_plan_that_links_what_does_not_fit_is_refused(tmp_path):
    chains = (Chain(("exposure", "lira")),)
    plan = Plan(scene="live:membership", only=(CHAINS,), chains=chains, workers=0)
    with pytest.raises(UsageError, match="lira cannot follow exposure"):
        assess(plan, store=tmp_path)
    assert not list(tmp_path.glob("*/journal.jsonl"))


def _both(names, scene, games, **params):
    stages = stages_of(names, params=params, game_params=games)
    player = Player()
    results = [player.run(Experiment(scene, stages=each)) for each in (stages[-1:], stages)]
    assert [one.status for one in results] == ["done", "done"], [one.note for one in results]
    return [trials_from_bytes(one.content) for one in results]
