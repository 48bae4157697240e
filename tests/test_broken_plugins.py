"""A plugin that cannot be read costs a line of the list, and not the list."""

from __future__ import annotations

import os
import time

import pytest

from hartley import catalog
from hartley.cli.main import run

ATTACK = '''"""A part."""
from hartley import ALL, attack
from hartley.games.membership import membership


@attack(game=membership, access=None, term=None, modalities=ALL)
def works(view, rng):
    """It works."""
'''
DEEP = 10**5
MODULES = {
    "signs": "x = " + "-" * DEEP + "1\n" + ATTACK,
    "brackets": "x = " + "(" * DEEP + ")" * DEEP + "\n" + ATTACK,
    "lists": "x = " + "[" * 90 + "]" * 90 + "\n" + "if x:\n pass\n" + ("x" + "[0]" * DEEP),
    "sums": "x = 1" + " + 1" * DEEP + "\n" + ATTACK,
    "dots": "x = a" + ".b" * DEEP + "\n" + ATTACK,
    "union": ATTACK.replace("ALL)", "A" + " | A" * 5000 + ")"),
    "nul": "x = 1\n\0\n" + ATTACK,
    "latin": b"x = '\xe9'\n" + ATTACK.encode(),
    "syntax": "def (\n" + ATTACK,
    "tabs": "if x:\n\ta\n        b\n",
    "declared": "# coding: nonsense\n" + ATTACK,
    "long": ATTACK + "#" * (2**22),
}


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Return what installs plugins: modules by name, under a distribution of entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(entry_points, distribution="evil"):
        home = tmp_path / f"{distribution}-1.dist-info"
        home.mkdir(exist_ok=True)
        (home / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
        text = entry_points if isinstance(entry_points, bytes) else entry_points.encode()
        (home / "entry_points.txt").write_bytes(text)
        catalog.refresh()

    yield install
    monkeypatch.undo()
    catalog.refresh()


def listed(capsys):
    """Return the lines of ``hartley list`` about what cannot be used; the rest must be there."""
    begun = time.monotonic()
    assert run(["list"]) == 0
    out, err = capsys.readouterr()
    assert time.monotonic() - begun < 10
    assert "loss_threshold" in out and "Traceback" not in err
    return [line for line in out.splitlines() if "CANNOT BE USED" in line]


def test_modules_that_cannot_be_read_are_a_line_each(plugins, tmp_path, capsys):
    points = ["[hartley.parts]"]
    for name, text in MODULES.items():
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / f"evil_{name}.py").write_bytes(content)
        points.append(f"{name} = evil_{name}")
    (tmp_path / "evil_folder.py").mkdir()
    os.mkfifo(tmp_path / "evil_pipe.py")
    (tmp_path / "evil_loop.py").symlink_to("evil_loop.py")
    (tmp_path / "evil_zero.py").symlink_to("/dev/zero")
    with (tmp_path / "evil_huge.py").open("wb") as file:
        file.truncate(2**30)
    (tmp_path / "good_module.py").write_text(ATTACK.replace("works", "works_well"))
    names = [*MODULES, "folder", "pipe", "loop", "zero", "huge", "absent"]
    points += [f"{name} = evil_{name}" for name in names[len(MODULES) :]]
    plugins("\n".join([*points, "good = good_module", ""]))
    lines = listed(capsys)
    for name in names:
        about = [line for line in lines if name in line]
        assert len(about) == 1, (name, lines)
    assert any(entry.name == "works_well" for entry in catalog.entries("attack"))
    (tmp_path / "plan.toml").write_text('scene = "digits"\nonly = ["signs"]\n')
    assert run(["assess", str(tmp_path / "plan.toml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("target", ["/", "."])
def test_a_package_that_is_a_link_to_the_root_or_to_itself(plugins, tmp_path, capsys, target):
    if target == "/":
        (tmp_path / "evil_package").symlink_to("/")
    else:
        (tmp_path / "evil_package").mkdir()
        (tmp_path / "evil_package" / "inner").symlink_to("..")
        (tmp_path / "evil_package" / "inner_2").symlink_to(".")
        (tmp_path / "evil_package" / "part.py").write_text(ATTACK)
    plugins("[hartley.parts]\nevil = evil_package\n")
    lines = listed(capsys)
    if target == "/":
        assert len(lines) == 1 and "must hold at most 10,000 files" in lines[0]
    else:
        assert any(entry.name == "works" for entry in catalog.entries("attack"))


POINTS = [
    "[hartley.parts]\nno sign of equality\n",
    "[hartley.parts]\nodd = not a module!\n",
    "[hartley.parts]\nodd = \n",
    "[hartley.parts]\nodd = .\n",
    "[hartley.parts]\nodd = ..up\n",
    "[hartley.parts]\n = nameless\n",
    "[hartley.parts\nodd = os\n",
    "odd = os\n",
    b"[hartley.parts]\nodd = \xff\xfe\n",
    b"\0\0",
    "[hartley.parts]\nodd = " + "x" * DEEP + "\n",
    "[hartley.parts]\nodd = " + ".".join("x" * 2000) + "\n",
    "[hartley.parts]\nodd = os.path\nodd = sys\nodd = builtins\n",
]


def test_a_broken_list_of_entry_points_costs_one_distribution(plugins, tmp_path, capsys):
    (tmp_path / "good_module.py").write_text(ATTACK.replace("works", "works_well"))
    plugins("[hartley.parts]\ngood = good_module\n", "good")
    for text in POINTS:
        plugins(text)
        assert len(listed(capsys)) <= 5, text
        assert any(entry.name == "works_well" for entry in catalog.entries("attack")), text


def test_a_declaration_in_a_dictionary_costs_its_own_line(plugins, tmp_path, capsys):
    declaration = next(line for line in ATTACK.splitlines() if line.startswith("@attack("))
    text = ATTACK.replace(declaration, "WORDS = {}\n\n\n@attack(**WORDS)")
    (tmp_path / "evil_words.py").write_text(text)
    plugins("[hartley.parts]\nwords = evil_words")
    assert len(lines := listed(capsys)) == 1 and "works" in lines[0] and "by its name" in lines[0]
