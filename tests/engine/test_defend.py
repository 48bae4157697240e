"""Coverage of a defence, and what a static attacker meets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley import catalog
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.core import (
    Applied,
    Bound,
    Experiment,
    Knowledge,
    Modality,
    Scene,
    Stage,
    Term,
    defense,
)
from hartley.core.errors import RunError, UsageError
from hartley.engine import build_scene
from hartley.engine.defend import as_static, coverage, defended
from hartley.engine.plan.applicability import obstacle, unplayable
from hartley.engine.plan.plan import Plan
from hartley.engine.plan.worklist import expand
from hartley.engine.run import player as players
from hartley.engine.run.play import play
from hartley.engine.run.player import Player
from hartley.games.membership.membership import membership
from hartley.store.table import trials_from_bytes


def B(point, low, high):
    return {"point": point, "low": low, "high": high, "n": 10}


@pytest.mark.parametrize(
    ("before", "after", "point", "low"),
    [
        (B(0.4, 0.2, 0.6), [B(0.1, 0.0, 0.15)], 0.75, 0.25),
        (B(0.4, 0.2, 0.6), [B(0.1, 0.0, 0.15), B(0.3, 0.2, 0.4)], 0.25, 0.0),
        (B(0.4, 0.2, 0.6), [B(0.5, 0.2, 0.6)], 0.0, 0.0),
        (B(0.4, 0.2, 0.6), [B(0.0, 0.0, 0.0)], 1.0, 1.0),
        (B(0.4, 0.0, 0.6), [B(0.1, 0.0, 0.1)], 0.75, 0.0),
        (B(0.4, 0.2, 0.6), [B(0.1, 0.0, None)], 0.75, 0.0),
    ],
)
def test_coverage_is_against_the_worst_attacker(before, after, point, low):
    found = coverage(before, after)
    assert found == {"point": pytest.approx(point), "low": pytest.approx(low)}


def test_no_coverage_of_what_did_not_leak_or_was_not_measured():
    assert coverage(None, [B(0, 0, 0)]) is None
    assert coverage(B(0.4, 0.2, 0.6), []) is None
    assert coverage(B(0.0, 0.0, 0.1), [B(0, 0, 0)]) is None


@pytest.fixture
def scene():
    return membership.live(Modality.VISION, np.random.default_rng(0))


def _declared(apply, *, keeps_proof=False):
    return defense(
        term=Term.NOISE,
        stage="output",
        protects=("membership",),
        modalities=(Modality.VISION,),
        paper="hartley",
        strongest={},
        keeps_proof=keeps_proof,
    )(apply)


def renames(scene: Scene, rng: np.random.Generator, *, word: str = "new", loud: bool = True):
    """Rename the model.

    Args:
        word: the name.
        loud: nothing.
    """
    return replace(scene, model=replace(scene.model, name=word), digest="mine", defenses=())


def swaps(scene: Scene, rng: np.random.Generator):
    """Swap a tool of the owner's, and leave the model as it is."""
    return scene.with_part(rng.random())


def proves(scene: Scene, rng: np.random.Generator):
    """Prove privacy of its own training."""
    return replace(scene, bounds=(*scene.bounds, Bound("dp", {"epsilon": 3.0})))


def test_the_engine_records_a_defense_whatever_it_wrote_itself(scene):
    part = _declared(renames)
    once = defended(scene, part, {"word": "x"}, seed=4)
    assert once.defenses == (Applied("renames", {"word": "x", "loud": True}),)
    assert once.model.name == "x" and once.model.lineage == (*scene.model.lineage, "renames")
    twice = defended(once, part, {"loud": False}, seed=4)
    assert [d.params for d in twice.defenses] == [
        {"word": "x", "loud": True},
        {"word": "new", "loud": False},
    ]
    assert twice.model.lineage == (*scene.model.lineage, "renames", "renames")
    others = (
        scene,
        twice,
        defended(scene, part, {"word": "x"}, seed=5),
        defended(scene, part, {"word": "x", "loud": False}, seed=4),
        defended(replace(scene, digest="other"), part, {"word": "x"}, seed=4),
    )
    assert once.digest == defended(scene, part, {"word": "x", "loud": True}, seed=4).digest
    assert len({once.digest, *(s.digest for s in others)}) == 6
    assert part(scene, np.random.default_rng(0)).defenses == (), "the part itself records nothing"


