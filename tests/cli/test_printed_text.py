"""Text of somewhere else cannot act on a terminal, a page or a log: over all verbs and formats."""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import hartley.cli
from hartley.cli.terminal import print_json
from hartley.core.control_characters import one_line, visible, visible_json
from hartley.report.render import FORMATS, render

EVIL = "\x1b[2J\x1b]0;x\x07\r\n\tpass\x00\x7f\x9b31m\u202e\u2066\u2069\u200f\u2028\ufeff\U000e0041"
EVIL += "\ud800 |`<script>alert(1)</script>&]]>![x](y)"
RAW = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)


def test_every_character_that_acts_is_escaped_and_no_other():
    for code in (*range(0x3000), *range(0xD7FF, 0xE001), 0xFEFF, 0xE0041, 0x1F600):
        c = chr(code)
        acts = RAW.match(c) is not None or c == "\u180e"
        assert (visible(f"a{c}b") != f"a{c}b") == acts, ascii(c)
        assert one_line(f"a{c}b").isprintable() or c in "\u00a0\u00ad\u202f" or not acts, ascii(c)
    assert visible("a\tb\n") == "a\tb\n" and one_line("a\r\n\tb") == "a b"
    assert visible("\x1b[1m") == "\\x1b[1m" and one_line("x" * 9, 4) == "xxx…"


def test_json_means_the_same_and_shows_everything(capsys):
    value = {EVIL: [EVIL, "\U000e0041"]}
    print_json(value)
    out = capsys.readouterr().out
    assert not RAW.search(out) and json.loads(out) == value
    assert json.loads(visible_json(json.dumps(value, ensure_ascii=False))) == value


def spoilt(value):
    """A document whose free texts hold what acts on a terminal; its words keep their meaning."""
    if isinstance(value, dict):
        free = ("reason", "attack", "game", "name", "assumptions", "flags", "reasons", "notes")
        return {
            key: _with(item) if key in free and isinstance(item, str | list) else spoilt(item)
            for key, item in value.items()
        }
    return [spoilt(item) for item in value] if isinstance(value, list) else value


def _with(item):
    return f"{item}{EVIL}" if isinstance(item, str) else [_with(text) for text in item] or [EVIL]


@pytest.fixture
def document(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "report")
    sample = import_module("sample")
    return spoilt(json.loads(json.dumps(sample.document())))


@pytest.mark.parametrize("format", FORMATS)
def test_a_report_shows_what_it_was_given(document, format):
    text = render(document, format)
    assert not RAW.search(text)
    assert "<script>alert" not in text or format in ("json", "sarif", "atlas")
    if format == "junit":
        ET.fromstring(text.partition("?>")[2])
    if format in ("json", "sarif", "atlas"):
        json.loads(text)
    if format == "md":
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert rows
        for line in rows:  # neither a cell nor a row more than the heading has
            assert len(re.findall(r"(?<!\\)\|", line)) in (4, 7, 8, 10)
        assert "\n pass" not in text and "`<" not in text


@pytest.mark.parametrize("format", ["md", "sarif"])
def test_the_report_of_the_command_too(call, tmp_path, document, format):
    (tmp_path / "run.json").write_text(json.dumps(document))
    done = call("report", "run.json", "--format", format, "--out", "out")
    assert done.returncode == 0, done
    assert not RAW.search((tmp_path / "out").read_text())


def test_every_verb_prints_visible_text(call, tmp_path, document):
    """The verbs that read a document or a table print names, reasons and columns of it."""
    (tmp_path / "run.json").write_text(json.dumps(document))
    (tmp_path / "limits.toml").write_text("[limits]\nmembership = 0.01\n")
    row = document["channels"][0]["id"]
    (tmp_path / "t.csv").write_text(f'truth,guess,"{EVIL.encode("utf-8", "replace").decode()}"\n')
    with (tmp_path / "t.csv").open("a") as table:
        table.write("0,0,1\n1,1,2\n" * 20)
    for words in (
        ("gate", "run.json", "--limits", "limits.toml"),
        ("gate", "run.json", "--limits", "limits.toml", "--json"),
        ("show", "./run.json"),
        ("show", "./run.json", "--json"),
        ("show", "./run.json", row),
        ("show", "./run.json", row, "--json"),
        ("show", "./run.json", EVIL.replace("\0", "").replace("\ud800", "")),
        ("report", "run.json", "--format", "md"),
        ("measure", "t.csv"),
        ("measure", "t.csv", "--json"),
        ("list", EVIL.replace("\0", "").replace("\ud800", "")),
        ("assess", "--scene", "\x1b[31m\u202e"),
        ("attack", "\x1b[31m\u202e"),
        ("chain", "\x1b[31m", "lira", "--scene", "digits"),
        ("pack", "get", "\x1b[31m\u202e"),
        ("new", "attack", "\x1b[31m\u202e"),
        ("plan", "\x1b[31m\u202e", "--power"),
        ("\x1b[31m\u202e",),
    ):
        done = call(*words)
        assert not RAW.search(done.stdout + done.stderr), (words, done)
        assert "Traceback" not in done.stderr and done.stdout + done.stderr, (words, done)
        forged = [line for line in done.stdout.splitlines() if line.lstrip().startswith("pass")]
        assert not forged, (words, forged)


def test_a_broken_plugin_cannot_act_either(call, strangers, tmp_path, monkeypatch):
    """Its names and the message of its error are listed as they are."""
    (tmp_path / "evil-1.dist-info").mkdir()
    (tmp_path / "evil-1.dist-info" / "METADATA").write_text("Name: ev\x1b[31mil\nVersion: 1\n")
    (tmp_path / "evil-1.dist-info" / "entry_points.txt").write_text(
        "[hartley.parts]\nred\x1b[31m\u202e = gone\x1b[31m\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    hartley.catalog.refresh()
    for words in (("list",), ("list", "--json"), ("list", "--matrix")):
        done = call(*words)
        assert done.returncode == 0 and not RAW.search(done.stdout + done.stderr)
    assert "31m" in call("list").stdout


def test_only_one_file_prints():
    folder = Path(hartley.cli.__file__).parent
    for path in folder.glob("*.py"):
        printed = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ]
        assert bool(printed) == (path.name == "terminal.py"), f"{path.name}: lines {printed}"
