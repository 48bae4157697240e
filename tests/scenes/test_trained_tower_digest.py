"""The digest of the trained tower covers all that the scene is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hartley.games.alignment.pair_encoders import CAPTIONS
from hartley.games.alignment.picture_tower import PictureTower, RawPairs
from hartley.kit.infonce_towers import Towers
from hartley.kit.vision.conv_tower import Shape
from hartley.kit.vision.tower_lessons import Lesson
from hartley.scenes import trained_tower


def of_tokens(tokens: np.ndarray) -> RawPairs:
    return RawPairs(np.zeros((2, 3, 8, 8)), np.ones((2, 4)), np.arange(2), {CAPTIONS: tokens})


def test_another_caption_teacher_or_budget_is_another_scene() -> None:
    sets = {"train": of_tokens(np.array([[1, 2], [3, 4]]))}
    begun = PictureTower(Shape(3, 8, (), 4), {}, np.ones((4, 4)), 14.0, sets)
    lesson, teacher = Lesson("learn", 12, 2e-3), Towers(4, 4, 40, 2)
    names = [
        trained_tower._digest(begun, lesson, teacher, 2 / 255, 0),
        trained_tower._digest(
            replace(begun, sets={"train": of_tokens(np.array([[1, 2], [3, 5]]))}),
            lesson,
            teacher,
            2 / 255,
            0,
        ),
        trained_tower._digest(begun, lesson, replace(teacher, epochs=41), 2 / 255, 0),
        trained_tower._digest(replace(begun, text=np.eye(4)), lesson, teacher, 2 / 255, 0),
        trained_tower._digest(begun, lesson, teacher, 4 / 255, 0),
        trained_tower._digest(begun, lesson, teacher, 2 / 255, 1),
    ]
    assert len({*names}) == len(names)
