"""One table of capabilities: a new row is metered, sealed, billed and denied with no other edit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from hartley.catalog import Entry
from hartley.core import CAPABILITIES, Access, Data, Modality, Model, Scene, View, charge
from hartley.core import capabilities as table
from hartley.core.capabilities import CapabilityRow, Counted, Gives
from hartley.core.errors import AccessDenied, BadModel, BudgetSpent
from hartley.defenses._shared import wrap_answers
from hartley.defenses.bandwidth.query_budget import query_budget
from hartley.engine.plan.applicability import unplayable
from hartley.engine.run import answer_cache
from hartley.engine.run.meter import Meter, seal, seal_model
from hartley.testing.attacks import _blurred
from hartley.testing.checks import CheckFailed
from hartley.testing.models import check_model

X = np.random.default_rng(0).random((20, 3))


def _check_smell(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    if np.asarray(answer).shape != (len(arguments[0]), 2):
        raise BadModel(f"smell of {model.name!r} must have two columns")
    return np.asarray(answer).view()


@pytest.fixture(autouse=True)
def _smell(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The only edit of this file: one row."""
    row = CapabilityRow(
        "records (n, …) → (n, 2)",
        Access.TOOLS,
        Counted.QUERIES,
        Gives.EMBEDDINGS,
        None,
        _check_smell,
        lambda model, arguments: np.zeros((len(arguments[0]), 2)),
    )
    monkeypatch.setitem(table._TABLE, "smell", row)
    answer_cache.forget()
    yield
    answer_cache.forget()


def _query(x: Any) -> Any:
    return np.full((len(x), 2), 0.5)


def _model(calls: list[int], offers: Access = Access.LABELS | Access.TOOLS, **more: Any) -> Model:
    def smell(x: Any) -> Any:
        calls.append(len(x))
        charge(tokens_in=3 * len(x), tokens_out=len(x), money=0.25)
        return np.asarray(x)[:, :2] + 1

    return Model("nose", Modality.TABULAR, _query, classes=2, smell=smell, offers=offers, **more)


def test_a_new_row_is_counted_billed_checked_and_frozen() -> None:
    calls: list[int] = []
    meter = Meter(budget=25)
    smell = seal_model(_model(calls), Access.TOOLS, meter).calls["smell"]
    answers = smell(X)
    assert meter.counts == {"smell": 20} and meter.queries == 20 and calls == [20]
    assert (meter.cost.tokens_in, meter.cost.tokens_out, meter.cost.money) == (60, 20, 0.25)
    with pytest.raises(ValueError, match="read-only"):
        answers[0] = 0
    with pytest.raises(BudgetSpent):
        smell(X[:6])
    broken = _model([]).with_(smell=lambda x: np.zeros(len(x)))
    with pytest.raises(BadModel, match="two columns"):
        seal_model(broken, Access.TOOLS, Meter()).calls["smell"](X)


def test_a_new_row_is_sealed_away_and_denied_in_words() -> None:
    sealed = seal(View(_model([]), None), Access.LABELS, Meter()).model
    assert sealed.calls.get("smell") is None and "smell" not in sealed.calls
    with pytest.raises(AccessDenied, match="smell used without declaring tools"):
        sealed.calls["smell"](X)
    with pytest.raises(AccessDenied, match="needs tools, which 'nose' does not offer"):
        seal_model(_model([], Access.LABELS), Access.TOOLS, Meter())
    data = Data("d", Modality.TABULAR, X)
    scene = Scene(
        "odd", Modality.TABULAR, model=_model([], Access.LABELS), train=data, holdout=data
    )
    plain = Model("plain", Modality.TABULAR, _query, classes=2)
    with pytest.raises(AccessDenied, match="does not offer smell"):
        plain.calls["smell"](X)
    entry = _entry(access=("tools",))
    obstacle = unplayable(entry, scene)
    assert obstacle is not None and obstacle.cause == "access"
    assert obstacle.reason == "needs tools; the model of odd offers labels"


def _entry(access: tuple[str, ...]) -> Entry:
    from dataclasses import replace

    from hartley import catalog

    found = catalog.find("attack", "label_only_membership")
    return replace(found, declared={**found.declared, "access": access, "requires": ()})


def test_a_new_row_is_recalled_and_charged_again_or_never_recalled() -> None:
    calls: list[int] = []
    model, meter = _model(calls), Meter()
    for _ in range(2):
        seal_model(model, Access.TOOLS, meter).calls["smell"](X)
    assert calls == [20] and meter.queries == 40 and meter.cost.tokens_in == 120
    jittering = _model(calls, deterministic=False)
    for _ in range(2):
        seal_model(jittering, Access.TOOLS, meter).calls["smell"](X)
    assert calls == [20, 20, 20] and meter.queries == 80 and meter.cost.money == 1.0


