"""The pages of ``design/`` and ``docs/`` name files, modules and functions that exist."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import hartley

ROOT = Path(__file__).parents[1]
SRC = Path(hartley.__file__).parent
WALK = ROOT / "design" / "walk.md"
PAGES = sorted(
    [
        *ROOT.glob("design/*.md"),
        *ROOT.glob("docs/*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    ]
)
ROOMS = {path.name for path in SRC.iterdir() if (path / "__init__.py").exists()}


def defined_in(path: Path) -> set[str]:
    """Names of the functions, methods and classes of a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


def spans(page: Path) -> list[str]:
    """What a page sets as code, outside of its blocks."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return re.findall(r"`([^`]+)`", prose)


def steps() -> Iterator[str]:
    text = WALK.read_text()
    yield from re.findall(r"^\d+\. (.*?)(?=^\d+\. |\Z)", text, re.DOTALL | re.MULTILINE)


def test_the_walk_has_at_most_twelve_steps() -> None:
    assert 8 <= len(list(steps())) <= 12


@pytest.mark.parametrize("step", list(steps()), ids=lambda step: re.split(r"\W+", step)[1].lower())
def test_a_step_of_the_walk_names_what_exists(step: str) -> None:
    """A span with a slash and ``.py`` is a file, and the names after it are defined in it."""
    names = re.findall(r"`([^`]+)`", step)
    files = [name for name in names if name.endswith(".py")]
    assert files, "a step names the file in which it happens"
    everywhere = set()
    for name in names:
        if name.endswith(".py"):
            assert (SRC / name).is_file(), name
            everywhere |= defined_in(SRC / name)
    pairs = re.findall(r"`([^`]+\.py)`\s+`([A-Za-z_]+)`", step)
    assert pairs, "a step names the function that does it"
    for file, function in pairs:
        assert function in defined_in(SRC / file), f"{file} has no {function}"


def _is_module(dotted: str) -> bool:
    path = SRC.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def _resolves(dotted: str) -> bool:
    """Whether a dotted name below ``hartley`` is a module, or an attribute of one."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        if _is_module(".".join(parts[:cut])):
            value = importlib.import_module(f"hartley.{'.'.join(parts[:cut])}")
            for name in parts[cut:]:
                if not hasattr(value, name):
                    return False
                value = getattr(value, name)
            return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_and_modules_of_a_page_exist(page: Path) -> None:
    missing = []
    for span in spans(page):
        for path in re.findall(r"(?<![\w/.])(?:[a-z_]+/)+[\w.]+\.(?:py|toml|tsv|json|md)\b", span):
            if Path(path).stem not in {"x", "my_attack"}:
                here = (SRC, ROOT, ROOT / "design", ROOT / "src")
                missing += [path] * (not any((top / path).is_file() for top in here))
        for dotted in re.findall(r"(?<![\w./])(?:hartley\.)?[a-z_]+(?:\.[A-Za-z_]\w*)+", span):
            name = dotted.removeprefix("hartley.")
            if name.split(".")[0] in ROOMS and not re.search(r"\.(py|toml|md|json|sqlite)$", name):
                missing += [dotted] * (not _resolves(name))
    assert not missing


def test_the_modules_of_the_scripts_that_are_cited_exist() -> None:
    """The commands of ``design/reproduced.md`` are scripts in ``bench/``."""
    cited = {
        span.split()[0]
        for span in spans(ROOT / "design" / "reproduced.md")
        if re.match(r"\w+\.py\b", span)
    }
    assert len(cited) > 5
    assert not {name for name in cited if not (ROOT / "bench" / name).is_file()}
