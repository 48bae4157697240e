"""An attack that writes into what it was handed spoils its own row and no other."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from hartley import catalog
from hartley.core import Experiment, Stage
from hartley.engine.run import executor
from hartley.store import trials_from_bytes

PLUGIN = '''
"""Attacks that write into what they were handed."""

import ctypes
import sys

import numpy as np

from hartley.core import Access, Modality, Outcome, Term, attack
from hartley.games.membership.membership import membership
from hartley.games.memorization.training_set_reconstruction import training_set_reconstruction


def _flags(array):
    array.flags.writeable = True
    array[...] = 0


def _base(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    _flags(array)


def _torch(array):
    import warnings

    import torch

    with warnings.catch_warnings(action="ignore"):
        torch.from_numpy(array).zero_()


def _pointer(array):
    ctypes.memset(array.ctypes.data, 0, array.nbytes)


def _force(array):
    try:
        _flags(array)
    except ValueError:
        _pointer(array)


def _frames(names):
    frame = sys._getframe()
    while frame:
        for name in names:
            if name in frame.f_locals:
                return frame.f_locals[name]
        frame = frame.f_back


def _answers(view):
    answers = view.model.query(view.brief.question.x)
    _force(answers)
    _base(answers) if isinstance(answers.base, np.ndarray) else None


def _dealt(view):
    _force(_frames(["table"]).rounds[0].view.brief.question.x)


def _truth(view):
    _force(_frames(["table"]).rounds[0].truth)


def _facts(view):
    view.brief.question.facts["spoilt"] = [1]
    view.model.facts["spoilt"] = [1]


def _fields(view):
    object.__setattr__(view.brief, "classes", 1)
    object.__setattr__(view.brief.question, "y", view.brief.question.y * 0)


WAYS = {
    "flags": lambda view: _flags(view.brief.question.x),
    "base": lambda view: _base(view.brief.question.x),
    "torch": lambda view: _torch(view.brief.question.x),
    "pointer": lambda view: _pointer(view.brief.question.y),
    "groups": lambda view: _force(view.brief.groups),
    "answers": _answers,
    "dealt": _dealt,
    "truth": _truth,
    "facts": _facts,
    "fields": _fields,
}


@attack(
    game=membership, access=Access.SCORES, term=Term.NOISE,
    modalities=(Modality.VISION,), paper="hartley",
)
def writer(view, rng, *, way: str = "flags"):
    """Write into what it is handed.

    Args:
        way: how.
    """
    WAYS[way](view)
    question = view.brief.question
    return Outcome(guess=np.zeros(len(question)), asset=question)


@attack(
    game=training_set_reconstruction, access=Access.WEIGHTS, term=Term.NOISE,
    modalities=(Modality.VISION,), paper="hartley",
)
def weigher(view, rng):
    """Write into the weights of the victim and of its own brief."""
    for array in view.model.weights().values():
        _force(array)
        _base(array)
    question = view.brief.question
    return Outcome(guess=rng.random((len(question), view.brief.candidates)), asset=question)
'''

SILENT = {"answers", "facts", "fields"}
"""Ways that change nothing but what the writer alone holds."""


@pytest.fixture
def writers(tmp_path, monkeypatch):
    """A plugin whose attacks write."""
    monkeypatch.setattr("hartley.channel.measure.REDRAWS", 1)
    monkeypatch.setattr("hartley.channel.measure.NULL_CERTIFICATES", 0)
    package, info = tmp_path / "site/writers", tmp_path / "site/writers-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").touch()
    (package / "part.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: writers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hartley.parts]\nwriters = writers.part\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    catalog.refresh()
    yield catalog.load("attack", "writer").run.__globals__["WAYS"]
    catalog.refresh()
    for name in [name for name in sys.modules if name.partition(".")[0] == "writers"]:
        del sys.modules[name]


def _job(attack, game="membership", **params):
    stage = Stage(attack, params, game, {"rounds": 2})
    return Experiment(f"live:{game}", stages=(stage,))


def _perform(jobs, workers, *, isolate=False):
    results = {}
    executor.perform(
        jobs,
        workers=workers,
        isolate=isolate,
        started=lambda job: None,
        finished=lambda job, result: results.__setitem__(id(job), result),
    )
    return [results[id(job)] for job in jobs]


def _measured(result):
    assert result.status == "done", result.note
    trials = trials_from_bytes(result.content)
    return trials.guess.tobytes(), trials.truth.tobytes()


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_writer_spoils_is_its_own_row(writers, workers):
    ways = ["dealt", "pointer"] if workers else [*writers]
    (alone,) = map(_measured, _perform([_job("loss_threshold")], 0))
    jobs = [job for way in ways for job in (_job("writer", way=way), _job("loss_threshold"))]
    results = _perform(jobs, workers)
    for way, spoilt, after in zip(ways, results[::2], results[1::2], strict=True):
        assert _measured(after) == alone, way
        if way in SILENT:
            assert spoilt.status == "done" or "does not support item" in spoilt.note["reason"], way
        else:
            assert spoilt.status == "failed", way
            assert "must not change what it is handed, and wrote into" in spoilt.note["reason"]


def test_in_a_process_of_its_own_a_writer_reaches_nothing_but_its_copy(writers):
    (alone,) = map(_measured, _perform([_job("loss_threshold")], 0))
    ways = ("pointer", "dealt")
    jobs = [job for way in ways for job in (_job("writer", way=way), _job("loss_threshold"))]
    results = _perform(jobs, 0, isolate=None)
    assert [_measured(after) for after in results[1::2]] == [alone, alone]
    assert [spoilt.status for spoilt in results[::2]] == ["done", "failed"]
    assert "'NoneType' object has no attribute 'rounds'" in results[2].note["reason"]


def test_weights_that_were_handed_out_are_not_those_of_the_victim(writers):
    honest = _job("weight_reconstruction", "training_set_reconstruction")
    spoiler = _job("weigher", "training_set_reconstruction")
    (alone,) = _perform([honest], 0)
    first, after = _perform([spoiler, honest], 0)
    assert first.status == "done"
    assert _measured(after) == _measured(alone)
    assert len(np.unique(trials_from_bytes(after.content).guess)) > 1