def test_a_model_that_a_defense_leaves_alone_has_no_new_lineage(scene):
    after = defended(scene, _declared(swaps))
    assert after.model is scene.model and [d.name for d in after.defenses] == ["swaps"]


@pytest.mark.parametrize("keeps", [False, True])
def test_what_was_proved_of_the_training_ends_unless_the_defense_keeps_it(scene, keeps):
    trained = [Bound(kind, {}, ("membership",)) for kind in ("dp", "gdp", "zcdp")]
    released = Bound("zcdp", {"rho": 1.0}, ("gradient_inversion",))
    alphabet = Bound("alphabet", {"bits": 1.0})
    before = replace(scene, bounds=(*trained, released, alphabet))
    left = (*trained, released, alphabet) if keeps else (released, alphabet)
    assert defended(before, _declared(swaps, keeps_proof=keeps)).bounds == left
    proved = defended(before, _declared(proves, keeps_proof=keeps)).bounds
    assert proved == (*left, Bound("dp", {"epsilon": 3.0}))
    again = defended(replace(before, bounds=proved), _declared(proves)).bounds
    assert again == (released, alphabet, Bound("dp", {"epsilon": 3.0})), "its own stays, once"


def test_defenses_that_train_or_read_the_records_declare_that_no_proof_survives_them():
    names = {e.name for e in catalog.entries("defense") if e.origin == "hartley"}
    ends = {n for n in names if not catalog.load("defense", n).keeps_proof}
    assert ends == {
        *("activation_clustering", "bido", "deduplication", "dp_sgd", "hamp", "label_smoothing"),
        *("memfree", "memguard", "mid", "relax_loss", "selena", "spectral_signatures"),
        *("anti_backdoor_learning", "deep_knn", "deep_partition_aggregation", "fine_pruning"),
        *("loss_filter", "neural_cleanse", "strip", "suspect_relabelling", "record_scan"),
        *("alignment_filter", "feature_filter", "roclip", "onion", "z_defense"),
        *("clean_clip", "safe_clip"),
        *(
            "adversarial_training",
            "adversarial_tuning",
            "bit_depth",
            "jpeg",
            "purifier",
            "randomized_smoothing",
        ),
        *("jaccard", "link_smoothing", "low_rank"),
        *("meco", "modelguard", "prada"),
        *("llm_tagging", "signed_instructions", "agent_quarantine", "contact_limit"),
        *("memory_expiry", "message_filter"),
        *(
            "output_filter",
            "planner_executor",
            "description_pinning",
            "injection_detector",
            "namespaced_tools",
            "least_privilege",
            "tool_filter",
        ),
        *("constrained_tuning", "lisa", "rep_noise", "safe_lora", "tuning_data_filter", "vaccine"),
        *("self_destructing", "tar", "unlearn_secrets"),
        *("blocked_record_filter", "refusal_replay"),
        *("circuit_breakers", "erase_and_check", "paraphrase_input", "perplexity_filter"),
        *("retokenise", "smooth_llm", "system_reminder", "topic_classifier"),
        *("common_words", "dp_synthesis"),
    }


def test_a_static_attacker_trains_as_before(scene):
    after = defended(scene, "rounding", {}, seed=0)
    assert [d.name for d in after.defenses] == ["rounding"] and after.name == scene.name
    assert after.digest != scene.digest
    assert after.digest != defended(scene, "rounding", {"digits": 3}, seed=0).digest
    deal = membership(after, np.random.default_rng(0), rounds=2)
    static = as_static(deal, scene)
    assert static.judge is deal.judge
    for one, other in zip(deal.rounds, static.rounds, strict=True):
        assert one.truth is other.truth and one.view.salt == other.view.salt
        assert one.view.model.query is other.view.model.query
        assert one.view.model.fit is after.model.fit is not scene.model.fit
        assert other.view.model.fit is scene.model.fit
        assert [d.name for d in one.view.defenses] == ["rounding"] and not other.view.defenses


def test_a_static_attacker_needs_the_scene_they_know(scene):
    after = defended(scene, "rounding", {}, seed=0)
    with pytest.raises(UsageError, match="undefended must be the scene before its defenses"):
        play(loss_threshold, after, knowledge="static")
    with pytest.raises(
        UsageError,
        match=r"for a static attacker, and for no other, got Scene where knowledge is adaptive",
    ):
        play(loss_threshold, after, knowledge="adaptive", undefended=scene)
    assert play(loss_threshold, after, undefended=scene).knowledge == "static"
    assert play(loss_threshold, after).knowledge == "adaptive"
    assert play(loss_threshold, scene).knowledge == "none"


