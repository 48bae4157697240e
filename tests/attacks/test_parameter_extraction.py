"""Parameters of small models are computed from answers, as exactly as these are given."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hartley.attacks.model_to_model.extraction._shared import bends
from hartley.attacks.model_to_model.extraction.equation_solving import equation_solving
from hartley.attacks.model_to_model.extraction.relu_extraction import relu_extraction
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.extraction import parameter_fingerprint
from hartley.kit import dense_layers
from hartley.scenes.linear_tumours import linear_tumours
from hartley.scenes.relu_digits import relu_digits


def _layers(*sizes: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return tuple(
        (rng.standard_normal((b, a)) / np.sqrt(a), 0.5 * rng.standard_normal(b))
        for a, b in pairwise(sizes)
    )


@pytest.mark.parametrize(("kind", "inputs"), [("linear", 29), ("logistic", 30)])
def test_a_linear_model_is_exact_after_one_query_more_than_inputs(kind: str, inputs: int) -> None:
    trials = play(equation_solving, linear_tumours(kind=kind), seed=0, game_params={"rounds": 2})
    assert trials.metrics["queries"] == inputs + 1
    assert trials.metrics["worst_error"] < 1e-6 and trials.metrics["parameter_error"] < 1e-6
    assert np.array_equal(trials.truth, trials.guess) and trials.truth.size == 2 * (inputs + 1)


def test_fewer_queries_than_unknowns_do_not_settle_it() -> None:
    trials = play(
        equation_solving,
        linear_tumours(kind="linear"),
        seed=0,
        params={"queries": 20},
        game_params={"rounds": 2},
    )
    assert trials.metrics["parameter_error"] > 0.05 and (trials.truth == trials.guess).mean() < 0.9


def test_a_budget_of_nothing_gives_a_copy_without_parameters() -> None:
    scene = linear_tumours(kind="logistic")
    nothing = defended(scene, "query_budget", {"queries": 0}, seed=0)
    trials = play(equation_solving, nothing, seed=0, game_params={"rounds": 1})
    assert trials.metrics["queries"] == 0 and np.all(trials.guess == -1)


def test_an_attacker_who_knows_of_rounding_averages_it_out() -> None:
    scene = linear_tumours(kind="logistic", bits=2, step=0.1)
    hidden = defended(scene, "rounding", {"digits": 2}, seed=0)
    static, adaptive = (
        play(
            equation_solving,
            hidden,
            seed=0,
            game_params={"rounds": 2, "queries": 20_000},
            knowledge=knowledge,
            undefended=scene if knowledge == "static" else None,
        )
        for knowledge in ("static", "adaptive")
    )
    assert static.metrics["queries"] == 31 < adaptive.metrics["queries"] == 20_000
    assert adaptive.metrics["parameter_error"] < static.metrics["parameter_error"] / 5


def test_a_network_of_sixteen_units_is_computed_with_its_size() -> None:
    trials = play(relu_extraction, relu_digits(), seed=0, game_params={"rounds": 1})
    assert trials.metrics["worst_error"] < 1e-3  # on 100,000 inputs that nobody asked about
    assert np.array_equal(trials.truth, trials.guess)
    rounded = relu_digits(precision="float32")
    after = play(relu_extraction, rounded, seed=0, game_params={"rounds": 1, "queries": 6000})
    assert after.metrics["worst_error"] > 1e-3, "single precision hides the bends"


def test_two_hidden_layers_are_computed_with_units_that_hardly_any_record_turns_on() -> None:
    # Two of the second units are on in one of 20,000 records, and no line at random crosses them.
    scene = relu_digits(units=16, layers=2, seed=1)
    trials = play(relu_extraction, scene, seed=1, game_params={"rounds": 1})
    assert trials.metrics["worst_error"] < 1e-6 and np.array_equal(trials.truth, trials.guess)


def test_bends_of_a_line_are_where_the_units_go_on() -> None:
    layers = _layers(6, 5, 2)
    rng = np.random.default_rng(3)
    start, along = rng.standard_normal(6), rng.standard_normal(6)
    along /= np.linalg.norm(along)
    (weight, bias), _ = layers
    right = np.sort(-(weight @ start + bias) / (weight @ along))
    right = right[np.abs(right) < bends.REACH]
    line = bends.on_line(lambda x: dense_layers.forward(layers, x), start, along, rng)
    assert np.allclose([(b.at - start) @ along for b in line], right, atol=1e-8)


def test_symbols_survive_the_order_and_scale_of_units_and_a_stranger_has_none() -> None:
    base = _layers(12, 7, 3)
    rng = np.random.default_rng(1)
    where = parameter_fingerprint.places(base, rng, count=30, alphabet=8, step=0.05, softmax=False)
    symbols = rng.integers(0, 8, 30)
    (weight, bias), (last, constant) = parameter_fingerprint.plant(base, where, symbols)
    order, scale = rng.permutation(7), rng.uniform(0.2, 5, 7)
    copied = (
        ((weight * scale[:, None])[order], (bias * scale)[order]),
        ((last / scale)[:, order], constant),
    )
    x = rng.standard_normal((50, 12))
    same = dense_layers.forward(((weight, bias), (last, constant)), x)
    assert np.allclose(dense_layers.forward(copied, x), same)
    assert np.array_equal(parameter_fingerprint.read(copied, base, where), symbols)
    public = parameter_fingerprint.read(base, base, where)
    assert set(public.tolist()) <= {3, 4}, "the public network is in the middle of all symbols"
    assert np.all(parameter_fingerprint.read(base[:1], base, where) == -1)


def test_slopes_in_parameters_are_those_of_small_steps() -> None:
    layers = _layers(4, 5, 3, 2)
    x = np.random.default_rng(0).standard_normal((6, 4))
    slopes = dense_layers.jacobian(layers, x)
    before = dense_layers.forward(layers, x).reshape(-1)
    for column in range(0, slopes.shape[1], 7):
        step = np.zeros(slopes.shape[1])
        step[column] = 1e-6
        after = dense_layers.forward(dense_layers.moved(layers, step), x).reshape(-1)
        assert np.allclose((after - before) / 1e-6, slopes[:, column], atol=1e-5)
