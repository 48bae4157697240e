"""Defenses of scores against copies: what each may change, and what an attacker can take back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.model_to_model.extraction.data_free_extraction import data_free_extraction
from hartley.core import (
    Access,
    Data,
    Ensemble,
    Modality,
    Model,
    Outcome,
    Output,
    Scene,
    Term,
    attack,
)
from hartley.defenses._shared import wrap_answers
from hartley.defenses.bandwidth.modelguard import modelguard
from hartley.defenses.bandwidth.prada import STREAMS, _limit, prada
from hartley.defenses.noise.meco import _perturbed, meco
from hartley.defenses.noise.prediction_poisoning import prediction_poisoning
from hartley.defenses.noise.reverse_sigmoid import reverse_sigmoid
from hartley.engine.run.play import play
from hartley.games import nearest_learner
from hartley.games.extraction.extraction import extraction, live
from hartley.kit import accounts, changed_scores
from hartley.kit.query_distances import QueryDistances

CLASSES = 6


def _rows(n: int, spread: float = 3.0, seed: int = 0) -> Any:
    logits = spread * np.random.default_rng(seed).standard_normal((n, CLASSES))
    rows = np.exp(logits)
    return rows / rows.sum(1, keepdims=True)


def _linear(output: Output = Output.PROBABILITIES) -> Scene:
    """A scene of 400 records whose model is a fixed softmax of them."""
    rng = np.random.default_rng(1)
    weights = 2 * rng.standard_normal((4, CLASSES))

    def query(x: Any) -> Any:
        logits = np.asarray(x, dtype=np.float64) @ weights
        if output is Output.LOGITS:
            return logits
        rows = np.exp(logits - logits.max(1, keepdims=True))
        rows /= rows.sum(1, keepdims=True)
        return rows.argmax(1) if output is Output.LABELS else rows

    data = Data("users", Modality.TABULAR, rng.standard_normal((400, 4)), np.zeros(400, int))
    model = Model("softmax", Modality.TABULAR, query, output, CLASSES)
    return Scene("softmax", Modality.TABULAR, model=model, train=data, extra={"test": data})


def test_products_of_gradients_are_those_of_automatic_differentiation() -> None:
    import torch

    rng = np.random.default_rng(0)
    x, first = rng.standard_normal((3, 5)), rng.standard_normal((5, 7))
    last = rng.standard_normal((7, CLASSES))
    products = changed_scores.gradient_products(x, first, last)
    leaves = [torch.tensor(w, requires_grad=True) for w in (first, last)]
    leaves += [torch.zeros(7, dtype=torch.double, requires_grad=True)]
    leaves += [torch.zeros(CLASSES, dtype=torch.double, requires_grad=True)]
    for row, found in zip(torch.tensor(x), products, strict=True):
        hidden = torch.relu(row @ leaves[0] + leaves[2])
        logs = torch.log_softmax(hidden @ leaves[1] + leaves[3], 0)
        slopes = torch.stack(
            [
                torch.cat(
                    [g.flatten() for g in torch.autograd.grad(one, leaves, retain_graph=True)]
                )
                for one in logs
            ]
        )
        assert np.allclose((slopes @ slopes.T).numpy(), found, atol=1e-10)


def test_a_misdirected_row_stays_near_keeps_its_label_and_turns_the_step_further_the_farther() -> (
    None
):
    rows = _rows(200)
    rng = np.random.default_rng(2)
    weights = rng.standard_normal((5, 16)), rng.standard_normal((16, CLASSES))
    products = changed_scores.gradient_products(rng.standard_normal((200, 5)), *weights)

    def cosine(changed: Any) -> float:
        a, b = (np.einsum("njk,nk->nj", products, v) for v in (rows, changed))
        lengths = np.sqrt((rows * a).sum(1) * (changed * b).sum(1))
        return float(((changed * a).sum(1) / lengths).mean())

    turned = []
    for distance in (0.1, 0.5, 1.0, 2.0):
        changed = changed_scores.misdirected(rows, products, distance)
        assert np.abs(changed - rows).sum(1).max() <= distance + 1e-9
        assert np.allclose(changed.sum(1), 1) and changed.min() >= 0
        assert np.array_equal(changed.argmax(1), rows.argmax(1))
        turned.append(cosine(changed))
    assert turned == sorted(turned, reverse=True) and turned[-1] < 0.8
    # Rows of the same labels that nobody chose turn it less.
    for seed in range(5):
        others = changed_scores.with_label(_rows(200, 2.0, 10 + seed), rows.argmax(1))
        assert turned[-1] < cosine(others)


def test_a_reverse_sigmoid_folds_scores_and_simulating_it_recovers_more_than_labels_say() -> None:
    rows = _rows(300)
    changed = changed_scores.reverse_sigmoid(rows, 1.0)
    assert np.array_equal(changed.argmax(1), rows.argmax(1))
    # With two classes the formula is y − β(σ(γ·logit y) − ½) before and after scaling.
    pair = np.array([[0.9, 0.1]])
    lowered = 0.9 - 0.7 * (1 / (1 + (1 / 9) ** 0.2) - 0.5)
    assert changed_scores.reverse_sigmoid(pair, 0.7)[0, 0] == pytest.approx(lowered)
    back = changed_scores.recovered(
        changed, lambda y: changed_scores.reverse_sigmoid(y, 1.0), np.random.default_rng(0)
    )
    errors = [np.abs(v - rows).sum(1).mean() for v in (back, np.eye(CLASSES)[rows.argmax(1)])]
    assert errors[0] < 0.75 * errors[1] < np.abs(changed - rows).sum(1).mean()


@pytest.mark.parametrize("output", [Output.PROBABILITIES, Output.LOGITS, Output.LABELS])
@pytest.mark.parametrize("defense", [reverse_sigmoid, prediction_poisoning, modelguard])
def test_answers_keep_their_units_and_their_label(defense: Any, output: Output) -> None:
    bare = _linear(output)
    x = np.random.default_rng(5).standard_normal((50, 4))
    before = bare.model.query(x)
    model = defense(bare, np.random.default_rng(0)).model
    after = model.query(x)
    assert model.output is output and after.shape == before.shape
    if output is Output.LABELS:
        assert np.array_equal(before, after)
        return
    assert np.array_equal(before.argmax(1), after.argmax(1))
    assert not np.allclose(before, after) and np.array_equal(after, model.query(x))
    if output is Output.PROBABILITIES:
        assert np.allclose(after.sum(1), 1)


def test_modelguard_gives_as_many_answers_as_its_bound_says_and_more_words_lie_nearer() -> None:
    x = np.random.default_rng(6).standard_normal((3000, 4))
    bare = _linear()
    true, far = bare.model.query(x), []
    for words in (1, 4, 16):
        guarded = modelguard(bare, np.random.default_rng(0), words=words, rate=0.0)
        answers = guarded.model.query(x)
        (bound,) = guarded.bounds
        assert np.log2(len(np.unique(answers, axis=0))) <= bound.params["bits"]
        far.append(float(((answers - true) ** 2).sum(1).mean()))
    assert far == sorted(far, reverse=True) and far[2] < far[0] / 3
    # A dearer bit buys fewer words.
    counts = [
        sum(map(len, changed_scores.codebooks(true, 16, rate, np.random.default_rng(0)).values()))
        for rate in (0.0, 0.05)
    ]
    assert counts[1] < counts[0]


def _asked(model: Model, x: Any) -> Any:
    """What one account is answered, ten records at a time."""
    assert model.session is not None
    query = model.session()("query", model.query)
    return np.concatenate([query(x[at : at + 10]) for at in range(0, len(x), 10)])


def test_prada_lets_users_pass_and_refuses_who_moves_records_by_fixed_steps() -> None:
    scene = _linear()
    model = prada(scene, np.random.default_rng(0), false_alarms=0.05).model
    uniform = np.full(CLASSES, 1 / CLASSES)
    refused = 0
    for seed in range(20):
        users = np.random.default_rng(100 + seed).standard_normal((400, 4))
        refused += bool((_asked(model, users) == uniform).all(1).any())
    assert refused <= 4  # 1 in 20 is declared; 5 or more of 20 happen once in 400
    start = np.random.default_rng(7).standard_normal((20, 4))
    moved = [start + 0.05 * k for k in range(20)]
    answers = _asked(model, np.concatenate(moved))
    assert (answers[-1] == uniform).all() and (answers[:100] != uniform).any(1).all()
    # The owner asks without an account.
    assert np.allclose(model.query(start), scene.model.query(start))


def test_the_share_of_false_alarms_is_that_of_a_further_stream_below_the_limit() -> None:
    rng = np.random.default_rng(0)
    for share in (1 / (STREAMS + 1), 0.05, 0.1, 0.5):
        below = [rng.random() < _limit(list(rng.random(STREAMS)), share) for _ in range(20_000)]
        # An index that is one too high adds .017, about ten deviations of the mean.
        assert abs(np.mean(below) - share) < 4 * np.sqrt(share * (1 - share) / 20_000)
    # Fewer alarms than one stream in 60 are refused before anything is played.
    assert not prada.parameters[1].mistake(1 / 60)
    assert prada.parameters[1].mistake(0.0166)


def test_each_victim_has_a_threshold_of_its_own_labels() -> None:
    rng = np.random.default_rng(3)
    x = 0.02 * rng.standard_normal((160, 4))
    x[:, 0] = rng.integers(0, 40, 160)
    data = Data("lines", Modality.TABULAR, x, np.zeros(160, int))

    def named(classes: int) -> Model:
        """A model whose class is a record's line; with two classes all are the first one's."""
        return Model(
            f"{classes} classes",
            Modality.TABULAR,
            lambda x: np.eye(classes)[(x[:, 0] * (classes > 2)).astype(int)],
            classes=classes,
        )

    def fit(*_: Any) -> Ensemble:
        return Ensemble(1, lambda x: named(2).query(x)[None], lambda _: named(2))

    # Within lines distances are normal; across lines they are not, and no user could ask.
    scene = Scene(
        "lines", Modality.TABULAR, model=named(40), train=data, fit=fit, extra={"test": data}
    )
    behind = prada(scene, np.random.default_rng(0))
    assert behind.fit is not None
    victim = behind.fit(data, np.ones((1, 160), dtype=bool), 0).member(0)
    streams = [_asked(victim, rng.permutation(x)) for _ in range(20)]
    assert sum((answers == 0.5).all(1).any() for answers in streams) <= 4


def test_distances_are_to_the_nearest_earlier_query_of_the_class() -> None:
    watch = QueryDistances(3)
    for place, label in ((0.0, 0), (3.0, 0), (10.0, 1), (4.0, 0), (12.5, 1), (4.5, 0)):
        watch.add(np.array([place]), label)
    # 4 and 4.5 are near 3, which joined the set; 12.5 is compared with 10, of its own class.
    assert watch._distances == [3.0, 1.0, 2.5, 1.5]


def test_meco_answers_anew_at_each_call_of_an_account_and_the_owner_always_alike() -> None:
    scene = live(Modality.VISION, np.random.default_rng(0))
    model = meco(scene, np.random.default_rng(0), noise=1.0, draws=2).model
    x = scene.extra["test"].x[:40]
    assert not model.deterministic and np.array_equal(model.query(x), model.query(x))
    assert model.session is not None
    query = model.session()("query", model.query)
    first, second = query(x), query(x)
    assert not np.array_equal(first, second)
    again = model.session()("query", model.query)
    assert np.array_equal(first, again(x)), "a repeated run gets the same noise"
    # The same record twice in one call is asked twice; another account has noise of its own.
    paired = model.session()("query", model.query)(np.concatenate([x, x]))
    assert np.array_equal(paired[:40], first) and np.array_equal(paired[40:], second)
    both = accounts.spread(model.session, 2)
    assert both is not None
    ask = both("query", model.query)
    turns = ask(np.repeat(x, 2, axis=0))
    assert np.array_equal(turns[::2], first) and not np.array_equal(turns[1::2], first)


def _itself(view: Any) -> Any:
    """A copy that answers by the nearest record that was asked."""
    answers = view.model.query(view.brief.public.x)
    lesson = replace(view.brief.public, y=answers.argmax(1))
    fit = nearest_learner.trainer(lesson.modality, 4)
    return fit(lesson, np.ones((1, len(lesson)), dtype=bool), 0).member(0)


@attack(
    game=extraction,
    access=Access.SCORES,
    term=Term.BANDWIDTH,
    modalities=(Modality.VISION,),
    paper="hartley",
)
def nearest_copy(view: Any, rng: Any) -> Outcome:
    """Return a copy that answers by the nearest record that was asked."""
    return Outcome(asset=_itself(view))


def _played(defense: Any, **params: Any) -> Any:
    scene = live(Modality.VISION, np.random.default_rng(0))
    behind = scene if defense is None else defense(scene, np.random.default_rng(0), **params)
    return play(nearest_copy, behind, seed=0, game_params={"rounds": 3})


def test_the_game_behind_noise_on_queries_and_behind_code_words() -> None:
    bare, noisy, coded = _played(None), _played(meco, noise=3.0), _played(modelguard)
    assert bare.metrics["victim_repeats"] == coded.metrics["victim_repeats"] == 1.0
    assert noisy.metrics["victim_repeats"] < 0.9, "the judge asks one account again"
    assert (noisy.guess == noisy.truth).mean() < 0.7 < (bare.guess == bare.truth).mean()
    assert np.array_equal(coded.guess, bare.guess), "labels are the same"


def test_fidelity_is_agreement_with_the_victim_and_not_with_the_noise_around_it() -> None:
    scene = live(Modality.VISION, np.random.default_rng(0))

    def other(model: Model, who: str) -> Model:
        del who
        return model.with_(query=lambda x: np.roll(model.query(x), 1, axis=1))

    behind = wrap_answers.models(scene, other)
    trials = play(nearest_copy, behind, seed=0, game_params={"rounds": 2})
    assert trials.metrics["fidelity"] < 0.1 and trials.metrics["fidelity_at_boundary"] < 0.5


def test_the_game_behind_prada_refuses_an_account_that_asks_on() -> None:
    bare, behind = _played(None), _played(prada, threshold=1.0, warm=3)
    assert (behind.guess == behind.truth).mean() < 0.6 < (bare.guess == bare.truth).mean()


def test_who_reads_labels_alone_learns_nothing_of_changed_scores(digits: Any) -> None:
    rules: Any = {"seed": 0, "game_params": {"rounds": 2, "queries": 200}}
    params: Any = {**data_free_extraction.light, "reading": "labels"}
    behind = reverse_sigmoid(digits, np.random.default_rng(0))
    bare, changed = (
        play(data_free_extraction, s, params=params, **rules) for s in (digits, behind)
    )
    assert np.array_equal(bare.guess, changed.guess)
    assert data_free_extraction.sweep["reading"] == ("answers", "labels", "recovered")


def test_meco_counts_the_records_that_reach_it_where_a_stream_below_cuts_the_batch() -> None:
    model = _linear().model
    assert model is not None

    def opened() -> Any:
        def stream(name: str, answer: Any, x: Any, arguments: Any) -> Any:
            del name, arguments
            return np.concatenate([answer(x[:5]), np.zeros((len(x) - 5, CLASSES))])

        return stream

    noisy = _perturbed(accounts.watched(model, opened), 1.0, 0)
    x = np.random.default_rng(1).standard_normal((8, 4))
    assert noisy.session is not None
    query = noisy.session()("query", noisy.query)
    first, second = query(x), query(x)
    assert (first[5:] == 0).all() and not np.allclose(first[:5], second[:5])
