"""Columns are written as Arrow writes them itself, without importing pandas."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from hartley.store.table import _as_arrow

COLUMNS = {
    "floats": np.array([0.5, np.nan, -np.inf]),
    "halves": np.linspace(0, 1, 6, dtype=np.float16),
    "whole numbers": np.arange(-3, 9)[::2],
    "bytes": np.arange(250, 256, dtype=np.uint8),
    "truths": np.arange(19) % 3 == 0,
    "nothing": np.zeros(0, dtype=bool),
    "texts": np.array(["a", "é"]),
}

WRITES = """
import sys
import numpy as np
from hartley.store.table import _as_arrow
for column in (np.zeros(3), np.arange(3), np.zeros(3, bool), np.zeros(3, np.float32)):
    _as_arrow(column)
print("pyarrow" in sys.modules, "pandas" in sys.modules)
"""


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_those_of_arrow(name):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    files = []
    for column in (_as_arrow(COLUMNS[name]), pa.array(np.ascontiguousarray(COLUMNS[name]))):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"column": column}), sink, compression="zstd")
        files.append(sink.getvalue().to_pybytes())
    assert files[0] == files[1]


def test_writing_columns_does_not_import_pandas():
    done = subprocess.run(
        [sys.executable, "-c", WRITES], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["True", "False"], done.stderr
