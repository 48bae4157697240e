"""The poisoning attacks on real digits: more poison, more bits, and no bits without training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hartley.attacks.data_to_model.poisoning.badnets import _patches, badnets
from hartley.attacks.data_to_model.poisoning.blended import blended
from hartley.attacks.data_to_model.poisoning.label_flip import label_flip
from hartley.channel.measure import measure
from hartley.core import Data, Modality
from hartley.engine.run.play import deal, play
from hartley.games.poisoning.poisoning import live


@pytest.mark.parametrize("attack", [badnets, blended, label_flip], ids=lambda a: a.name)
@pytest.mark.parametrize("modality", [Modality.VISION, Modality.TABULAR])
def test_every_message_arrives_on_the_live_wire(attack: Any, modality: Modality) -> None:
    trials = play(attack, live(modality, np.random.default_rng(1)), seed=1)
    assert np.array_equal(trials.truth, trials.guess)
    assert trials.metrics["base_rate"] < 0.5 < trials.metrics["asr"]


@pytest.mark.parametrize("attack", [badnets, blended, label_flip], ids=lambda a: a.name)
@pytest.mark.parametrize("poisons", [1, 5])
def test_poison_stays_within_the_budget_and_carries_the_message(attack: Any, poisons: int) -> None:
    scene = live(Modality.VISION, np.random.default_rng(0))
    table = deal(attack, scene, seed=0, params={"poisons": poisons})
    view = table.rounds[0].view
    loot = attack(view, np.random.default_rng(0)).asset
    assert isinstance(loot, Data)
    assert len(loot) == poisons * 4
    assert np.array_equal(loot.y, np.repeat(view.brief.message, poisons))
    assert loot.role == "poison"


def test_patches_stand_on_tiles_of_their_own_within_the_cover() -> None:
    held = Data("held", Modality.VISION, np.random.default_rng(0).random((9, 1, 8, 8)))
    masks, patterns = _patches(held, 4, 3, 0.2, np.random.default_rng(1))
    assert masks.sum(0).max() == 1, "patches overlap"
    assert np.all(masks.reshape(4, -1).sum(1) == 9)
    assert np.allclose(patterns[masks == 1], held.x.max())
    small, _ = _patches(held, 4, 3, 0.07, np.random.default_rng(1))
    assert np.all(small.reshape(4, -1).mean(1) <= 0.07)
    assert np.all(small.reshape(4, -1).sum(1) == 4)


def test_slots_that_share_a_tile_differ_in_their_pixels() -> None:
    held = Data("held", Modality.VISION, np.random.default_rng(0).random((9, 1, 8, 8)))
    masks, patterns = _patches(held, 8, 3, 0.2, np.random.default_rng(1))
    stamps = {(m.tobytes(), p.tobytes()) for m, p in zip(masks, patterns, strict=True)}
    assert len(stamps) == 8


def test_a_patch_on_a_row_of_numbers_and_on_colours() -> None:
    row = Data("row", Modality.TABULAR, np.random.default_rng(0).random((9, 40)))
    masks, _ = _patches(row, 4, 3, 0.2, np.random.default_rng(1))
    assert masks.shape == (4, 40) and np.all(masks.sum(1) == 8)
    colour = Data("colour", Modality.VISION, np.random.default_rng(0).random((9, 3, 8, 8)))
    masks, _ = _patches(colour, 4, 3, 0.2, np.random.default_rng(1))
    assert np.all(masks.reshape(4, 3, -1).sum(2) == 9), "the patch covers every channel"


def test_on_digits_bits_grow_with_the_number_of_poisons(digits: Any) -> None:
    heard = []
    for poisons in (1, 16):
        trials = play(badnets, digits, seed=0, game_params={"rounds": 16, "poisons": poisons})
        heard.append((measure(trials), trials))
    (few, _), (many, trials) = heard
    assert few.high is not None and many.bits.lower is not None
    assert many.bits.lower > few.high, (few.bits, many.bits)
    assert trials.metrics["asr"] > 0.6
    assert trials.metrics["base_rate"] < 0.2
    assert abs(trials.metrics["clean_accuracy_drop"]) < 0.08
    assert trials.metrics["clean_accuracy"] > 0.85


def test_on_digits_flipping_moves_only_the_slots_that_are_flipped(digits: Any) -> None:
    trials = play(label_flip, digits, seed=0, game_params={"rounds": 16, "poisons": 32})
    heard = measure(trials)
    assert heard.bits.lower is not None and heard.bits.lower > 0.02
    assert trials.metrics["base_rate"] < 0.05
