"""Encoded digits: users with one task and with all tasks, behind what slows a thief down."""

from __future__ import annotations

from hartley.core import Output
from hartley.defenses.noise.b4b import b4b
from hartley.engine.defend import defended
from hartley.scenes.encoded_digits import encoded_digits


def test_a_user_of_one_task_pays_nothing_and_one_who_asks_for_all_pays() -> None:
    scene = encoded_digits()
    assert scene.model is not None and scene.model.output is Output.EMBEDDINGS
    assert scene.facts["accuracy"] > 0.9 < scene.facts["accuracy_small_task"]
    assert scene.utility is not None
    behind = scene.utility(defended(scene, b4b, {"covered": 0.7}))
    assert behind["accuracy_small_task"] == scene.facts["accuracy_small_task"]
    assert behind["accuracy"] < scene.facts["accuracy"] - 0.3
