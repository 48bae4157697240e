"""What an attack did to one record: pictured where it may be, and drawn as it is."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.data_to_model.jailbreak.fgsm import fgsm
from hartley.attacks.data_to_model.poisoning.badnets import badnets
from hartley.attacks.data_to_model.poisoning.label_flip import label_flip
from hartley.core import Scene
from hartley.engine.run.play import play
from hartley.games.example_pictures import change, picture, trigger
from hartley.report.pictures import drawn, of_attacks
from hartley.scenes.digits import digits
from hartley.store.table import trials_from_bytes, trials_to_bytes


@pytest.fixture(scope="module")
def scene() -> Scene:
    return digits(opened=True)


def pixels(one: Any) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(one["hex"]), np.uint8).reshape(one["shape"])


def test_a_trigger_is_pictured_with_the_record_and_what_the_model_answers(scene: Scene) -> None:
    rules = {"rounds": 2, "slots": 1, "poisons": 40}
    trials = play(badnets, scene, seed=0, game_params=rules)
    clean, alone, triggered = trials.pictures
    test = scene.extra["test"]
    # The clean one is a test record as it is; the trigger is where the two differ.
    levels = np.rint(255 * test.x).astype(np.uint8)
    assert (levels == pixels(clean)).all((1, 2, 3)).any()
    differs = pixels(clean) != pixels(triggered)
    assert differs.any() and (pixels(triggered) == pixels(alone))[differs].all()
    wanted = int(trials.truth[0])
    assert re.search(
        rf"with the trigger, answered \d; the attacker wants {wanted}", triggered["words"]
    )
    assert trials_from_bytes(trials_to_bytes(trials)).pictures == trials.pictures


def test_a_record_that_may_not_be_shown_is_in_no_picture(scene: Scene) -> None:
    closed = replace(scene, settings=replace(scene.settings, pictures=False))
    rules = {"rounds": 2, "slots": 1, "poisons": 10}
    (alone,) = play(badnets, closed, seed=0, game_params=rules).pictures
    assert alone["words"] == "the trigger"
    # A patch on grey: what the attacker made, and nothing of a record.
    assert set(np.unique(pixels(alone))) == {128, 255}
    assert play(label_flip, closed, seed=0, game_params=rules).pictures == ()
    few = {"rounds": 1, "records": 40, "epsilon": 0.2}
    assert play(fgsm, closed, seed=0, game_params=few).pictures == ()
    clean, moved, changed = play(fgsm, scene, seed=0, game_params=few).pictures
    assert "the change, at most 0.2 a pixel" in moved["words"]
    truth, before = re.findall(r"\d+", clean["words"])
    assert truth == before and f"answered {truth}" not in changed["words"]


def test_large_pictures_are_thinned_and_drawn_pixel_by_pixel() -> None:
    x = np.zeros((3, 80, 40))
    x[0, :40] = 1.0
    one = picture(x, "red over black")
    assert one["shape"] == [3, 27, 14]
    svg = drawn(one)
    assert svg.count("<rect") == 27 and svg.count('fill="#ff0000"') == 14
    assert drawn({**one, "hex": "00"}) == ""
    assert list(of_attacks([{"attack": "a"}, {"attack": "b", "pictures": [one]}], str)) == [
        {"attack": "b", "pictures": [{"svg": svg, "words": "red over black"}]}
    ]


def test_a_change_is_grey_where_nothing_changed() -> None:
    before = np.full((1, 2, 2), 0.5)
    after = before + np.array([[[0.1, 0.0], [-0.05, 0.0]]])
    np.testing.assert_allclose(change(before, after), [[[1.0, 0.5], [0.25, 0.5]]])
    np.testing.assert_allclose(change(before, before), 0.5)
    assert trigger({"warps": np.zeros((1, 2, 2, 2))}, 0) is None
    shift = trigger({"shifts": np.array([[[[0.2, -0.2]]]])}, 0)
    np.testing.assert_allclose(shift, [[[1.0, 0.0]]])
