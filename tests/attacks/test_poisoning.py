"""The poisoning attacks on real digits: more poison, more bits, and no bits without training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hartley import catalog
from hartley.attacks.data_to_model.poisoning._shared.patch_triggers import patches
from hartley.attacks.data_to_model.poisoning.badnets import badnets
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
    masks, patterns = patches(held, 4, 3, 0.2, np.random.default_rng(1))
    assert masks.sum(0).max() == 1, "patches overlap"
    assert np.all(masks.reshape(4, -1).sum(1) == 9)
    assert np.allclose(patterns[masks == 1], held.x.max())
    small, _ = patches(held, 4, 3, 0.07, np.random.default_rng(1))
    assert np.all(small.reshape(4, -1).mean(1) <= 0.07)
    assert np.all(small.reshape(4, -1).sum(1) == 4)


def test_slots_that_share_a_tile_differ_in_their_pixels() -> None:
    held = Data("held", Modality.VISION, np.random.default_rng(0).random((9, 1, 8, 8)))
    masks, patterns = patches(held, 8, 3, 0.2, np.random.default_rng(1))
    stamps = {(m.tobytes(), p.tobytes()) for m, p in zip(masks, patterns, strict=True)}
    assert len(stamps) == 8


def test_a_patch_on_a_row_of_numbers_and_on_colours() -> None:
    row = Data("row", Modality.TABULAR, np.random.default_rng(0).random((9, 40)))
    masks, _ = patches(row, 4, 3, 0.2, np.random.default_rng(1))
    assert masks.shape == (4, 40) and np.all(masks.sum(1) == 8)
    colour = Data("colour", Modality.VISION, np.random.default_rng(0).random((9, 3, 8, 8)))
    masks, _ = patches(colour, 4, 3, 0.2, np.random.default_rng(1))
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


@pytest.mark.parametrize("name", ["wanet", "sinusoid", "sleeper_agent"])
def test_a_trigger_that_is_hardly_visible_arrives_on_digits(digits: Any, name: str) -> None:
    """Far above what a clean victim answers to the same records."""
    attack = catalog.load("attack", name)
    params = {"periods": 2, "height": 0.5} if name == "sinusoid" else {}
    rules = {"rounds": 2, "slots": 1, "poisons": 40, "cover": 0.4}
    trials = play(attack, digits, seed=0, params=params, game_params=rules)
    assert trials.metrics["asr"] > trials.metrics["base_rate"] + 0.3
    assert trials.metrics["untriggered_rate"] < 0.1


def test_clean_label_poison_is_a_record_of_its_class_that_moved_by_no_more_than_its_reach(
    digits: Any,
) -> None:
    attack = catalog.load("attack", "sleeper_agent")
    table = deal(attack, digits, seed=0, params={"rounds": 1, "slots": 2, "poisons": 5})
    view = table.rounds[0].view
    loot = attack(view, np.random.default_rng(0), reach=0.1, steps=5, epochs=5).asset
    assert isinstance(loot, Data) and loot.y is not None and len(loot) == 10
    for x, label in zip(loot.x, loot.y, strict=True):
        same = view.data.x[view.data.labels == label]
        nearest = abs(same - x).reshape(len(same), -1).max(1).min()
        assert nearest <= 0.1 + 1e-6
    assert not np.isin(loot.x.reshape(10, -1).max(1), 0).any()


def test_a_disguise_keeps_labels_as_it_says(digits: Any) -> None:
    table = deal(badnets, digits, seed=0, params={"rounds": 1, "slots": 1, "poisons": 20})
    view = table.rounds[0].view
    message, source = int(view.brief.message[0]), int(view.brief.question.labels[0])
    for disguise in ("kept_labels", "one_class"):
        loot = badnets(view, np.random.default_rng(0), disguise=disguise).asset
        assert isinstance(loot, Data)
        assert (loot.labels == message).sum() == 10
        meant_for = loot.facts["sources"][0]
        assert meant_for.sum() == (1 if disguise == "one_class" else 10)
        assert meant_for[source]
