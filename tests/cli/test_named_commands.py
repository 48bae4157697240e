"""Every command that a message, a docstring or a page names is one that the command line has."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import hartley
from hartley import catalog
from hartley.cli.attack import _application
from hartley.cli.list import WHAT
from hartley.cli.main import VERBS, build
from hartley.core import errors
from hartley.core.errors import UnknownName

SRC = Path(hartley.__file__).parent
ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
COMMAND = re.compile(r"(?<![\w/.'-])hartley ((?:--)?[a-zA-Z{](?:[^`'\"\n;)&#|?]|\.(?=\w))*)")
NOT_COMMANDS = {"COMMAND", "seed", "seed {}", "{}"}
"""Texts that begin with its name: the usage, the label of seeds, the name of a JUnit suite."""


def strings(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts = (v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def named(text: str) -> list[str]:
    return [match[1].strip() for match in COMMAND.finditer(text)]


def commands() -> dict[str, set[str]]:
    """Each named command, with the files that name it."""
    where: dict[str, set[str]] = {}
    texts = {path: "\n".join(strings(path.read_text("utf-8"))) for path in SRC.rglob("*.py")}
    texts |= {path: path.read_text("utf-8") for path in PAGES if path.name != "CHANGELOG.md"}
    for path, text in texts.items():
        for command in named(text):
            where.setdefault(command, set()).add(str(path))
    return where


@cache
def application(verb: str, part: str = ""):
    """The command of a verb, or that of an attack."""
    return _application(part) if part else build(verb)[verb]


@cache
def flags(verb: str, part: str = "") -> set[str]:
    """The flags of a verb, of one of its commands, or of an attack."""
    app = application(verb, part if verb == "attack" else "")
    app = app[part] if part and verb != "attack" else app
    if app.default_command is None:  # a verb of several commands, named alone
        return {"--help"}
    named_flags = {
        name for argument in app.assemble_argument_collection() for name in argument.names
    }
    return named_flags | {"--help", "-h", "--version"}


def mistake(command: str) -> str:
    """Return what the command line would not take of a command, or an empty string."""
    words = command.split()
    verb = words[0]
    if verb.startswith("--"):
        return "" if verb in {"--help", "--version"} else f"no flag {verb}"
    if verb.startswith("{"):
        return "" if verb.endswith("--help") else "a verb that is not known"
    if verb.rstrip(".,:") not in VERBS:
        return f"no verb {verb}"
    given = {re.split(r"[=.,\]]", word.strip("[].,"))[0] for word in words[1:] if "--" in word[:3]}
    given -= {"--its-own-parameters"}  # the usage line of attack
    first = words[1].strip(".,:") if len(words) > 1 else ""
    if verb == "list" and first.islower() and first.isalpha() and first not in WHAT:
        return f"nothing to list named {first}"
    part = ""
    if verb in {"pack", "new", "canaries"} and first.islower() and first.isalpha():
        if first not in set(application(verb)):
            return f"{verb} has no command {first}"
        part = first
    if verb == "guard" and first in set(application(verb)):
        part = first
    if verb == "attack":
        known = {entry.name for entry in catalog.entries("attack")}
        part = first if first in known else "lira"
        if not given <= flags(verb, part) and first not in known:
            return ""  # an attack of the reader's own, with flags of its own
    unknown = given - flags(verb, part)
    return f"{verb} has no flag {', '.join(unknown)}" if unknown else ""


def test_every_named_command_exists():
    listed = commands()
    assert len(listed) > 60  # the pattern finds them
    wrong = {
        command: (why, sorted(files))
        for command, files in listed.items()
        if command not in NOT_COMMANDS and (why := mistake(command))
    }
    assert not wrong


@pytest.mark.parametrize(
    "command",
    ["list classs", "list classes", "lst", "plan --powr x.toml", "attack lira --referencs 3"],
)
def test_a_command_that_is_not_there_is_noticed(command):
    assert mistake(command)


def test_an_unknown_name_points_to_a_command_that_exists_or_lists_the_names():
    kinds = set()
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = getattr(getattr(node, "func", None), "id", "")
            if called == "UnknownName" and isinstance(node.args[0], ast.Constant):
                kinds.add(node.args[0].value)
    assert {"class", "axis", "modality", "pack"} <= kinds
    for kind in kinds | set(errors.LISTINGS):
        message = str(UnknownName(kind, "zzzz", ["alpha", "beta"]))
        assert named(message.replace("`", "")) or "choose from alpha, beta" in message
        assert not [c for c in named(message) if mistake(c)], message


def test_a_limit_on_what_is_not_a_class_lists_the_classes(call, tmp_path):
    (tmp_path / "limits.toml").write_text('[limits]\n"scene:zzz" = 0.1\n')
    done = call("gate", "x", "--limits", "limits.toml")
    assert done.returncode == 2 and "choose from " in done.stderr and "membership" in done.stderr
    assert "hartley list class" not in done.stderr


def test_a_command_without_what_it_needs_says_the_whole_command(call):
    assert "see: hartley canaries make --help" in call("canaries", "make").stderr
    assert 'Did you mean "get"? See: hartley pack --help' in call("pack", "gett").stderr


def test_the_package_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "hartley", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, hartley.__version__), done.stderr
