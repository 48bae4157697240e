"""A run that Hartley itself has just made can be read in every format."""

import json

import pytest

from hartley.cli.main import run
from hartley.report import FORMATS, render


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Assess the live wire of membership, and read what was stored."""
    store = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARTLEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        arguments = ["assess", "--scene", "live:membership", "--only", "loss_threshold"]
        code = run([*arguments, "--workers", "0", "--store", str(store), "--run", "one"])
    assert code == 0
    return json.loads((store / "one" / "run.json").read_text())


@pytest.mark.parametrize("format", FORMATS)
def test_a_real_run_is_drawn(format, made):
    text = render(made, format)
    assert "loss_threshold" in text.replace("\\_", "_")
    (row,) = [c for c in made["channels"] if c["status"] == "measured"]
    low = row["bits"]["low"]
    assert low > 0.3  # the live wire leaks
    assert f"{low:.3f}" in text or repr(low) in text


def test_the_page_of_a_real_run_says_what_was_not_played(made):
    skipped = [c for c in made["channels"] if c["status"] == "skipped"]
    text = render(made, "html")
    assert skipped
    for row in skipped:
        assert row["attack"] in text
    assert "No limits were set" in text
