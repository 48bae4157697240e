"""Chains of attacks that are aimed at records and at models, and what is proved of their end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley import catalog
from hartley.cli.print_edges import print_edges
from hartley.core import (
    Access,
    Bound,
    Data,
    Deal,
    Loot,
    Modality,
    Model,
    Outcome,
    PriorLoot,
    Scene,
    Slot,
    Term,
    View,
    attack,
)
from hartley.core.errors import UsageError
from hartley.engine.chain import check_scene, parted, stages_of
from hartley.engine.defend import defended
from hartley.engine.loot import Means, entered, handed, loot_of
from hartley.engine.result.edge_family import with_compositions
from hartley.engine.run.play import deal, play_rounds
from hartley.engine.run.player import measured_row
from hartley.games.extraction.extraction import extraction
from hartley.games.membership.membership import membership

VISION = Modality.VISION


@pytest.fixture(scope="module")
def scene() -> Scene:
    return membership.live(VISION, np.random.default_rng(0))


@pytest.fixture(scope="module")
def stolen() -> Scene:
    return extraction.live(VISION, np.random.default_rng(0))


def names(stages) -> list[str]:
    return [stage.attack for stage in stages]


def test_records_are_the_attackers_own_unless_they_are_made_to_be_trained_on() -> None:
    for chain, slot in [
        (("zlib_ratio", "exposure"), Slot.PUBLIC),
        (("inverse_network", "exposure"), Slot.PUBLIC),
        (("inverse_network", "loss_threshold"), Slot.TRAIN),  # the one that membership has for them
        (("mislabelled_copies", "exposure"), Slot.TRAIN),
        (("mislabelled_copies", "lira"), Slot.TRAIN),
        (("harmful_examples", "exposure"), Slot.TRAIN),
        (("prefilling", "harmful_examples"), Slot.PUBLIC),
        (("trigger_examples", "trigger_word"), Slot.TRAIN),
    ]:
        assert stages_of(chain)[0].slot is slot, chain
    assert stages_of(("zlib_ratio", "exposure"), ("train",))[0].slot is Slot.TRAIN


def test_what_is_aimed_at_records_is_aimed_once_and_what_comes_behind_at_each_victim() -> None:
    for chain, once, each in [
        (("knockoff", "pgd"), [], ["knockoff"]),
        (("knockoff", "copycat", "pgd"), [], ["knockoff", "copycat"]),
        (("mislabelled_copies", "lira"), ["mislabelled_copies"], []),
        (("mislabelled_copies", "knockoff", "lira"), ["mislabelled_copies"], ["knockoff"]),
        (("inverse_network", "label_flip", "lira"), ["inverse_network", "label_flip"], []),
        (
            ("inverse_network", "label_flip", "knockoff", "lira"),
            ["inverse_network", "label_flip"],
            ["knockoff"],
        ),
        (("loss_threshold", "label_flip"), ["loss_threshold"], []),
    ]:
        assert [*map(names, parted(stages_of(chain)))] == [once, each], chain


def test_a_mixed_chain_without_a_meaning_is_refused_with_the_nearest_that_has_one() -> None:
    for chain, words in [
        (("mislabelled_copies", "knockoff", "pgd"), "evasion names no records that mislabelled"),
        (("mislabelled_copies", "knockoff", "label_flip"), "game poisoning accepts public"),
    ]:
        with pytest.raises(UsageError, match=words) as refused:
            stages_of(chain)
        assert "\n" not in str(refused.value)
        stages_of(str(refused.value).rpartition("hartley chain ")[2].split())


def test_victims_must_be_trained_on_what_was_left_for_them(monkeypatch) -> None:
    chain = ("mislabelled_copies", "knockoff", "loss_threshold")
    without = catalog.load("attack", "loss_threshold")
    game = replace(without.game, accepts=(Slot.SOURCE,))
    loaded = catalog.load

    def load(kind, name):
        if (kind, name) == ("attack", "loss_threshold"):
            return replace(without, game=game)
        return game if (kind, name) == ("game", "membership") else loaded(kind, name)

    monkeypatch.setattr(catalog, "load", load)
    with pytest.raises(UsageError, match="victims of membership are not trained on what mislabel"):
        stages_of(chain)


def test_poison_is_in_the_victims_that_are_copied_behind_it(scene: Scene) -> None:
    pool = scene.extra["pool"]
    scene = replace(scene, extra={**scene.extra, "public": pool}, digest="")
    stages = stages_of(
        ("mislabelled_copies", "knockoff", "loss_threshold"),
        params={"knockoff": {"steps": 3}},
        game_params={"membership": {"rounds": 2, "targets": 6}, "poisoning": {"poisons": 2}},
    )
    after = entered(stages, scene, Means(0))
    assert after.model.lineage == ("mislabelled_copies",)
    dealt = deal(catalog.load("attack", "loss_threshold"), after, seed=0, params={"rounds": 2})
    deal_ = handed(stages, after, dealt, Means(0))
    unpoisoned = deal(catalog.load("attack", "loss_threshold"), scene, seed=0, params={"rounds": 2})
    for clean, before, round_ in zip(unpoisoned.rounds, dealt.rounds, deal_.rounds, strict=True):
        assert np.array_equal(clean.truth, before.truth)
        assert "knockoff" in round_.view.source.lineage
        # Victims are trained on the poison: what no member of theirs says of the targets, it does.
        targets = membership.targets(scene, 6)
        wrong = before.view.source.query(targets.x).argmax(1) != targets.y
        assert wrong.sum() > (clean.view.source.query(targets.x).argmax(1) != targets.y).sum()
    assert deal_.prior == PriorLoot(deal_.prior.queries, ("extraction",), True)
    assert 0 < deal_.prior.queries == 2 * deal_.metrics["queries_to_copy"]


def test_an_attack_before_one_that_is_aimed_at_records_is_aimed_at_the_deployed_model(
    scene: Scene,
) -> None:
    asked: list[Model] = []

    def watch(view: View, rng: np.random.Generator) -> Outcome:
        """Note who is asked."""
        asked.append(view.source)
        return Outcome(guess=np.zeros(len(view.brief.question)), asset=view.brief.question)

    part = attack(
        game=membership, access=Access.NOTHING, term=Term.NOISE, modalities=(VISION,),
        paper="hartley", loot=Loot.RECORDS,
    )(watch)  # fmt: skip
    first, *rest = stages_of(("loss_threshold", "label_flip", "lira"))
    stages = (replace(first, params={}), *rest)
    loaded = catalog.load
    own = {"loss_threshold": part}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(catalog, "load", lambda kind, name: own.get(name) or loaded(kind, name))
        public = replace(scene, extra={**scene.extra, "public": scene.extra["pool"]}, digest="")
        asset, _ = loot_of(stages[:2], public, membership.targets(public, 4), Means(0))
    assert asset.lineage == ("watch", "label_flip") and asset.role == "poison"
    assert len(asked) == 1 and asked[0].name == scene.model.name


def test_members_are_asked_for_among_records_of_the_pool_and_shuffled(scene: Scene) -> None:
    pool = scene.extra["pool"]

    def aimed(shuffled: float) -> Data:
        rng = np.random.default_rng(3)
        view = membership.aim(scene, scene.model, rng, candidates=40, shuffled=shuffled)
        return view.brief.question

    rows = {row.tobytes(): int(label) for row, label in zip(pool.x, pool.y, strict=True)}
    plain, mixed = aimed(0.0), aimed(0.25)
    assert [rows.get(row.tobytes()) for row in plain.x] == plain.y.tolist()
    odd = [row.tobytes() not in rows for row in mixed.x]
    assert sum(odd) == 10 and len(mixed) == 40
    values = {tuple(np.sort(row.reshape(-1))) for row in pool.x}
    assert all(tuple(np.sort(row.reshape(-1))) in values for row in mixed.x[odd])
    claimed = catalog.load("attack", "random_members")(
        membership.aim(scene, scene.model, np.random.default_rng(0), candidates=40),
        np.random.default_rng(0),
    ).asset
    assert len(claimed) == 20 and {row.tobytes() for row in claimed.x} <= {*rows}
    chain = stages_of(("loss_threshold", "knockoff"))
    with pytest.raises(UsageError, match="must hold pool, and lacks pool"):
        check_scene(chain, replace(scene, extra={}))
    texts = stages_of(("zlib_ratio", "exposure"))
    bare = replace(scene, modality=Modality.LANGUAGE, extra={})
    with pytest.raises(UsageError, match="must hold generator, canaries and public, and lacks gen"):
        check_scene(texts, bare)


def secret_of(model: Model, probes: Data) -> np.ndarray:
    return np.asarray(model.query(probes.x)).argmax(1)


@pytest.mark.parametrize("leaks", [False, True])
def test_a_side_channel_behind_a_proved_ceiling_is_flagged_and_nothing_else_is(
    stolen: Scene, leaks: bool
) -> None:
    """A copy made of few labels holds few bits; one that came another way holds more.

    Eight answers of one of four labels are 16 bits, of secrets of 16 × 2.
    """
    behind = defended(replace(stolen, digest=""), "label_only")
    assert [bound.kind for bound in behind.bounds] == ["alphabet"]
    stages = stages_of(
        ("knockoff", "copycat"),
        params={"knockoff": {"steps": 60}, "copycat": {"steps": 60}},
        game_params={"extraction": {"queries": 8}},
    )
    copy = catalog.load("attack", "copycat")
    dealt = deal(copy, behind, seed=1, params={"queries": 8, "rounds": 16})
    before = play_rounds(copy, behind, {}, {"queries": 8}, seed=1, dealt=dealt).trials
    chained = handed(stages, behind, dealt, Means(1))
    assert chained.prior == PriorLoot(16 * 8, ("extraction",), True)
    if leaks:
        # Whoever made the copies got hold of the weights as well.
        rounds = [
            replace(has, view=replace(has.view, source=was.view.source))
            for has, was in zip(chained.rounds, dealt.rounds, strict=True)
        ]
        victims = {id(r): r.view.source for r in rounds}
        stolen_whole = attack(
            game=extraction, access=Access.SCORES, term=Term.NOISE, modalities=(VISION,),
            paper="hartley", loot=Loot.MODEL,
        )(whole_of([*victims.values()]))  # fmt: skip
        after = play_rounds(stolen_whole, behind, {}, {"queries": 8}, seed=1, dealt=chained).trials
    else:
        after = play_rounds(copy, behind, {}, {"queries": 8}, seed=1, dealt=chained).trials
    assert after.spec.bounds == (
        Bound("alphabet", {"bits": 2.0, "queries": 128.0}, ("membership", "extraction")),
    )
    rows = [
        {"id": name, "attack": name, "alphabet": 4, "role": "tap", **measured_row(trials)["row"]}
        for name, trials in (("alone", before), ("chain", after))
    ]
    edge = {"slots": ["source"], "row": "chain", "alone": "alone"}
    (found,) = with_compositions([edge], rows)
    assert found["composition"] == "degrade"
    assert found["bound"]["theory"] == pytest.approx(1.0)
    assert found["bound"]["violation"] is leaks, found
    assert bool(rows[1]["flags"]) is leaks


def whole_of(models: list[Model]):
    """Return an attack that brings home the victims themselves, by a way that nobody proved."""
    left = iter(models)

    def by_the_back_door(view: View, rng: np.random.Generator) -> Outcome:
        """Bring home the victim."""
        return Outcome(asset=next(left))

    return by_the_back_door


def test_answers_that_were_given_before_count_and_other_games_end_the_bound(stolen: Scene) -> None:
    behind = defended(replace(stolen, digest=""), "label_only")
    copy = catalog.load("attack", "copycat")
    dealt = deal(copy, behind, seed=1, params={"queries": 8, "rounds": 2})

    def bounds(dealt: Deal) -> tuple[Bound, ...]:
        trials = play_rounds(copy, behind, {"steps": 2}, {"queries": 8}, seed=1, dealt=dealt).trials
        return trials.spec.bounds

    (bare,) = bounds(dealt)
    assert bare.params == {"bits": 2.0}
    (both,) = bounds(replace(dealt, prior=PriorLoot(5, ("membership",), copies=False)))
    assert both.params == {"bits": 2.0, "queries": 5.0 + 16}
    assert bounds(replace(dealt, prior=PriorLoot(5, ("class_inversion",), copies=False))) == ()


def test_what_is_possible_is_printed_where_it_is_less_than_the_secret(capsys) -> None:
    log = {"scale": "bits", "value": 0.1, "low": 0.0, "high": 0.2, "why": ""}
    bound = {"certified": 0.25, "theory": 1.661, "rule": "sum over uses", "violation": False}
    edge = {
        "gain": 0.1, "low": 0.0, "high": 0.2, "path": ["knockoff", "knockoff"], "n": 16,
        "slots": ["source"], "auc": None, "family": "open", "log_gain": log, "against": [],
        "composition": "degrade", "bound": bound,
    }  # fmt: skip
    print_edges({"edges": [edge], "channels": []})
    assert "0.250 bit certified, at most 1.661 by what is proved" in capsys.readouterr().out
    none = {**edge, "bound": {**bound, "rule": "entropy"}}
    print_edges({"edges": [none], "channels": []})
    assert "certified" not in capsys.readouterr().out
