"""What is handed to an attack cannot be written to: rounds and attacks of a deal share it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.core import Access, Data, Modality, View
from hartley.defenses.bandwidth.label_only import label_only
from hartley.defenses.bandwidth.query_budget import query_budget
from hartley.defenses.bandwidth.rounding import rounding
from hartley.defenses.noise.memguard import memguard
from hartley.engine.run.meter import Meter, seal
from hartley.games.inversion.gradient_inversion import gradient_inversion


def _view() -> tuple[View, dict[str, Any]]:
    own = {"codes": np.zeros((4, 2)), "strangers": Data("s", Modality.TABULAR, np.zeros((3, 2)))}
    asked = Data("q", Modality.TABULAR, np.zeros((5, 2)), facts={"cells": np.arange(2)})
    source = Data("held", Modality.TABULAR, np.zeros((6, 2)))
    return View(source, question=asked, facts={**own, "number": 3}), own


def test_facts_are_sealed_as_the_records_are() -> None:
    view, own = _view()
    sealed = seal(view, Access.NOTHING, Meter())
    assert sealed.question is not None
    for array in (
        sealed.data.x,
        sealed.question.x,
        sealed.question.facts["cells"],
        sealed.facts["codes"],
        sealed.facts["strangers"].x,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert sealed.facts["number"] == 3
    own["codes"][0] = 1
    assert view.facts["codes"].flags.writeable, "the owner's own arrays stay his"


def test_who_holds_the_weights_works_answers_out_for_himself() -> None:
    """A shield of the answers is nothing to him, and nobody else sees behind it."""
    scene = gradient_inversion.live(Modality.VISION, np.random.default_rng(0))
    assert scene.model is not None and scene.train is not None
    x = scene.train.x[:5]
    plain = scene.model.query(x)
    for shield in (label_only, memguard):
        twice = rounding(shield(scene, np.random.default_rng(0)), None, digits=0)
        assert twice.model is not None
        view = View(twice.model)
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
    shown = seal(View(bounded), Access.SCORES | Access.GRADIENTS, Meter()).model
    slopes = np.asarray(shown.grad(x, y))
    assert np.abs(slopes[:3]).sum(axis=(1, 2, 3)).all() and not slopes[3:].any()
    opened = replace(bounded, weights=dict, offers=bounded.offers | Access.WEIGHTS)
    held = seal(View(opened), Access.SCORES | Access.WEIGHTS, Meter()).model
    np.testing.assert_array_equal(held.query(x), scene.model.query(x))
