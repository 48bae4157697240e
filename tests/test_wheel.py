"""The wheel: all that the source holds, nothing else, and the command starts from it alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from hartley import __version__, catalog

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as bundle:
        yield bundle


def test_it_holds_every_file_of_the_package_and_no_other(wheel) -> None:
    source = {
        path.relative_to(SRC).as_posix()
        for path in (SRC / "hartley").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel.namelist() if not name.endswith("/")}
    about = {name for name in packed if name.startswith(f"hartley-{__version__}.dist-info/")}
    assert packed - about == source
    for name in ("py.typed", "report/words.toml", "store/verify_pack.py"):
        assert f"hartley/{name}" in packed
    endings = {Path(name).suffix for name in source}
    assert {".toml", ".tsv", ".json"} <= endings


def test_its_metadata_names_the_command_and_small_needs(wheel) -> None:
    about = f"hartley-{__version__}.dist-info"
    metadata = message_from_string(wheel.read(f"{about}/METADATA").decode())
    assert wheel.read(f"{about}/entry_points.txt").decode().splitlines() == [
        "[console_scripts]",
        "hartley = hartley.cli.start:main",
    ]
    base = [need for need in metadata.get_all("Requires-Dist") if "extra ==" not in need]
    names = {need.split(">")[0] for need in base}
    assert names == {"numpy", "scipy", "cyclopts", "rich", "pyarrow", "platformdirs", "filelock"}
    everything = [need for need in metadata.get_all("Requires-Dist") if "'all'" in need]
    assert everything and not any("ray" in need.split(";")[0] for need in everything)
    assert metadata["License-Expression"] == "Apache-2.0"


def test_a_scene_names_all_extras_that_it_lacks_in_one_line(tmp_path) -> None:
    """In a process from which the libraries of two extras are hidden."""
    start = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in {'torch', 'safetensors', 'sklearn', 'skimage'}:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from hartley.engine.build_scene import build\n"
        "from hartley.core.errors import MissingExtra\n"
        "for scene in ('digits', 'income'):\n"
        "    try: build(scene)\n"
        "    except MissingExtra as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", start], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    of_two, of_one = done.stdout.splitlines()
    assert of_two == "sklearn is not installed; try: pip install 'hartley[torch,vision]'"
    assert of_one.endswith("try: pip install 'hartley[torch]'")


def test_scenes_declare_extras_that_there_are() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = set(extras["optional-dependencies"])
    scenes = [e for e in catalog.entries("scene") if e.origin == "hartley"]
    declared = {e.name: set(e.declared.get("extras") or ()) for e in scenes}
    assert all(names <= known for names in declared.values())
    assert declared["digits"] == {"torch", "vision"}
    assert len([names for names in declared.values() if names]) > 40


def test_the_command_starts_from_the_wheel_alone(wheel, tmp_path) -> None:
    """Imported out of the archive's own files, with no source tree in reach."""
    site = tmp_path / "site"
    wheel.extractall(site)
    start = (
        "import hartley, pathlib, sys;"
        f"assert pathlib.Path(hartley.__file__).is_relative_to({str(site)!r}), hartley.__file__;"
        "from hartley.cli.start import main;"
        "sys.argv[0] = 'hartley'; main()"
    )
    for words, expected in {
        ("--version",): __version__,
        ("list", "attacks"): "loss_threshold",
        ("list", "plans"): "demo",
    }.items():
        done = subprocess.run(
            [sys.executable, "-c", start, *words],
            env={**os.environ, "PYTHONPATH": str(site)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
