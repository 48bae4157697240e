"""A data set in memory is scanned as its file would be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hartley
from hartley.core.errors import UsageError
from hartley.engine.plan.plan import Plan
from hartley.program.audit import _as_ships


def table(rng: np.random.Generator, n: int) -> pd.DataFrame:
    x = rng.normal(size=(n, 4))
    label = np.where(x[:, 0] + x[:, 1] > 0, "yes", "no")
    return pd.DataFrame(x, columns=list("abcd")).assign(label=label)


FEW = {
    "only": ["badnets"], "attacks": {"badnets": {"count": 8}}, "workers": 0,
    "games": {"poisoning": {"rounds": 2, "slots": 1, "poisons": 8}}, "defenses": ["record_scan"],
}  # fmt: skip


def test_a_frame_and_arrays_are_scanned(tmp_path):
    rng = np.random.default_rng(0)
    mine, trusted = table(rng, 160), table(rng, 240)
    mine.loc[3, ["a", "b", "label"]] = [3.0, 3.0, "no"]
    report = hartley.audit(
        records=mine, clean=trusted, target="label", false_alarms=0.05, store=tmp_path, **FEW
    )
    assert 3 in [record["row"] for record in report.suspect_records()]
    assert "Of 160 records" in str(report)
    rows, codes = mine[list("abcd")].to_numpy(), (mine.label == "yes").to_numpy().astype(int)
    alone = hartley.audit(records=(rows, codes), false_alarms=0.05, store=tmp_path, **FEW)
    assert "calibrate themselves" in str(alone)


def test_what_a_program_does_not_say_is_played_as_it_ships():
    plan = _as_ships(Plan(scene="own_records", games={"poisoning": {"rounds": 3}}))
    assert plan.use == ("record_scan",) and plan.games == {"poisoning": {"rounds": 3}}
    assert plan.attacks["badnets"]["count"] == [4, 16, 64] and "label_flip" in plan.only


def test_a_mistake_names_the_argument(tmp_path):
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match=r"records.* has no column 'labels'; did you mean"):
        hartley.audit(records=table(rng, 160), target="labels", store=tmp_path)
    with pytest.raises(UsageError, match=r"does not go with fit="):
        hartley.audit(records=table(rng, 160), target="label", fit="a.py:b", store=tmp_path)
