"""What is handed to an attack cannot be written to: rounds and attacks of a deal share it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hartley.core import Access, Data, Modality, View
from hartley.engine.meter import Meter, seal


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
