"""Trials survive Parquet exactly: values, types, and everything that is said about them."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hartley.core import AnswerForm, Applied, Bound, ChannelSpec, Role, Trials
from hartley.core.errors import StoreError
from hartley.store import read_trials, trials_from_bytes, trials_to_bytes

COLUMNS = (
    *("truth", "guess", "reference", "cluster"),
    *("trial", "item", "split", "order", "logq", "gain", "p_null", "observed"),
)


def same(a: Trials, b: Trials) -> None:
    for f in fields(Trials):
        x, y = getattr(a, f.name), getattr(b, f.name)
        if f.name in COLUMNS and x is not None:
            assert x.dtype == y.dtype and x.tobytes() == y.tobytes(), f.name
        elif f.name == "costs":
            assert x.keys() == y.keys()
            assert all(x[k].dtype == y[k].dtype and (x[k] == y[k]).all() for k in x)
        else:
            assert x == y, f.name


FULL = Trials(
    spec=ChannelSpec(
        role=Role.JAM,
        form=AnswerForm.SYMBOL,
        alphabet=7,
        unit="bit of the mark",
        planted=False,
        clustered=True,
        levels=(0.01, 0.1),
        alpha=0.01,
        bounds=(Bound("dp", {"epsilon": 1.0, "delta": 1e-5}, ("membership",)), Bound("x", {})),
        seconds=1.25,
        uses=12,
        budget=99,
        judge=(0.9, 0.8, 50),
        commit="ab" * 32,
    ),
    truth=np.array([0, 1, 6]),
    guess=np.array([1, -1, 6], dtype=np.int32),
    reference=np.array([0, 1, 6], dtype=np.int8),
    cluster=np.array([0, 0, 1]),
    split=np.array([0, 1, 1], dtype=np.uint8),
    order=np.array([2.5, 0.1, 1e9]),
    logq=np.array([-np.inf, -0.1, 0.0]),
    gain=np.array([0.0, 0.5, 1.0]),
    p_null=np.array([1.0, 1e-300, 0.25]),
    observed=np.array([3, 0, 3], dtype=np.int32),
    trial=np.array([4, 5, 9]),
    item=np.array([0, 1, 0], dtype=np.uint16),
    costs={"utility": np.array([-1.0, 2.0, 0.5]), "cost_s": np.array([0.1, 0.1, 1e-9])},
    run_id="0123456789abcdef",
    attack="a",
    game="g",
    scene="s",
    params={"floor": 1e-300, "on": True, "word": "é\n"},
    seed=2**62 + 1,
    queried=False,
    metrics={"psnr": 0.1 + 0.2, "gone": float("inf")},
    cost={"poisons": 3.0},
    defenses=(Applied("rounding", {"decimals": 2}),),
    knowledge="adaptive",
    loot="data",
    stage_of="chain",
)


def test_everything_comes_back():
    same(FULL, trials_from_bytes(trials_to_bytes(FULL)))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 30).flatmap(
        lambda n: st.tuples(
            arrays.arrays(np.int64, n, elements=st.integers(0, 5)),
            arrays.arrays(np.float64, n, elements=st.floats(allow_nan=True)),
        )
    ),
    st.dictionaries(st.text(), st.floats(allow_nan=False), max_size=3),
    st.text(),
)
def test_any_trials_come_back(columns, usual, loot):
    truth, guess = columns
    trials = Trials(ChannelSpec(), truth, guess, metrics=usual, loot=loot)
    same(trials, trials_from_bytes(trials_to_bytes(trials)))


def test_numpy_scalars_are_plain_values():
    trials = replace(FULL, metrics={"a": np.float32(0.5)}, params={"n": np.int64(3)})
    back = trials_from_bytes(trials_to_bytes(trials))
    assert back.metrics == {"a": 0.5} and back.params == {"n": 3}


@pytest.mark.parametrize("content", [b"", b"PAR1 nothing", trials_to_bytes(FULL)[:-40]])
def test_half_a_file_is_told(content, tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"x\.parquet must be trials"):
        read_trials(path)


def test_another_table_is_told():
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"truth": [1]}), sink)
    with pytest.raises(StoreError, match="must be trials that Hartley wrote"):
        trials_from_bytes(sink.getvalue().to_pybytes())


def test_no_file():
    from pathlib import Path

    with pytest.raises(StoreError, match="cannot read gone"):
        read_trials(Path("gone.parquet"))
