"""What is handed to an attack cannot be written to: rounds and attacks of a deal share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest

from hartley.core import Access, Data, Modality, View
from hartley.defenses.bandwidth.label_only import label_only
from hartley.defenses.bandwidth.query_budget import query_budget
from hartley.defenses.bandwidth.rounding import rounding
from hartley.defenses.noise.memguard import memguard
from hartley.engine.run.meter import Meter, seal
from hartley.games.inversion.gradient_inversion import gradient_inversion


@dataclass(frozen=True, slots=True)
class Brief:
    """What an attacker knows.

    Attributes:
        question: records.
        codes: an array.
        strangers: records.
        update: arrays by name.
        both: arrays.
        number: a number.
    """

    question: Data
    codes: np.ndarray
    strangers: Data
    update: Mapping[str, np.ndarray]
    both: tuple[np.ndarray, ...]
    number: int = 3


def _view() -> tuple[View[Brief], np.ndarray]:
    codes = np.zeros((4, 2))
    strangers = Data("s", Modality.TABULAR, np.zeros((3, 2)))
    asked = Data("q", Modality.TABULAR, np.zeros((5, 2)), facts={"cells": np.arange(2)})
    source = Data("held", Modality.TABULAR, np.zeros((6, 2)))
    brief = Brief(asked, codes, strangers, {"w": np.zeros(3)}, (np.zeros(2),))
    return View(source, brief), codes


def test_briefs_are_sealed_as_the_records_are() -> None:
    view, codes = _view()
    sealed = seal(view, Access.NOTHING, Meter())
    for array in (
        sealed.data.x,
        sealed.brief.question.x,
        sealed.brief.question.facts["cells"],
        sealed.brief.codes,
        sealed.brief.strangers.x,
        sealed.brief.update["w"],
        sealed.brief.both[0],
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(TypeError, match="item assignment"):
        sealed.brief.update["w"] = np.ones(3)  # type: ignore[index]
    assert sealed.brief.number == 3
    codes[0] = 1
    assert view.brief.codes.flags.writeable, "the owner's own arrays stay writable"


def test_who_holds_the_weights_works_answers_out_for_himself() -> None:
    """A shield of the answers is nothing to him, and nobody else sees behind it."""
    scene = gradient_inversion.live(Modality.VISION, np.random.default_rng(0))
    assert scene.model is not None and scene.train is not None
    x = scene.train.x[:5]
    plain = scene.model.query(x)
    for shield in (label_only, memguard):
        twice = rounding(shield(scene, np.random.default_rng(0)), None, digits=0)
        assert twice.model is not None
        view = View(twice.model, None)
        black = seal(view, Access.SCORES, Meter()).model
        white = seal(view, Access.SCORES | Access.GRADIENTS, Meter()).model
        assert black.clear is None and white.clear is None
        assert not np.allclose(black.query(x), plain)
        np.testing.assert_array_equal(white.query(x), plain)


def test_a_budget_counts_gradients_that_have_to_be_asked_for() -> None:
    """Who holds the weights asks nobody; who is shown gradients asks for each."""
    scene = gradient_inversion.live(Modality.VISION, np.random.default_rng(0))
    assert scene.model is not None and scene.train is not None
    x, y = scene.train.x[:5], np.arange(5)
    bounded = query_budget(scene, np.random.default_rng(0), queries=3).model
    assert bounded is not None
    shown = seal(View(bounded, None), Access.SCORES | Access.GRADIENTS, Meter()).model
    slopes = np.asarray(shown.grad(x, y))
    assert np.abs(slopes[:3]).sum(axis=(1, 2, 3)).all() and not slopes[3:].any()
    opened = replace(bounded, weights=dict, offers=bounded.offers | Access.WEIGHTS)
    held = seal(View(opened, None), Access.SCORES | Access.WEIGHTS, Meter()).model
    np.testing.assert_array_equal(held.query(x), scene.model.query(x))
