"""What ``hartley measure`` does without: packages that take longer to import than a measurement."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from scipy.optimize import isotonic_regression

from hartley.channel.scores.monotone import pooled

SCRIPT = """
import sys
from pathlib import Path
from hartley.channel.measure import measure
from hartley.channel.trials.import_table import read_table
tables = [read_table(Path(name)) for name in sys.argv[1:]]
measure(tables[0].trials)
print(*[name for name in ("pandas", "scipy.optimize", "scipy.stats") if name in sys.modules])
"""


def test_a_table_of_scores_is_measured_without_pandas_and_without_an_optimiser(tmp_path):
    import pyarrow as pa
    from pyarrow.parquet import write_table

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    score = rng.normal(size=400) + truth
    write_table(pa.table({"truth": truth, "score": score}), tmp_path / "t.parquet")
    lines = ["truth,score", *(f"{t},{s}" for t, s in zip(truth, score, strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    command = [sys.executable, "-c", SCRIPT, "t.parquet", "t.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_pooling_is_scipys_bit_by_bit():
    rng = np.random.default_rng(0)
    for case in range(400):
        n = int(rng.integers(1, 60))
        rates = (
            rng.integers(0, 5, n) / 4 if case % 2 else np.sort(rng.random(n)) + rng.normal(size=n)
        )
        weight = np.maximum(rng.random(n) * (rng.random(n) > 0.2), 1e-300)
        assert np.array_equal(pooled(rates, weight), isotonic_regression(rates, weights=weight).x)