def test_defenses_reach_a_new_row_by_what_it_gives() -> None:
    scene = Scene("odd", Modality.TABULAR, model=_model([]), train=Data("t", Modality.TABULAR, X))
    louder = wrap_answers.answers(scene, lambda x, a, output, who: a * 2)
    assert louder.model is not None
    np.testing.assert_array_equal(louder.model.calls["smell"](X), 2 * (X[:, :2] + 1))
    limited = query_budget(scene, np.random.default_rng(0), queries=7).model
    assert limited is not None
    answers = seal_model(limited, Access.TOOLS, Meter()).calls["smell"](X)
    assert answers[:7].all() and not answers[7:].any()


def test_conformance_reaches_a_new_row() -> None:
    blurred = _blurred(_model([]), 1.0).calls["smell"](X)
    assert not np.array_equal(blurred, X[:, :2] + 1)
    check_model(_model([]).with_(tools=list), X)
    with pytest.raises(CheckFailed, match="it has smell, so it must offer tools"):
        check_model(_model([], Access.LABELS), X)


def test_every_row_says_what_it_is() -> None:
    for name, row in CAPABILITIES.items():
        assert "→" in row.signature and row.access, name
        assert (row.empty is None) == (row.counted is not Counted.QUERIES), name


def test_names_are_checked_and_none_is_absent() -> None:
    with pytest.raises(TypeError, match=r"a capability must be one of .*, got 'qeury'"):
        Model("m", Modality.TABULAR, qeury=_query)
    with pytest.raises(TypeError, match="query must be callable, got a int"):
        Model("m", Modality.TABULAR, 3)  # type: ignore[arg-type]
    model = Model("m", Modality.TABULAR, calls={"score": _query, "grad": None})
    assert model.score is _query and model.grad is None and model.moments is None
    with pytest.raises(AccessDenied, match="the model does not offer query"):
        model.query(X)
    assert model.with_(score=None, name="n").calls == {}


EXAMPLES: dict[str, tuple[Any, ...]] = {
    "query": (X,),
    "score": (np.array([[1, 2, 3], [1, 2, -1]]),),
    "moments": (np.array([[1, 2, 3], [1, 2, -1]]),),
    "tail_score": (np.array([[1, 2, 3], [1, 2, -1]]), 1),
    "token_slope": (np.array([[1, 2, 3], [1, 2, -1]]), 1, np.array([0])),
    "top_logprobs": (np.array([[1, 2], [1, 2]]), 3, np.array([[0], [-1]]), 2.0),
    "generate": (np.array([[1, 2], [1, 2]]), 5, 0),
    "chat": ([[{"role": "user", "content": "a"}]] * 3, 5, 0),
    "embed": (X,),
    "tools": ([("add", {"a": 1})] * 2,),
    "grad": (X, np.zeros(20, int)),
    "slope": (X, np.zeros(20, int), "ce"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_empty_answer_passes_its_own_check(name: str) -> None:
    row, model = CAPABILITIES[name], Model("m", Modality.TABULAR, classes=4)
    assert row.empty is not None
    for n in (len(EXAMPLES[name][0]), 0):
        arguments = (EXAMPLES[name][0][:n], *EXAMPLES[name][1:])
        answer = row.check(model, row.empty(model, arguments), arguments)
        assert len(answer) == n
    with pytest.raises(BadModel):
        row.check(model, row.empty(model, EXAMPLES[name])[1:], EXAMPLES[name])


def test_models_that_are_trained_are_counted_apart_from_queries() -> None:
    from hartley.kit.ensemble_of import separate

    one = Model("m", Modality.TABULAR, _query, classes=2)
    offers = Access.LABELS | Access.TRAIN

    def fit(data: Data, include: Any, seed: int) -> Any:
        charge(money=2.0)
        return separate([one] * len(include))

    meter = Meter(budget=0)
    sealed = seal_model(one.with_(fit=fit, offers=offers), offers, meter)
    assert sealed.fit is not None
    sealed.fit(Data("d", Modality.TABULAR, X), np.ones((3, 20), bool), 0)
    assert (meter.models, meter.queries, meter.cost.money) == (3, 0, 2.0)
    again = seal_model(one.with_(fit=fit, offers=offers), offers, Meter())
    assert again.fit == sealed.fit, "what an attack keeps by fit it finds again"
    short = seal_model(
        one.with_(fit=lambda d, i, s: separate([one]), offers=offers), offers, Meter()
    )
    assert short.fit is not None
    with pytest.raises(BadModel, match="must train 3 models, got 1"):
        short.fit(Data("d", Modality.TABULAR, X), np.ones((3, 20), bool), 0)
