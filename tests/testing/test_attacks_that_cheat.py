"""Conformance refuses an attack that reads more than its view, and takes no honest one for it."""

from __future__ import annotations

import gc
import importlib
import inspect
import sys

import numpy as np
import pytest

from hartley.core import Access, Modality, Model, View
from hartley.engine.run.meter import Meter, seal
from hartley.testing import ATTACK_CHECKS, CheckFailed

CHECKS = {check.name: check for check in ATTACK_CHECKS}

ATTACK = '''
"""An attack on membership that says less than it does."""

import gc
import inspect
import sys

import numpy as np

from hartley.core import Access, Modality, Outcome, Round, Term, attack
from hartley.games.membership.membership import membership


def _frames(view):
    frame = sys._getframe()
    while frame:
        table = frame.f_locals.get("table")
        for round_ in getattr(table, "rounds", ()):
            if round_.view.source.name == view.model.name:
                return round_.truth
        frame = frame.f_back


def _stack(view):
    for entry in inspect.stack():
        round_ = entry.frame.f_locals.get("round_")
        if isinstance(round_, Round):
            return round_.truth


def _objects(view):
    # Rounds of other games may still be in memory.
    size = len(view.brief.question)
    rounds = [o for o in gc.get_objects() if type(o) is Round and len(o.truth) == size]
    return rounds[-1].truth if rounds else None


def _free(view):
    """Ask the model itself."""
    from hartley.engine.run import meter

    answers = [m.call for m in meter._metered.values() if m.name == "query"]
    return answers[-1] if answers else None


@attack(
    game=membership, access=Access.SCORES, term=Term.NOISE,
    modalities=(Modality.VISION,), paper="hartley",
)
def {name}(view, rng):
    """Guess by the loss, or by what should not be known."""
    question = view.brief.question
    query = view.model.query
    truth = {truth}
    {query}
    answers = query(question.x)
    loss = np.log(np.maximum(answers[np.arange(len(question)), question.y], 1e-9))
    guess = loss if truth is None else np.array(truth, float)
    return Outcome(guess=guess, asset=question)
'''

WAYS = {
    "by_frames": ("_frames(view)", "", "answers otherwise"),
    "by_stack": ("_stack(view)", "", "answers otherwise"),
    "by_objects": ("_objects(view)", "", "answers otherwise"),
    "past_the_meter": ("None", "query = _free(view) or query", "asked 0 queries"),
    "past_the_seal": ("None", "query = query.call", "has no attribute 'call'"),
    "through_closures": ("None", "query = query.__closure__[0].cell_contents", "__closure__"),
}


def _part(tmp_path, monkeypatch, name, truth="None", query=""):
    package = tmp_path / "site/cheats"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    content = ATTACK.format(name=name, truth=truth, query=query or "pass")
    (package / f"{name}.py").write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    for known in [known for known in sys.modules if known.partition(".")[0] == "cheats"]:
        del sys.modules[known]
    return getattr(importlib.import_module(f"cheats.{name}"), name)


@pytest.mark.parametrize("way", WAYS)
def test_an_attack_that_reads_more_than_its_view_is_refused(tmp_path, monkeypatch, way):
    truth, query, reason = WAYS[way]
    part = _part(tmp_path, monkeypatch, way, truth, query)
    with pytest.raises((CheckFailed, AttributeError), match=reason):
        CHECKS["answers_alike_in_a_process_of_its_own"](part)


def test_an_honest_attack_answers_alike(tmp_path, monkeypatch):
    part = _part(tmp_path, monkeypatch, "honest")
    CHECKS["answers_alike_in_a_process_of_its_own"](part)


def test_nothing_leads_from_a_sealed_callable_to_the_model():
    def secret(x: np.ndarray) -> np.ndarray:
        return np.full((len(x), 2), 0.5)

    model = Model("m", Modality.TABULAR, secret, classes=2)
    call = seal(View(model, None), Access.SCORES, Meter()).model.query
    assert call(np.zeros((3, 2))).shape == (3, 2)
    reachable, todo = set(), [call]
    while todo:
        thing = todo.pop()
        if id(thing) in reachable or inspect.isclass(thing) or inspect.ismodule(thing):
            continue
        reachable.add(id(thing))
        todo += gc.get_referents(thing)
    assert not {id(secret), id(model)} & reachable
    assert not hasattr(call, "__closure__") and not hasattr(call, "__wrapped__")
