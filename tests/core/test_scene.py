"""A scene's typed parts and settings: found by type, required by name, replaced in their place."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hartley.core import Modality, Scene, Settings
from hartley.core.errors import UsageError
from hartley.core.scene import part_names


@dataclass(frozen=True)
class StoredLetters:
    """A part that no game knows."""

    count: int = 1


class SealedLetters(StoredLetters):
    """A kind of them."""


def test_a_part_is_found_by_its_type_and_required_by_its_name() -> None:
    bare = Scene("desk", Modality.LANGUAGE)
    assert bare.find(StoredLetters) is None and not bare.has("stored_letters")
    with pytest.raises(UsageError, match="the scene desk has no stored_letters"):
        bare.part(StoredLetters)
    full = bare.with_part(StoredLetters(2))
    assert full.part(StoredLetters).count == 2
    assert full.has("stored_letters") and full.lacking(["stored_letters", "graph"]) == ["graph"]


def test_a_part_takes_the_place_of_one_of_its_type_alone() -> None:
    scene = Scene("desk", Modality.LANGUAGE, parts=("blotter", StoredLetters(1)))
    after = scene.with_part(StoredLetters(3))
    assert after.parts == ("blotter", StoredLetters(3)) and scene.part(StoredLetters).count == 1


def test_a_kind_of_part_is_one() -> None:
    assert part_names(SealedLetters) == ("sealed_letters", "stored_letters")
    scene = Scene("desk", Modality.LANGUAGE, parts=(SealedLetters(),))
    assert scene.has("stored_letters") and isinstance(scene.part(StoredLetters), SealedLetters)


def test_who_asks_for_rounds_gets_them_before_the_scene_and_the_game() -> None:
    settings = Settings({"membership": 5})
    assert settings.rounds_of("membership", 3, 16) == 3
    assert settings.rounds_of("membership", 0, 16) == 5
    assert settings.rounds_of("inversion", 0, 16) == 16
