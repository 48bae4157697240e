"""Models that are trained when they are first asked, and whose answers are kept."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import numpy as np

from hartley.core import Modality, Model
from hartley.kit import training_news
from hartley.kit.lazy_ensemble import one_by_one
from hartley.kit.training_news import Pace, called, listening
from hartley.models.weight_cache import kept

TRAINER = """
import numpy as np
from hartley.core import Modality, Model
from hartley.kit import training_news

calls = []

def train(k):
    calls.append(k)
    return Model("m", Modality.TABULAR, lambda x: np.full((len(x), 2), VALUE))
"""


def test_answers_are_kept_until_the_code_that_trains_is_edited(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    x = np.zeros((3, 1))

    def asked(value):
        (tmp_path / "lazy_trainer.py").write_text(TRAINER.replace("VALUE", str(value)))
        sys.modules.pop("lazy_trainer", None)
        importlib.invalidate_caches()
        trainer = importlib.import_module("lazy_trainer")
        answers = [one_by_one(trainer.train, ["a", "b"]).query(x) for _ in range(2)]
        assert np.array_equal(*answers)
        return answers[0].mean(), trainer.calls

    assert asked(0.25) == (0.25, [0, 1])
    assert asked(0.25) == (0.25, [])
    assert asked(0.5) == (0.5, [0, 1])
    sys.modules.pop("lazy_trainer", None)


def test_without_an_identity_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "lazy_other.py").write_text(TRAINER.replace("VALUE", "1.0"))
    trainer = importlib.import_module("lazy_other")
    for _ in range(2):
        one_by_one(trainer.train, [""]).query(np.zeros((1, 1)))
    assert trainer.calls == [0, 0] and not (tmp_path / "references").exists()
    del sys.modules["lazy_other"]


WORKER = """
import os, sys, time
import numpy as np
from hartley.core import Modality, Model
from hartley.kit import training_news
from hartley.kit.lazy_ensemble import one_by_one

def train(k):
    with open(sys.argv[1], "a") as file:
        file.write(f"{k} {os.getpid()}\\n")
    while not os.path.exists(sys.argv[2]):  # each process trains its first model until both do
        if len(open(sys.argv[1]).read().splitlines()) > 1:
            open(sys.argv[2], "w").close()
        time.sleep(0.005)
    return Model("m", Modality.TABULAR, lambda x: np.full((len(x), 2), float(k)))

answers = one_by_one(train, [f"{k}" for k in range(6)]).query(np.zeros((1, 1)))
assert answers[:, 0, 0].tolist() == list(range(6))
"""


def test_two_processes_train_different_models_and_none_twice(tmp_path):
    (tmp_path / "lazy_worker.py").write_text(WORKER)
    environment = {**os.environ, "HARTLEY_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "lazy_worker.py", "log", "both"]
    # Where the second waited for the first model, neither would go on.
    workers = [subprocess.Popen(command, cwd=tmp_path, env=environment) for _ in range(2)]
    try:
        assert [worker.wait(60) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(k for k, _ in lines) == list("012345")
    assert {pid for _, pid in lines[:2]} == {str(worker.pid) for worker in workers}


def test_news_say_which_model_is_trained_and_how_long_the_rest_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    heard, now = [], iter(range(0, 1000, 10))
    pace = Pace(4, "reference", clock=lambda: float(next(now)))
    with listening(heard.append):
        for done in (1, 2, 3):
            pace.begin(lambda done=done: done)
    assert [(news["number"], news["of"], news["left"]) for news in heard] == [
        *((2, 4, None), (3, 4, 20.0), (4, 4, 10.0))
    ]
    heard.clear()
    with listening(heard.append), called("reference"):
        ensemble = one_by_one(_trained, ["", ""])
    with listening(heard.append):
        ensemble.query(np.zeros((1, 1)))
    assert heard[0] == {"what": "reference", "number": 1, "of": 2, "left": None}
    pace.begin(lambda: 1 / 0)  # nobody listens: nothing is counted


def _trained(k):
    return Model("m", Modality.TABULAR, lambda x: np.full((len(x), 2), float(k)))


def test_models_that_are_trained_several_at_once_say_so_too(monkeypatch):
    monkeypatch.setattr(training_news, "SELDOM", 0.0)
    news, include = [], np.ones((40, 3), bool)
    with listening(news.append), called("reference"):
        kept({}, include, 0, lambda rows, first: ({"w": rows * 1.0}, {}), records="", cached=False)
    assert [(one["what"], one["number"], one["of"]) for one in news] == [
        *(("reference", number, 40) for number in (1, 17, 33)),
    ]
