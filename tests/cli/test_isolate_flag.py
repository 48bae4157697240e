"""``--isolate``: how a run is played, and nothing of what it is."""

from __future__ import annotations

import json


def test_isolation_changes_neither_the_run_nor_its_results(call, tmp_path):
    words = ("assess", "--scene", "live:membership", "--only", "loss_threshold", "--workers", "0")
    runs = []
    for store, more in (("here", ()), ("there", ("--isolate",))):
        assert call(*words, "--store", store, *more).returncode == 0
        (path,) = (tmp_path / store).glob("*/run.json")
        runs.append((path.parent.name, json.loads(path.read_text())))
    (one, first), (two, second) = runs
    assert one == two
    assert first["plan"] == second["plan"]
    for name in ("id", "bits", "null", "metrics", "digest"):
        a, b = ([row.get(name) for row in document["channels"]] for document in (first, second))
        assert a == b, name
    (tmp_path / "plan.toml").write_text(
        'scene = "live:membership"\nonly = ["loss_threshold"]\n'
        "[executor]\nworkers = 0\nisolate = true\n"
    )
    assert call("assess", "plan.toml", "--store", "planned").returncode == 0