def test_both_kinds_of_attackers_meet_victims_that_were_trained_once(scene):
    trained = []

    def fit(data, include, seed):
        trained.append(len(include))
        return scene.fit(data, include, seed)

    player = Player()
    player.hold(scene.name, replace(scene, fit=fit), {})
    experiment = Experiment(
        scene.name,
        stages=(Stage("loss_threshold", {}, "membership", {"rounds": 3}),),
        defenses=(Applied("rounding", {"digits": 1}),),
        baseline=False,
    )
    static, adaptive = (
        trials_from_bytes(player.run(replace(experiment, knowledge=known)).content)
        for known in (Knowledge.STATIC, Knowledge.ADAPTIVE)
    )
    assert trained == [3], "victims are dealt once for both"
    assert (static.knowledge, adaptive.knowledge) == ("static", "adaptive")
    assert static.run_id != adaptive.run_id
    np.testing.assert_array_equal(static.truth, adaptive.truth)
    np.testing.assert_array_equal(static.guess, adaptive.guess)


def test_a_static_attacker_prepares_for_what_is_deployed_and_for_nothing_that_was_added(
    monkeypatch,
):
    plan = Plan(
        scene="live:membership",
        only=("lira",),
        attacks={"lira": {"references": 4}},
        games={"membership": {"rounds": 2}},
        deployed=("rounding",),
        use=("score_noise",),
    )
    scene = build_scene.build(plan.scene)
    rows = [one for one in expand(plan, scene) if isinstance(one, Experiment) and one.stages]
    assert [(one.knowledge, one.baseline) for one in rows] == [
        *((Knowledge.ADAPTIVE, True), (Knowledge.STATIC, False), (Knowledge.ADAPTIVE, False))
    ]
    prepared = []
    original = players.play_rounds

    def watched(*parts, undefended=None, dealt=None, **more):
        met = as_static(dealt, undefended) if undefended is not None else dealt
        view = met.rounds[0].view
        asked = view.brief.question
        reference = view.model.fit(asked, np.ones((1, len(asked)), bool), 0)
        digits = np.asarray(reference.query(asked.x)) * 10
        coarse = bool(np.allclose(digits, np.round(digits), atol=1e-6))
        prepared.append((tuple(d.name for d in view.defenses), coarse))
        return original(*parts, undefended=undefended, dealt=dealt, **more)

    monkeypatch.setattr(players, "play_rounds", watched)
    player = Player()
    results = [player.run(one) for one in rows]
    assert [result.note.get("reason") for result in results] == [None] * 3
    assert prepared == [
        (("rounding",), True),
        (("rounding",), True),
        (("rounding", "score_noise"), False),
    ]


def test_a_defence_that_does_not_fit_is_an_error(scene):
    with pytest.raises(UsageError, match="no parameter 'digit'; did you mean digits"):
        defended(scene, "rounding", {"digit": 1}, seed=0)
    with pytest.raises(RunError, match="has no"):
        defended(scene, "coded_mark", {}, seed=0)


def test_the_reason_why_an_attack_cannot_be_played(scene):
    from hartley import catalog
    from hartley.core import Access

    entry = catalog.find("attack", "lira")
    plan = Plan(scene="x")
    assert obstacle(entry, scene, plan) is None
    found = obstacle(catalog.find("attack", "compression"), scene, plan)
    assert found.cause == "scene" and "has no carriers" in found.reason
    found = obstacle(entry, scene, Plan(skip=("membership",)))
    assert found.cause == "plan" and found.reason == "left out by the plan: skip membership"
    found = obstacle(entry, scene, Plan(only=("rmia",)))
    assert found.cause == "plan"
    shy = replace(scene, model=replace(scene.model, offers=Access.LABELS))
    found = unplayable(entry, shy)
    assert found.cause == "access" and "needs scores, train" in found.reason
    words = membership.live(Modality.LANGUAGE, np.random.default_rng(0))
    found = unplayable(catalog.find("attack", "badnets"), words)
    assert found.cause == "modality" and "plays vision" in found.reason
