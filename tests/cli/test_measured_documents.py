"""What ``hartley measure --json`` prints is read by the gate, the report and show."""

from __future__ import annotations

import json
import random

import pytest


@pytest.fixture
def document(call, tmp_path):
    """A table of about half a bit, measured."""
    rng = random.Random(5)
    truth = [rng.randrange(2) for _ in range(1500)]
    rows = [f"{secret},{rng.gauss(1.5 * secret, 1):.6f}" for secret in truth]
    (tmp_path / "trials.csv").write_text("truth,score\n" + "\n".join(rows) + "\n")
    done = call("measure", "trials.csv", "--class", "membership", "--json")
    assert done.returncode == 0, done.stderr
    (tmp_path / "m.json").write_text(done.stdout)
    return json.loads(done.stdout)


def test_a_measured_table_is_gated_unverified(call, document, tmp_path):
    for name, limit in {"low": 0.01, "wide": 1.0}.items():
        (tmp_path / f"{name}.toml").write_text(f"[limits]\nmembership = {limit}\n")
    over = call("gate", "m.json", "--limits", "low.toml")
    assert over.returncode == 1, over
    assert "trials: over (unverified)" in over.stdout
    wide = call("gate", "m.json", "--limits", "wide.toml")
    assert wide.returncode == 3 and "--accept-unverified judges it as it is" in wide.stdout
    accepted = call("gate", "m.json", "--limits", "wide.toml", "--accept-unverified")
    assert accepted.returncode == 0, accepted
    low = document["bits"]["low"]
    assert 0.01 < low < document["bits"]["high"] < 1.0
    assert f"is at least {low:.4g} bit" in over.stdout


@pytest.mark.parametrize("form", ["md", "junit", "sarif", "html"])
def test_a_measured_table_is_rendered(call, document, tmp_path, form):
    done = call("report", "m.json", "--format", form, "--out", "page")
    assert done.returncode == 0, done.stderr
    assert "trials" in (tmp_path / "page").read_text()


def test_a_measured_table_is_shown_and_its_edits_are_refused(call, document, tmp_path):
    shown = call("show", "m.json", "trials")
    assert shown.returncode == 0 and "membership" in shown.stdout, shown
    (tmp_path / "wide.toml").write_text("[limits]\nmembership = 1.0\n")
    for change in ({"bits": {**document["bits"], "high": 0}}, {"n": "many"}, {"attack": None}):
        (tmp_path / "m.json").write_text(json.dumps(document | change))
        done = call("gate", "m.json", "--limits", "wide.toml", "--accept-unverified")
        assert done.returncode == 2 and "damaged run document" in done.stderr, change
    unknown = call("measure", "trials.csv", "--class", "memberhip")
    assert unknown.returncode == 2 and "did you mean membership?" in unknown.stderr
