"""Models that are trained when they are first asked, and whose answers are kept."""

from __future__ import annotations

import importlib
import sys

import numpy as np

from hartley.kit.lazy_ensemble import one_by_one

TRAINER = """
import numpy as np
from hartley.core import Modality, Model

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
