"""Goldfish and MemFree: what is left out is the same in every copy, what is refused never comes."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.attacks.model_to_data.memorization.exposure import exposure
from hartley.attacks.model_to_data.memorization.prefix_completion import prefix_completion
from hartley.channel.measure import measure
from hartley.core import Modality
from hartley.defenses.bandwidth.memfree import memfree, silenced
from hartley.defenses.signal.goldfish import dropped
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.memorization.memorization import live
from hartley.kit.language import gpt


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_goldfish_drops_one_in_k_by_what_came_before_and_in_every_copy_alike() -> None:
    rows = _rng().integers(0, 500, (400, 24))
    lost = dropped(rows, k=4, context=3)
    assert not lost[:, :3].any() and lost[:, 3:].mean() == pytest.approx(0.25, abs=0.02)
    moved = np.concatenate([rows[:, :0], np.full((400, 2), 7), rows], 1)
    assert (dropped(moved, k=4, context=3)[:, 5:] == lost[:, 3:]).all()
    other = rows.copy()
    other[:, -1] += 1  # a token's own identity does not matter, nor what comes after it
    assert (dropped(other, k=4, context=3) == lost).all()
    padded = np.where(np.arange(24) < 20, rows, -1)
    assert not dropped(padded, k=2, context=1)[:, 20:].any()


def test_a_dropped_token_has_no_gradient_of_its_own() -> None:
    rows = _rng().integers(0, 16, (8, 6))
    shape = gpt.Shape(vocabulary=16, width=16, layers=1, heads=2, context=8)
    lesson = gpt.Lesson(epochs=40, batch=8)
    last = np.zeros(rows.shape, dtype=bool)
    last[:, -1] = True
    changed = rows.copy()
    changed[:, -1] = (rows[:, -1] + 1) % 16
    free = gpt.train(rows, shape, lesson, 0, last), gpt.train(changed, shape, lesson, 0, last)
    assert all(np.array_equal(free[0][name], free[1][name]) for name in free[0])
    bound = gpt.train(rows, shape, lesson, 0), gpt.train(changed, shape, lesson, 0)
    assert not np.array_equal(bound[0]["tokens"], bound[1]["tokens"])


def test_memfree_refuses_what_was_read_and_nothing_else() -> None:
    scene = live(Modality.LANGUAGE, _rng())
    assert scene.model is not None and scene.train is not None
    rows = np.repeat(scene.train.x[:3], 2, axis=0)
    assert scene.fit is not None
    from dataclasses import replace

    bare = scene.fit(replace(scene.train, x=rows), np.ones((1, 6), dtype=bool), 0).member(0)
    assert bare.generate is not None
    assert (bare.generate(rows[::2, :4], 4, -1) == rows[::2, 4:]).all()
    shut = silenced(bare, rows, 3)
    assert shut.generate is not None and shut.facts["decoder"] == "memfree"
    known = {tuple(row[i : i + 3]) for row in rows.tolist() for i in range(6)}
    said = np.concatenate([rows[::2, :4], shut.generate(rows[::2, :4], 12, 3)], 1).tolist()
    for row in said:
        assert not known & {tuple(row[i : i + 3]) for i in range(2, 14)}
    assert (shut.query(rows) == bare.query(rows)).all()


def test_memfree_guards_text_and_not_scores() -> None:
    scene = live(Modality.LANGUAGE, _rng())
    shut = defended(scene, memfree, {"ngram": 4})
    text, likely = (
        measure(play(a, shut, seed=0, undefended=scene)) for a in (prefix_completion, exposure)
    )
    assert text.bits.value < 1 and likely.bits.value > 6
    assert "discoverable_n1" not in text.metrics
    informed = measure(play(prefix_completion, shut, seed=0))
    assert np.isfinite(informed.bits.value)
    plain = measure(play(prefix_completion, scene, seed=0)).metrics
    assert plain["discoverable_n10"]["value"] > 0.9 and plain["inextractable_bits"]["value"] < 1
