"""What a check says at the door of programs names what a program can change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier

import hartley
from hartley.core.errors import UsageError
from hartley.program.wording import in_python


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        ("--target must be a column", "target= must be a column"),
        (
            "got none: hartley assess --model model.skops --target COLUMN",
            "got none: hartley.audit(model='model.skops', target=COLUMN)",
        ),
        ("hartley assess --model FOLDER; or", "hartley.audit(model=FOLDER); or"),
        ("allow it (--allow-host x.org)", "allow it (allow_host='x.org')"),
        ("a pickle: add --trust if you made it", "a pickle: add trust=True if you made it"),
        ("needs --no-scores --sampling chat", "needs scores=False sampling='chat'"),
        ("leave out --no-retrain, and", "leave out retrain=False, and"),
        ("give --fit FILE.py:NAME", "give fit='FILE.py:NAME'"),
        ("see hartley gate --limits FILE", "see hartley gate --limits FILE"),
        ("/a b/runs/.inputs/0123456789abcdef/train.parquet must", "/a train must"),
        ("runs/.inputs/0123456789abcdef/Net_01234567.py:model must", "Net must"),
        ("no flag -- at all", "no flag -- at all"),
    ],
)
def test_flags_are_arguments_and_files_of_ours_what_they_are_of(flags, arguments):
    assert in_python(flags) == arguments


def test_mistakes_name_arguments(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.random(60), "b": rng.random(60)})
    frame["y"] = (frame.a > 0.5).astype(int)
    model = DecisionTreeClassifier().fit(frame[["a", "b"]], frame.y)
    train, test = frame[:30], frame[30:]
    for words, call in {
        "target=": {},
        "did you mean y": {"target": "yy"},
        "test must have every column": {"target": "y", "test": test.drop(columns="b")},
        "retrain=False": {"target": "y", "sensitive": "a", "retrain": False},
        "device= is for own_network": {"target": "y", "device": "cpu"},
    }.items():
        parts = {"train": train, "test": test, **call}
        with pytest.raises(UsageError) as error:
            hartley.audit(model, store=tmp_path / "runs", workers=0, **parts)
        message = str(error.value)
        assert words in message and "--" not in message and ".inputs" not in message, message
        assert "\n" not in message
