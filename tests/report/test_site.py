"""The docs site: every page and part is in it, it builds without a fault, and loads nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import yaml

from hartley import catalog
from hartley.cli.assess import plans

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    spec = spec_from_file_location("site_pages", ROOT / "docs" / "site_pages.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(script):
    return script.pages()


@pytest.fixture(scope="module")
def built(script, tmp_path_factory):
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    script.main(folder / "build" / "pages")
    command = [Path(sys.executable).parent / "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "site"


def _nav(entries):
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        else:
            for below in entry.values():
                yield from _nav(below)


def test_every_page_is_in_the_menu_once(pages):
    listed = list(_nav(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize("kind", ["attack", "defense", "game", "scene"])
def test_every_part_is_in_the_catalogue(pages, kind):
    page = pages[f"catalogue/{kind}s.md"].replace("\\", "")
    names = {e.name for e in catalog.entries(kind) if e.kind == kind and e.origin == "hartley"}
    in_page = re.findall(r"^\| (\w+(?::\w+)?) \|", page, re.MULTILINE)
    assert sorted(name for name in in_page if name != "name") == sorted(names)


def test_every_plan_has_its_picture_and_its_text(pages):
    page = pages["catalogue/plans.md"]
    assert page.count("<svg") == len(plans())
    for name, text in plans().items():
        assert f"## {name}\n" in page
        assert text() in page
    (of_agent,) = re.findall(r"## agent\n\n.*?\n\n(<svg.*?</svg>)", page, re.DOTALL)
    assert "2 attacks" in of_agent and "indirect_injection" in of_agent


def test_it_builds_without_a_fault_and_loads_nothing_from_elsewhere(built):
    html = list(built.rglob("*.html"))
    assert len(html) > 50
    for page in html:
        text = page.read_text()
        loaded = re.findall(
            r"<(?:script|img|link|iframe)[^>]*(?:src|href)=\"?(https?:[^\"> ]+)", text
        )
        assert not loaded, (page, loaded)
