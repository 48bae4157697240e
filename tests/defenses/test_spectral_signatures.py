"""Spectral signatures: the poison is what goes, and the pipeline trains on what stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hartley.attacks.data_to_model.poisoning.badnets import badnets
from hartley.channel.measure import measure
from hartley.core import Data, Scene
from hartley.defenses.signal.spectral_signatures import _outliers, spectral_signatures
from hartley.engine.defend import defended
from hartley.engine.run.play import play


def test_a_minority_that_lies_off_is_what_is_marked() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200, 12))
    rows[:20] += 4 * np.eye(12)[3]
    labels = np.zeros(200, dtype=int)
    marked = _outliers(rows, labels, 0.15)
    assert marked.sum() == 30
    assert marked[:20].mean() >= 0.9
    assert not _outliers(rows, labels, 0.0).any()


def test_every_class_gives_its_share() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    marked = _outliers(rng.standard_normal((100, 4)), labels, 0.2)
    assert [int(marked[labels == c].sum()) for c in range(3)] == [10, 6, 4]


def _watched(scene: Scene, calls: list[Any]) -> Scene:
    fit = scene.fit
    assert fit is not None

    def counted(data: Data, include: Any, seed: int) -> Any:
        calls.append((data, include))
        return fit(data, include, seed)

    return replace(scene, fit=counted)


def test_on_digits_patched_records_are_dropped_first_and_bits_fall(digits: Scene) -> None:
    rules = {"rounds": 16, "poisons": 8}
    calls: list[Any] = []
    bare = measure(play(badnets, digits, seed=0, game_params=rules))
    shielded = spectral_signatures(_watched(digits, calls), np.random.default_rng(0), remove=0.3)
    calls.clear()
    held = measure(play(badnets, shielded, seed=0, game_params=rules))
    ((data, kept),) = calls
    assert digits.train is not None
    n = len(digits.train)
    owner = np.repeat(np.arange(16), 32)
    mine = owner == np.arange(16)[:, None]
    poison = 1 - kept[:16, n:][mine].mean()
    honest = 1 - kept[:16, :n].mean()
    assert len(data) == n + 16 * 32
    assert not kept[16:, n:].any() and not kept[:16, n:][~mine].any()
    assert poison > 1.7 * honest, (poison, honest)
    assert held.bits.value < 0.7 * bare.bits.value
    assert digits.utility is not None
    assert digits.utility(shielded)["accuracy"] > digits.utility(digits)["accuracy"] - 0.1


def test_the_deployed_model_is_trained_again_and_keeps_what_it_offers(digits: Scene) -> None:
    shielded = defended(digits, spectral_signatures)
    assert shielded.model is not None and digits.model is not None
    assert shielded.model.offers == digits.model.offers
    assert shielded.model.weights is None
    assert shielded.model.name == digits.model.name
    x = digits.extra["test"].x
    assert not np.allclose(shielded.model.query(x), digits.model.query(x))
    assert [d.name for d in shielded.defenses] == ["spectral_signatures"]
    assert shielded.digest != digits.digest
