"""Membership on real pictures: who beats whom, and that nothing is read where nothing is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership.lira import lira
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.attacks.model_to_data.membership.rmia import rmia
from hartley.channel.measure import measure
from hartley.core import Deal, Modality
from hartley.engine.play import deal, play
from hartley.games import membership as game
from hartley.scenes.digits import digits


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARTLEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def scene(_own_cache):
    return digits(records=600)


@pytest.fixture(scope="module")
def dealt(scene):
    return deal(lira, scene, seed=0, params={"rounds": 12})


def value(channel, name):
    one = channel.usual[name]
    return one["value"] if isinstance(one, dict) else one


def test_lira_beats_the_loss_threshold_where_false_alarms_are_few(scene, dealt):
    heard = {
        attack.name: measure(play(attack, scene, dealt=dealt, params=params))
        for attack, params in ((loss_threshold, {}), (lira, {"references": 32}))
    }
    ours, plain = heard["lira"], heard["loss_threshold"]
    assert value(ours, "tpr_at_fpr_1e2") > 2 * value(plain, "tpr_at_fpr_1e2")
    assert value(ours, "auc") > value(plain, "auc") + 0.05
    assert ours.bits.lower > 0 and ours.bits.value > plain.bits.value
    assert ours.null.value < 0.01


def test_rmia_holds_with_few_references(scene, dealt):
    offline = {"references": 4, "online": False}
    few = value(measure(play(rmia, scene, dealt=dealt, params=offline)), "auc")
    assert few > value(measure(play(lira, scene, dealt=dealt, params=offline)), "auc")
    many = value(measure(play(rmia, scene, dealt=dealt, params={"references": 32})), "auc")
    assert many > 0.62


@pytest.mark.parametrize(
    "params",
    [{"online": False}, {"fixed_variance": False}, {"online": False, "fixed_variance": False}],
    ids=str,
)
def test_every_form_of_lira_reads_the_scene(scene, dealt, params):
    trials = play(lira, scene, dealt=dealt, params={"references": 32, **params})
    assert value(measure(trials), "auc") > 0.6


@pytest.mark.parametrize("attack", [lira, rmia, loss_threshold], ids=lambda a: a.name)
def test_a_model_that_never_saw_the_members_reads_nothing(scene, dealt, attack):
    """The same victims, judged by fresh coins: what is left is chance."""
    strangers = scene.extra["public"]
    include = np.random.default_rng(5).random((12, len(strangers))) < 0.5
    models = scene.fit(strangers, include, 11)
    rounds = tuple(
        replace(one, view=replace(one.view, source=models.member(k)))
        for k, one in enumerate(dealt.rounds)
    )
    params = {} if attack is loss_threshold else {"references": 32}
    heard = measure(play(attack, scene, dealt=Deal(rounds), params=params))
    assert heard.bits.lower == 0
    assert heard.bits.value < 0.02
    assert abs(value(heard, "auc") - 0.5) < 0.03


@pytest.mark.parametrize("modality", list(Modality), ids=str)
@pytest.mark.parametrize("attack", [lira, rmia], ids=lambda a: a.name)
@pytest.mark.parametrize("online", [True, False])
def test_wires(modality, attack, online):
    params = {"online": online, "references": 16}
    live = play(attack, game.live(modality, np.random.default_rng(0)), params=params)
    heard = measure(live)
    assert heard.bits.value > 0.7 and heard.bits.lower > 0.3
    dead = play(attack, game.dead(modality, np.random.default_rng(0)), params=params)
    heard = measure(dead)
    assert heard.bits.lower == 0 and heard.bits.value < 0.02


def test_loot_is_mostly_members(scene, dealt):
    one = dealt.rounds[0]
    got = lira(one.view, np.random.default_rng(0), references=32)
    members = {row.tobytes() for row in one.view.question.x[one.truth == 1]}
    share = np.mean([row.tobytes() in members for row in got.asset.x])
    assert len(got.asset) > 20 and share > 0.55


def test_rmia_takes_a_population_of_its_own(scene, dealt):
    rounds = tuple(
        replace(one, view=replace(one.view, public=scene.extra["public"])) for one in dealt.rounds
    )
    trials = play(rmia, scene, dealt=Deal(rounds), params={"references": 32})
    assert value(measure(trials), "auc") > 0.62
