"""Output defences: what each does to an answer, everywhere that answers, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.model_to_data.inversion.analytic_gradient import analytic_gradient
from hartley.attacks.model_to_data.membership.lira import lira
from hartley.attacks.model_to_model.extraction.knockoff import knockoff
from hartley.channel.measure import measure
from hartley.core import Access, Applied, Modality, Model, Output, Scene
from hartley.core.capabilities import check_answers as check
from hartley.core.errors import RunError
from hartley.defenses._shared.keyed_noise import uniform
from hartley.defenses.bandwidth.label_only import label_only
from hartley.defenses.bandwidth.query_budget import query_budget
from hartley.defenses.bandwidth.rounding import rounded, rounding
from hartley.defenses.noise.score_noise import score_noise
from hartley.engine.defend import defended
from hartley.engine.run.meter import Meter, seal_model
from hartley.engine.run.play import play
from hartley.games.inversion.gradient_inversion import gradient_inversion
from hartley.games.membership.membership import live

OUTPUTS = (rounding, label_only, score_noise)
UNITS = (Output.PROBABILITIES, Output.LOGITS, Output.LABELS)


def _rng(seed: int = 0) -> Any:
    return np.random.default_rng(seed)


def _table(output: Output = Output.PROBABILITIES, n: int = 50, classes: int = 5) -> Scene:
    """A scene whose model answers record i (its first number) from a fixed table."""
    logits = _rng().standard_normal((n, classes)) * 2
    rows = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    answers = {Output.PROBABILITIES: rows, Output.LOGITS: logits, Output.LABELS: logits.argmax(1)}
    told = answers.get(output, logits)
    model = Model(
        "table",
        Modality.TABULAR,
        lambda x: told[np.asarray(x)[:, 0].astype(int)],
        output,
        classes,
        score=lambda t: np.where(t[:, 1:] < 0, 0.0, -0.1 * (1 + np.asarray(t)[:, 1:])),
    )
    return Scene("table", Modality.TABULAR, model=model)


X = np.stack([np.arange(50), np.arange(50) / 7], 1)


def _ask(scene: Scene, x: Any = X) -> Any:
    assert scene.model is not None
    return check(scene.model, scene.model.query(x), len(x))


@pytest.mark.parametrize("defense", OUTPUTS, ids=lambda d: d.name)
@pytest.mark.parametrize("output", UNITS)
def test_answers_keep_their_units_and_their_label(defense: Any, output: Output) -> None:
    bare = _table(output)
    shielded = defense(bare, _rng())
    before, after = _ask(bare), _ask(shielded)
    if output is Output.LABELS:
        assert np.array_equal(before, after)
        return
    assert not np.allclose(before, after)
    coarse = 0.05 if defense is rounding else 0
    top = np.take_along_axis(after, before.argmax(1)[:, None], 1)[:, 0]
    assert np.all(top >= after.max(1) - coarse)


def test_rounding_leaves_few_values_and_never_an_empty_row() -> None:
    rows = _ask(_table())
    step = rounded(rows, 1, Output.PROBABILITIES)
    raw = np.round(rows, 1)
    assert np.allclose(step * raw.sum(1, keepdims=True), raw)
    flat = rounded(np.full((1, 5), 0.2), 0, Output.PROBABILITIES)
    assert np.allclose(flat, 0.2)
    logits = _ask(_table(Output.LOGITS))
    assert np.array_equal(rounded(logits, 1, Output.LOGITS), np.round(logits, 1))


def test_rounded_scores_of_a_language_model_tell_no_more_than_their_digits() -> None:
    model = rounding(_table(), _rng(), digits=1).model
    assert model is not None and model.score is not None
    scores = model.score(np.array([[0, 0, 9, 60, -1]]))
    # e^−0.1 = 0.905 → 0.9, e^−1 = 0.37 → 0.4, e^−6.1 → below half a step, padding stays 0
    assert np.allclose(np.exp(scores), [[0.9, 0.4, 0.05, 1.0]])


def test_labels_only_are_one_hot_and_their_alphabet_is_known() -> None:
    shielded = label_only(_table(), _rng())
    answers = _ask(shielded)
    assert set(np.unique(answers)) == {0.0, 1.0}
    (bound,) = shielded.bounds
    assert bound.kind == "alphabet" and bound.params["bits"] == pytest.approx(np.log2(5))
    vectors = _table(Output.EMBEDDINGS)
    with pytest.raises(RunError, match="must answer with scores or labels"):
        label_only(vectors, _rng())


def test_no_alphabet_is_claimed_where_weights_can_be_read() -> None:
    bare = _table()
    assert bare.model is not None
    opened = replace(bare, model=replace(bare.model, offers=Access.SCORES | Access.WEIGHTS))
    assert not label_only(opened, _rng()).bounds
    assert not rounding(opened, _rng()).bounds
    assert rounding(bare, _rng(), digits=0).bounds[0].params["bits"] < 5 + 1


@pytest.mark.parametrize("defense", [label_only, rounding], ids=lambda d: d.name)
def test_an_alphabet_of_answers_says_nothing_of_gradients(defense: Any) -> None:
    scene = gradient_inversion.live(Modality.VISION, _rng())
    assert scene.model is not None
    closed = replace(scene, model=replace(scene.model, offers=Access.LABELS | Access.SCORES))
    guarded = defense(closed, _rng())
    assert guarded.bounds, "it bounds what answers tell"
    trials = play(analytic_gradient, guarded, seed=0)
    assert not trials.spec.bounds and (trials.guess == trials.truth).all()


@pytest.mark.parametrize("law", ["laplace", "gaussian"])
def test_noise_is_drawn_by_its_law_and_repeats_for_a_record(law: str) -> None:
    bare = _table(Output.LOGITS)
    assert bare.model is not None
    flat = replace(bare, model=replace(bare.model, query=lambda x: np.zeros((len(x), 5))))
    shielded = score_noise(flat, _rng(), scale=0.5, law=law, keep_label=False)
    x = _rng(1).random((4000, 3))
    noise = _ask(shielded, x)
    assert np.array_equal(noise, _ask(shielded, x)), "repetition would average it away"
    assert np.array_equal(noise[7:9], _ask(shielded, x[7:9])), "a record's noise is its own"
    assert noise.std() == pytest.approx(0.5, rel=0.03)
    assert abs(noise.mean()) < 0.02
    kurtosis = float((noise**4).mean() / noise.var() ** 2)
    assert kurtosis == pytest.approx(6.0 if law == "laplace" else 3.0, rel=0.2)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.06
    other = score_noise(flat, _rng(5), scale=0.5, law=law, keep_label=False)
    assert not np.allclose(noise, _ask(other, x)), "another key, another noise"


def test_noise_cannot_be_averaged_away_by_tiny_changes_of_a_record() -> None:
    x = _rng().integers(0, 100, (20, 3)) / 100
    assert np.array_equal(uniform(x, (20, 4), 3), uniform(x + 0.002, (20, 4), 3))
    assert not np.array_equal(uniform(x, (20, 4), 3), uniform(x + 0.02, (20, 4), 3))


def test_noise_of_texts_and_of_items_of_several_sizes_is_fixed_by_each_of_them() -> None:
    texts = np.array(["one text", "another", "one text"])
    drawn = uniform(texts, (3, 4), 3)
    assert np.array_equal(drawn[0], drawn[2])
    assert not np.isclose(drawn[0], drawn[1]).any()
    assert not np.isclose(drawn, uniform(texts, (3, 4), 5)).any()
    waves = np.array([np.zeros(3), np.full(5, 0.5), np.zeros(3)], dtype=object)
    drawn = uniform(waves, (3, 2), 3)
    assert np.array_equal(drawn[0], drawn[2])
    assert not np.isclose(drawn[0], drawn[1]).any()


def _sealed(scene: Scene, meter: Meter | None = None) -> Model:
    assert scene.model is not None
    return seal_model(scene.model, Access.LABELS | Access.SCORES, meter or Meter())


def test_a_budget_is_shared_by_all_callables_and_new_for_every_asker() -> None:
    scene = query_budget(_table(), _rng(), queries=10)
    meter = Meter()
    one, two = _sealed(scene, meter), _sealed(scene)
    assert np.array_equal(one.query(X[:6]), _ask(_table(), X[:6]))
    assert one.score is not None
    tokens = np.array([[1, 2], [3, 4]])
    assert np.allclose(one.score(tokens), [[-0.3], [-0.5]])
    answers = one.query(X[6:12])
    assert np.array_equal(answers[:2], _ask(_table(), X[6:8]))
    assert np.allclose(answers[2:], 1 / 5), "refusals are all the same"
    assert np.allclose(one.score(tokens), -np.log(5))
    assert meter.queries == 16, "what was refused was asked all the same"
    assert not np.allclose(two.query(X[:6]), 1 / 5), "another asker has his own budget"
    assert np.array_equal(_ask(scene), _ask(_table())), "the owner asks without limit"


@pytest.mark.parametrize("output", UNITS)
def test_a_refusal_fits_the_declared_units(output: Output) -> None:
    model = _sealed(query_budget(_table(output), _rng(), queries=3))
    answers = check(model, model.query(X), len(X))
    assert len(np.unique(answers[3:], axis=0)) == 1


@pytest.mark.parametrize("queries", [0, 3, 6, 9])
def test_slopes_are_zero_behind_the_budget_and_whole_before_it(queries: int) -> None:
    def slope(x: Any, y: Any, loss: str) -> Any:
        return np.concatenate([x[:, :2], x], 1) + 7

    table = replace(
        _table(),
        model=_table().model.with_(slope=slope, offers=Access.SCORES | Access.GRADIENTS),
    )
    limited = query_budget(table, _rng(), queries=queries).model
    ask = seal_model(limited, Access.SCORES | Access.GRADIENTS, Meter()).calls["slope"]
    for part in (X[:6], X[6:6]):
        answers = ask(part, np.zeros(len(part), np.int64), "ce")
        assert answers.shape == (len(part), 2 + X.shape[1])
        served = min(queries, len(part))
        assert (answers[:served] != 0).any(1).all() and not answers[served:].any()


def test_two_budgets_give_the_smaller() -> None:
    for a, b in ((5, 9), (9, 5)):
        scene = query_budget(query_budget(_table(), _rng(), queries=a), _rng(), queries=b)
        answers = _sealed(scene).query(X)
        assert (np.abs(answers - 1 / 5) > 1e-9).any(1).sum() == 5


def test_budget_and_labels_go_together_in_either_order() -> None:
    inner = defended(defended(_table(), query_budget, {"queries": 4}), label_only)
    outer = defended(defended(_table(), label_only), query_budget, {"queries": 4})
    assert np.array_equal(_sealed(inner).query(X)[:4], _sealed(outer).query(X)[:4])
    assert np.array_equal(_sealed(inner).query(X)[:4], _ask(defended(_table(), label_only))[:4])
    assert [d.name for d in inner.defenses] == ["query_budget", "label_only"]


@pytest.mark.parametrize("defense", [*OUTPUTS, query_budget], ids=lambda d: d.name)
def test_victims_and_references_stand_behind_it_too(defense: Any) -> None:
    bare = live(Modality.VISION, _rng())
    shielded = defended(bare, defense)
    pool = bare.extra["pool"]
    include = _rng().random((2, len(pool))) < 0.5
    for before, after in (
        (bare.fit, shielded.fit),
        (bare.model and bare.model.fit, shielded.model and shielded.model.fit),
    ):
        assert before is not None and after is not None
        free, held = before(pool, include, 0), after(pool, include, 0)
        together = held.query(pool.x)
        apart = np.stack([held.member(k).query(pool.x) for k in range(2)])
        assert np.array_equal(together, apart), "an ensemble answers as its members do"
        changed = not np.allclose(together, free.query(pool.x))
        assert changed == (defense is not query_budget)
    assert shielded.digest != bare.digest
    assert shielded.defenses == (Applied(defense.name, shielded.defenses[0].params),)
    assert defended(bare, defense).digest == shielded.digest


def test_references_and_victims_have_noise_of_their_own() -> None:
    shielded = score_noise(live(Modality.VISION, _rng()), _rng(), keep_label=False)
    pool = shielded.extra["pool"]
    assert shielded.fit is not None and shielded.model is not None and shielded.model.fit
    include = np.ones((2, len(pool)), dtype=bool)
    victim = shielded.fit(pool, include, 0).query(pool.x)
    reference = shielded.model.fit(pool, include, 0).query(pool.x)
    assert not np.allclose(victim[0], victim[1])
    assert not np.allclose(victim[0], reference[0]), "an attacker could subtract it"


def test_on_digits_lira_loses_by_labels_and_by_noise_and_each_has_its_price(digits: Scene) -> None:
    def auc(scene: Scene) -> float:
        few = {"references": 16}
        trials = play(lira, scene, seed=0, params=few, game_params={"rounds": 4})
        return float(measure(trials).metrics["auc"]["value"])

    labels = defended(digits, label_only)
    noise = defended(digits, score_noise, {"scale": 1.0, "keep_label": False})
    bare, coarse, blurred = auc(digits), auc(labels), auc(noise)
    assert bare > coarse + 0.02
    assert bare > blurred + 0.02 and abs(blurred - 0.5) < 0.04
    assert digits.utility is not None
    assert digits.utility(labels) == digits.utility(digits), "labels are all that accuracy needs"
    assert digits.utility(noise)["accuracy"] < digits.utility(digits)["accuracy"] - 0.1


def test_on_digits_a_budget_starves_a_thief_and_one_who_knows_copes_better(digits: Scene) -> None:
    def fidelity(scene: Scene, undefended: Scene | None = None) -> float:
        trials = play(knockoff, scene, seed=0, undefended=undefended, game_params={"rounds": 4})
        return trials.metrics["fidelity"]

    shielded = defended(digits, query_budget, {"queries": 60})
    free = fidelity(digits)
    static, adaptive = fidelity(shielded, undefended=digits), fidelity(shielded)
    assert free > adaptive + 0.1 > static + 0.1


@pytest.mark.parametrize("defense", [rounding, score_noise], ids=lambda d: d.name)
def test_ends_of_texts_are_sums_of_the_scores_that_are_published(defense: Any) -> None:
    model = _table().model
    assert model is not None and model.score is not None
    score = model.score
    bare = Scene("texts", Modality.TABULAR, model=model.with_(tail_score=lambda t, first: score(t)))
    shielded = defense(bare, _rng()).model
    tokens = np.array([[1, 2, 3, 4], [3, 1, 2, -1]])
    published = shielded.score(tokens)
    assert not np.allclose(published, score(tokens), atol=1e-6)
    ends = shielded.calls["tail_score"](tokens, np.array([2, 1]))
    np.testing.assert_allclose(ends, [published[0, 1:].sum(), published[1, :2].sum()])
