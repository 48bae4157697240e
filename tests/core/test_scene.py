"""A scene hands out victims as an attacker may see them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.core import Access, Data, Ensemble, Modality, Model, Output, Scene
from hartley.core.errors import UsageError

RECORDS = Data("records", Modality.TABULAR, np.arange(6.0).reshape(3, 2), np.array([0, 1, 0]))
HALVES = np.array([[True, False, True], [False, True, False]])


def _fit(output: Output, offers: Access) -> Any:
    """A pipeline whose models answer with how many records they were trained on."""

    def fit(data: Data, include: Any, seed: int) -> Ensemble:
        def member(k: int) -> Model:
            size = float(include[k].sum())
            query = lambda x: np.full((len(x), 2), size)  # noqa: E731
            return Model("trained", data.modality, query, output, 2, offers=offers, fit=fit)

        return Ensemble(len(include), lambda x: np.zeros((len(include), len(x), 2)), member)

    return fit


def _scene(known: Any, output: Output = Output.LOGITS) -> Scene:
    model = Model(
        "deployed",
        Modality.TABULAR,
        lambda x: np.zeros((len(x), 2)),
        Output.PROBABILITIES,
        2,
        fit=known,
        offers=Access.LABELS | Access.TRAIN,
    )
    owner = _fit(output, Access.SCORES | Access.WEIGHTS)
    return Scene("scene", Modality.TABULAR, model=model, fit=owner)


def test_a_victim_offers_what_the_deployed_model_offers_and_the_training_that_is_known() -> None:
    known = _fit(Output.LOGITS, Access.LABELS)
    scene = _scene(known)
    victims = scene.victims(RECORDS, HALVES, 0)
    assert victims.size == 2
    for k, size in enumerate((2, 1)):
        victim = victims.member(k)
        assert victim.fit is known is not scene.fit
        assert victim.offers == Access.LABELS | Access.TRAIN
        assert (victim.query(RECORDS.x) == size).all()
        assert victim.output is Output.LOGITS, "its answers keep their units"
    assert _scene(None).victims(RECORDS, HALVES, 0).member(0).fit is None


def test_a_victim_with_answers_of_another_kind_keeps_its_own_access() -> None:
    victim = _scene(None, Output.EMBEDDINGS).victims(RECORDS, HALVES, 0).member(0)
    assert victim.offers == Access.SCORES | Access.WEIGHTS and victim.fit is None


def test_without_a_deployed_model_a_victim_is_as_it_was_trained() -> None:
    scene = replace(_scene(None), model=None)
    assert scene.victims(RECORDS, HALVES, 0).member(1).fit is scene.fit


def test_without_a_pipeline_there_are_no_victims() -> None:
    with pytest.raises(UsageError, match="fit must be a training pipeline, got None"):
        replace(_scene(None), fit=None).victims(RECORDS, HALVES, 0)
