"""The notebooks of the docs run as they stand, and what they print is what their words say."""

from __future__ import annotations

import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

pytest.importorskip("nbclient")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))}
BITS = re.compile(r"([\d.]+) (?:bit[^\n\[]*)?\[([\d.]+), ([\d.]+)\]")


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What a notebook prints, run as the site runs it."""
    spec = spec_from_file_location("site_pages", ROOT / "docs" / "site_pages.py")
    site = module_from_spec(spec)
    spec.loader.exec_module(site)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT / "src"))
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        yield lambda name: "\n".join(
            site.printed_by(cell) for cell in site.executed(NOTEBOOKS[name])["cells"]
        )


def test_they_are_kept_without_what_they_printed():
    assert len(NOTEBOOKS) == 3
    for path in NOTEBOOKS.values():
        cells = json.loads(path.read_text())["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        assert code and all(c["outputs"] == [] and c["execution_count"] is None for c in code)


def test_a_model_of_yours(printed):
    text = printed("own_model")
    rows = BITS.findall(text)
    assert len(rows) >= 4 and all(float(a) <= float(x) <= float(b) for x, a, b in rows)
    assert "rounding  static" in text


def test_a_release_and_its_gate(printed):
    text = printed("release")
    assert text.index("copied: over") < text.index("exit code 1") < text.index("drawn: pass")
    assert text.rstrip().endswith("exit code 0")


def test_an_attack_of_ones_own(printed):
    (_, live, _), (_, dead, high) = BITS.findall(printed("own_attack"))
    assert float(live) > 0 and float(dead) == 0 and float(high) < 0.02
