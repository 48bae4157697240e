"""What trains here is trained once, by the code of today."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import hartley
from hartley.kit import cache

SOURCE = Path(hartley.__file__).parent
TRAIN = """
import numpy as np
from hartley.core import Data, Modality
from hartley.kit.nets import dense
from hartley.kit.fleet import Training
from hartley.models.pipeline import Pipeline
rng = np.random.default_rng(0)
data = Data("d", Modality.TABULAR, rng.random((24, 5)).astype(np.float32), rng.integers(0, 2, 24))
made = Pipeline(dense((5,), 2, (4,)), Training(epochs=1), Modality.TABULAR).fit(
    data, np.ones((1, 24), dtype=bool), 3
)
print(made.facts.get("cached", False))
"""


def test_a_recipe_is_built_once(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    calls = []

    def build():
        calls.append(1)
        return {"w": np.arange(3.0)}

    for _ in range(2):
        assert cache.cached("w", {"a": 1}, build)["w"].tolist() == [0, 1, 2]
    cache.cached("w", {"a": 2}, build)
    assert len(calls) == 2


def test_a_file_that_is_damaged_or_of_another_key_is_built_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    builds = []

    def build():
        builds.append(1)
        return {"w": np.arange(3.0), "empty": np.zeros((0, 2)), "on": np.array([True, False])}

    def again(recipe=1):
        before = len(builds)
        arrays = cache.cached("w", recipe, build)
        assert arrays["w"].tolist() == [0, 1, 2] and arrays["empty"].shape == (0, 2)
        return len(builds) > before

    assert again(1) and not again(1)
    (first,) = (tmp_path / "w").glob("*.safetensors")
    content = first.read_bytes()
    for byte in range(0, len(content), 3):
        first.write_bytes(content[:byte] + bytes([content[byte] ^ 2]) + content[byte + 1 :])
        again(1)  # asserts that the arrays are right
    assert len(cache.taken_rebuilt()) > len(content) // 6
    assert again(2) and not again(1)
    (second,) = {*(tmp_path / "w").glob("*.safetensors")} - {first}
    second.write_bytes(first.read_bytes())
    assert again(2) and cache.taken_rebuilt() == [f"w/{second.name}"]
    first.unlink()
    first.mkdir()
    assert again(1) and not again(1)


def test_a_file_of_an_earlier_version_is_built_again(tmp_path, monkeypatch):
    from safetensors.numpy import save_file

    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    cache.cached("w", 1, lambda: {"w": np.ones(2)})
    (path,) = (tmp_path / "w").glob("*.safetensors")
    save_file({"w": np.zeros(2)}, path, metadata={"seconds": "1.0"})
    assert cache.cached("w", 1, lambda: {"w": np.ones(2)})["w"].tolist() == [1, 1]


def test_a_file_is_synced_before_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    real, synced = os.fsync, []

    def sync(handle):
        synced.extend(path.suffix for path in (tmp_path / "w").glob("*") if path.suffix != ".lock")
        real(handle)

    monkeypatch.setattr(os, "fsync", sync)
    (tmp_path / "w").mkdir()
    cache.cached("w", 1, lambda: {"w": np.ones(2)})
    assert synced[0] == ".partial" and ".safetensors" not in synced[:1]


EDITS = {"channel/measure.py": False, "kit/fleet/dense_training.py": True, "kit/nets.py": True}
"""Files, and whether the weights depend on them."""


def test_weights_are_trained_again_by_edited_training_code_and_by_no_other(tmp_path):
    """Real files: a copy of the package is edited; the cache stays."""
    package = tmp_path / "src" / "hartley"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("*.pyc.*"))
    environment = {
        **os.environ,
        "PYTHONPATH": str(package.parent),
        "HARTLEY_CACHE": str(tmp_path / "cache"),
    }

    def cached() -> bool:
        done = subprocess.run(
            [sys.executable, "-c", TRAIN],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-1500:]
        return done.stdout.strip() == "True"

    assert not cached()
    for edited, again in EDITS.items():
        path = package / edited
        path.write_text(path.read_text() + "\n\nEDITED = 1\n")
        assert cached() is not again, edited
