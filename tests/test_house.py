"""The house keeps its shape: light imports, exact public names, small files, no forbidden names."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import hartley

SRC = Path(hartley.__file__).parent
FILES = sorted(SRC.rglob("*.py"))
ROOT = Path(__file__).parents[1]
BESIDE = sorted(path for room in ("tests", "bench") for path in (ROOT / room).rglob("*.py"))
HEAVY = {"torch", "scipy", "sklearn", "transformers", "matplotlib", "pandas", "skimage", "opacus"}
FORBIDDEN = {"utils", "common", "helpers", "misc", "manager", "base"}


def lines_of_code(source: str) -> int:
    """Lines that hold code: blank lines, comments and docstrings are not counted."""
    tree = ast.parse(source)
    quiet: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            quiet |= {*range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in quiet
        for number, line in enumerate(source.splitlines(), 1)
    )


def test_public_names_are_exactly_these() -> None:
    assert sorted(hartley.__all__) == sorted(
        [
            "ALL",
            "Access",
            "Axis",
            "Channel",
            "Data",
            "Deal",
            "Flow",
            "Modality",
            "Model",
            "Term",
            "Outcome",
            "Output",
            "Quantity",
            "Range",
            "Role",
            "Round",
            "Scene",
            "Stronger",
            "Trials",
            "View",
            "AnswerForm",
            "__version__",
            "assess",
            "attack",
            "audit",
            "defense",
            "game",
            "log_probabilities",
            "probabilities",
            "measure",
            "play",
            "recipe",
            "wrap_answers",
            "wrap_models",
        ]
    )
    for name in hartley.__all__:
        assert getattr(hartley, name) is not None


def test_no_public_name_is_a_sub_package() -> None:
    packages = {m.name for m in pkgutil.iter_modules([str(SRC)])}
    assert not packages & set(hartley.__all__)


def test_importing_hartley_is_light() -> None:
    code = (
        "import time; t = time.process_time(); import hartley; "
        "import sys; print(*sorted(set(m.split('.')[0] for m in sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & (HEAVY | {"numpy", "pyarrow", "rich", "cyclopts"})


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_a_file_keeps_the_rules(path: Path) -> None:
    source = path.read_text()
    relative = path.relative_to(SRC)
    shared = relative.parts[0] != "attacks" or "_shared" in relative.parts
    an_attack = not shared and "@attack(" in source
    lines, limit = (source.count("\n"), 120) if an_attack else (lines_of_code(source), 600)
    assert lines <= limit, f"{relative} has {lines} lines, the limit is {limit}"
    assert path.stem not in FORBIDDEN, f"{relative}: name what it does"
    tree = ast.parse(source)
    assert ast.get_docstring(tree), f"{relative} has no docstring"
    if "cli" not in relative.parts:
        printed = [
            n.lineno
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "print"
        ]
        assert not printed, f"{relative} prints on lines {printed}"


def test_tests_and_benches_keep_the_same_limit() -> None:
    assert len(BESIDE) > 50
    lines = {str(path.relative_to(ROOT)): lines_of_code(path.read_text()) for path in BESIDE}
    assert not {name: n for name, n in lines.items() if n > 600}


GAME_WORDS = {"Deal", "Round", "View", "Outcome", "Received", "Scene", "Applied"}


@pytest.mark.parametrize("room", ["kit", "infotheory"])
def test_tools_know_no_game(room: str) -> None:
    """Tools that games, attacks and defenses share import none of a game's records."""
    paths = list((SRC / room).rglob("*.py"))
    assert len(paths) > 5
    for path in paths:
        imported = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hartley.core")
            for alias in node.names
        }
        assert not imported & GAME_WORDS, f"{path}: {sorted(imported & GAME_WORDS)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_core_is_standard_library_only(path: Path) -> None:
    if path.relative_to(SRC).parts[0] not in {"core", "catalog"}:
        return
    for node in ast.parse(path.read_text()).body:
        names = (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        for name in names:
            top = name.split(".")[0]
            assert top == "hartley" or top in sys.stdlib_module_names, f"{path.name}: {name}"


def test_no_room_but_scenes_and_models_loads_a_heavy_library_on_import() -> None:
    """Every module imports in one process without a heavy library, but those that are one."""
    own = ("hartley.models.", "hartley.kit.")
    names = [
        m.name
        for m in pkgutil.walk_packages([str(SRC)], "hartley.")
        if not m.name.startswith(own) and ".cli." not in m.name
    ]
    code = f"import importlib, sys\nfor n in {names!r}: importlib.import_module(n)\n"
    code += f"print(*(sorted({HEAVY!r} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not done.stdout.split(), f"loaded: {done.stdout}"


def test_every_sub_package_imports() -> None:
    for module in pkgutil.walk_packages([str(SRC)], "hartley."):
        importlib.import_module(module.name)
