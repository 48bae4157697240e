"""One broken check hides no other, and a model is blamed for what it does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.core import Modality, Model, Output
from hartley.testing import Check, CheckFailed, check_model, run_all

RECORDS = np.random.default_rng(0).random((6, 3))


def test_checks_go_on_after_one_that_raised() -> None:
    def divides(part: Any) -> None:
        del part
        raise ZeroDivisionError("by zero")

    def refuses(part: Any) -> None:
        del part
        raise CheckFailed("never right")

    checks = (Check("first", divides), Check("second", refuses), Check("third", divides))
    with pytest.raises(CheckFailed) as failure:
        run_all(checks, replace(loss_threshold, expected_failures={}))
    lines = str(failure.value).splitlines()
    assert len(lines) == 3
    assert lines[1].strip().startswith("first, third: ZeroDivisionError: by zero (test_all_")
    assert lines[2].strip() == "second: never right"
    assert isinstance(failure.value.__cause__, ZeroDivisionError)


def _moody(**declared: Any) -> Model:
    rng = np.random.default_rng(0)

    def query(x: np.ndarray) -> np.ndarray:
        return rng.dirichlet(np.ones(3), len(x))

    return Model("moody", Modality.TABULAR, query, classes=3, **declared)


def test_a_model_whose_answers_change_must_declare_it() -> None:
    with pytest.raises(CheckFailed, match="change from call to call; declare deterministic=False"):
        check_model(_moody(), RECORDS)
    check_model(_moody(deterministic=False), RECORDS)


def test_batching_that_changes_answers_is_still_found() -> None:
    def centred(x: np.ndarray) -> np.ndarray:
        return x - x.mean(0)

    model = Model("centred", Modality.TABULAR, centred, Output.LOGITS, 3)
    with pytest.raises(CheckFailed, match="batching changes answers"):
        check_model(model, RECORDS)


@pytest.mark.parametrize("classes", [0, -1])
def test_a_model_of_no_classes_is_refused(classes: int) -> None:
    model = Model("m", Modality.TABULAR, lambda x: x, Output.LOGITS, classes)
    with pytest.raises(CheckFailed, match=f"classes must be at least 1 .* got {classes}"):
        check_model(model, RECORDS)
