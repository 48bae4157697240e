"""A parameter out of its range is one line for the user, never a search that finds a clean 0."""

from __future__ import annotations

from functools import cache
from math import inf, nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hartley import catalog
from hartley.core import Deal, Modality
from hartley.core.errors import UsageError
from hartley.defenses.noise.memguard import memguard
from hartley.engine.run.play import deal, play
from hartley.games.membership.membership import live
from hartley.testing.attacks import wire

if TYPE_CHECKING:
    from hartley.core import Scene

NAMES = [e.name for e in catalog.entries("attack") if e.axis == "model_to_data"]
PARAMETERS = [(name, p) for name in NAMES for p in catalog.load("attack", name).parameters]
COUNTS = [(name, p.name, -1) for name, p in PARAMETERS if p.kind is int]
NUMBERS = [(name, p.name, bad) for name, p in PARAMETERS if p.kind is float for bad in (nan, inf)]
"""Every count, and every number, of every attack: none is left out when one is added."""

EDGES = [
    ("analytic_gradient", "steps", 0),
    ("attribute_calibration", "references", 0),
    ("cosine_gradient", "restarts", 0),
    ("cosine_gradient", "steps", 0),
    ("cosine_gradient", "rate", 0.0),
    ("cosine_gradient", "enough", 2.0),
    ("dlg", "restarts", 0),
    ("dlg", "steps", 0),
    ("embedding_decoder", "epochs", 0),
    ("embedding_decoder", "beams", 0),
    ("embedding_words", "least", 0),
    ("embedding_words", "least", 10**6),
    ("exposure", "temperature", 0.0),
    ("class_gradient_descent", "steps", 0),
    ("class_gradient_descent", "rate", 0.0),
    ("generative_inversion", "restarts", 0),
    ("generative_inversion", "steps", 0),
    ("generative_inversion", "shakes", 0),
    ("generative_inversion", "rate", -0.1),
    ("graph_mi", "steps", 0),
    ("graph_mi", "lr", 0.0),
    ("weight_reconstruction", "steps", 0),
    ("weight_reconstruction", "rate", 0.0),
    ("label_only_inversion", "steps", 0),
    ("label_only_inversion", "start", 0),
    ("label_only_inversion", "points", 0),
    ("label_only_inversion", "radius", 0.0),
    ("label_only_inversion", "growth", 0.5),
    ("label_only_membership", "starts", 0),
    ("label_only_membership", "halvings", 0),
    ("label_only_membership", "queries", 0),
    ("label_only_membership", "sigma", 0.0),
    ("lira", "references", 1),
    ("loss_threshold", "floor", 1.0),
    ("min_k", "share", 0.0),
    ("min_k_plus_plus", "share", 1.5),
    ("pair_similarity", "copies", 0),
    ("pair_similarity", "blur", 0.0),
    ("contact_infill", "shortlist", 0),
    ("inverse_network", "records", 0),
    ("inverse_network", "hidden", 0),
    ("inverse_network", "ridge", 0.0),
    ("prefix_completion", "samples", 0),
    ("quantile_regression", "components", 0),
    ("rmia", "gamma", 0.0),
    ("rmia", "a", 2.0),
    ("sample_and_rank", "heat", 0.0),
    ("shadow_classifier", "ridge", 0.0),
]


@cache
def _dealt(name: str) -> tuple[Scene, Deal]:
    attack = catalog.load("attack", name)
    scene = wire(attack, "live")
    return scene, deal(attack, scene, seed=0)


@pytest.mark.parametrize(("name", "parameter", "bad"), COUNTS + NUMBERS + EDGES)
def test_a_number_out_of_its_range_is_the_users_mistake(
    name: str, parameter: str, bad: float
) -> None:
    scene, dealt = _dealt(name)
    params: dict[str, Any] = {parameter: bad}
    with pytest.raises(UsageError, match=parameter) as told:
        play(catalog.load("attack", name), scene, params=params, dealt=dealt)
    assert "\n" not in str(told.value) and len(str(told.value)) < 200


@pytest.mark.parametrize("wrong", [{"budget": nan}, {"budget": -1.0}, {"search": 0}])
def test_memguard_is_told_how_far_it_may_go(wrong: dict[str, float]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match=f"memguard: {next(iter(wrong))} = "):
        memguard(live(Modality.TABULAR, rng), rng, **wrong)


def test_too_few_references_name_the_records_and_do_not_print_them() -> None:
    scene, dealt = _dealt("lira")
    with pytest.raises(UsageError) as told:
        play(catalog.load("attack", "lira"), scene, params={"references": 1}, dealt=dealt)
    assert str(told.value) == "references = 1 models on 'pool'; two at least are due"
