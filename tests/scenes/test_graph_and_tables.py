"""Graph and tabular scenes: what they hold, that they learn, that parts are apart."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.channel.measure import measure
from hartley.core import Access
from hartley.core.errors import MissingPack, UsageError
from hartley.engine.build_scene import build
from hartley.engine.run.play import play
from hartley.scenes.income import income
from hartley.scenes.synsets import synsets
from hartley.scenes.tumours import tumours
from hartley.scenes.wordnet import wordnet
from hartley.testing import check_model

MAKERS = {
    "tumours": (tumours, None, 0.85),
    "income": (income, "adult", 0.75),
    "wordnet": (wordnet, "wordnet", 0.75),
    "synsets": (synsets, "wordnet", 0.6),
}


@pytest.fixture(scope="module", autouse=True)
def shelf(tmp_path_factory):
    """One empty cache for all: the dictionary is read once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARTLEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", params=list(MAKERS))
def made(request, shelf, need_pack):
    maker, pack, least = MAKERS[request.param]
    if pack:
        need_pack(pack)
    return maker(), least


def test_a_scene_is_whole_and_has_learnt_more_than_it_can_say_of_others(made):
    scene, least = made
    for name in ("model", "train", "holdout", "fit", "pool", "test", "public", "canaries"):
        assert scene.has(name), name
    assert least < scene.facts["test accuracy"] < scene.facts["train accuracy"]
    used = scene.utility(scene)
    assert used == {"accuracy": scene.facts["test accuracy"]}
    assert used["accuracy"].low < used["accuracy"] < used["accuracy"].high
    check_model(scene.model, scene.extra["test"].x[:20])
    assert not scene.model.offers & (Access.WEIGHTS | Access.GRADIENTS)


def test_no_record_stands_in_two_parts(made):
    scene, _ = made
    parts = [scene.train, scene.holdout, *(scene.extra[n] for n in ("public", "test"))]
    rows = [row.tobytes() for part in parts for row in np.ascontiguousarray(part.x)]
    # Small graphs are drawn, so that two may be alike by chance; nodes and people are not.
    assert len(set(rows)) > 0.99 * len(rows)
    assert np.array_equal(scene.extra["pool"].x, np.concatenate([parts[0].x, parts[1].x]))
    if scene.name != "synsets":
        assert len(set(rows)) == len(rows)


def test_another_seed_is_another_scene(made):
    scene, _ = made
    other = MAKERS[scene.name][0](seed=1, records=200)
    assert other.digest != scene.digest and len(other.extra["pool"]) == 200


def test_membership_is_read_and_not_of_a_stranger(made):
    from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold

    scene, _ = made
    trials = play(loss_threshold, scene, seed=0, game_params={"rounds": 4})
    truth, guess = trials.truth == 1, trials.guess
    assert guess[truth].mean() > guess[~truth].mean()
    heard = measure(trials)
    if scene.name != "tumours":  # the tumours are told apart too well to leave much
        assert heard.bits.lower > 0.005


def test_links_are_read_from_weights_and_influence(need_pack):
    from hartley.attacks.model_to_data.inversion.graph_mi import graph_mi
    from hartley.attacks.model_to_data.inversion.link_teller import link_teller

    need_pack("wordnet")
    scene = wordnet()
    for attack, least in ((link_teller, 0.1), (graph_mi, 0.2)):
        heard = measure(play(attack, scene, seed=0, game_params={"rounds": 4}))
        assert heard.bits.lower > least, attack.name
        assert heard.metrics["auc"]["value"] > 0.9


def test_scenes_without_their_pack_say_so(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_PACKS", str(tmp_path))
    for maker, pack, _ in MAKERS.values():
        if pack:
            with pytest.raises(MissingPack, match=pack):
                maker()


def test_wrong_parameters_are_one_line():
    with pytest.raises(UsageError, match="field must be one of mean_radius"):
        tumours(sensitive="shoe_size")
    with pytest.raises(UsageError, match=r"income: sensitive must be workclass, .* got .age"):
        build("income", {"sensitive": "age"})
