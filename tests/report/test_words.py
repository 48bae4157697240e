"""Every word that a report prints is explained, once, for the page and the command line."""

from __future__ import annotations

import ast
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

import hartley
from hartley.channel.trials import assumption_checks, carriers, split_quality
from hartley.cli.terminal import COLUMNS
from hartley.report.format_numbers import EXACT, TITLES, VERDICTS, metric
from hartley.report.md import CHANNEL_HEAD
from hartley.report.render import render
from hartley.report.words import find, words

SRC = Path(hartley.__file__).parent
DOCS = Path(__file__).parents[2] / "docs"
COUNTED = {"n", "value", "low", "high", "point", "lr", "epochs"}
"""Keys of figures and of a training recipe that stand in the same literals as metrics."""


def _text(node: ast.AST | None) -> str | None:
    """A string, with a word or a digit for whatever is put into it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else _filling(part) for part in node.values
        )
    return None


def _filling(part: ast.expr) -> str:
    word = ast.unparse(part)
    return "before" if "word" in word else "psnr" if "name" in word else "1"


def _texts(nodes) -> set[str]:
    return set(filter(None, map(_text, nodes)))


def _keys(node: ast.AST) -> set[str]:
    """The keys of the outermost dictionaries in an expression."""
    if isinstance(node, ast.Dict):
        return _texts(node.keys)
    if isinstance(node, ast.DictComp):
        return _texts([node.key])
    return set().union(*map(_keys, ast.iter_child_nodes(node)))


def _name(node: ast.AST) -> str:
    node = node.value if isinstance(node, ast.Subscript) else node
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _assigned(node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> set[str]:
    """Keys that are written into a variable of metrics."""
    keys: set[str] = set()
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        for one in target.elts if isinstance(target, ast.Tuple) else [target]:
            if _name(one).endswith("metrics") or _name(one) in ("out", "identified"):
                keys |= set() if node.value is None else _keys(node.value)
                keys |= _texts([one.slice]) if isinstance(one, ast.Subscript) else set()
    return keys


def _returned(node: ast.FunctionDef) -> set[str]:
    """Keys that a function of metrics returns."""
    made = ast.unparse(node.returns) if node.returns is not None else ""
    if "metrics" not in node.name and "Mapping[str, float]" not in made:
        return set()
    answers = (child for child in ast.walk(node) if isinstance(child, ast.Return) and child.value)
    return set().union(*(_keys(answer) for answer in answers))


def _metrics(tree: ast.AST) -> set[str]:
    """Names of metrics that a module writes into ``metrics``, or that a game declares."""
    keys: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "metrics":
            declared = ast.walk(node.value) if isinstance(node.value, ast.Tuple) else ()
            keys |= _keys(node.value) | _texts(declared)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            keys |= _assigned(node)
        elif isinstance(node, ast.FunctionDef):
            keys |= _returned(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            appended = node.func.attr == "append" and _name(node.func.value).endswith("metrics")
            keys |= _keys(node) if appended else set()
    return keys


def _written() -> set[str]:
    return {
        key
        for room in ("channel", "games", "engine")
        for path in (SRC / room).rglob("*.py")
        for key in _metrics(ast.parse(path.read_text()))
    } - COUNTED


def test_every_metric_that_the_code_writes_is_explained():
    written = _written()
    assert len(written) > 60
    assert {"auc", "fidelity", "token_f1", "discoverable_n1", "exposure"} <= written
    assert not sorted(key for key in written if find(key) is None)


def test_every_key_of_a_row_is_explained():
    schema = json.loads(files("hartley.reference").joinpath("run.schema.json").read_text("utf-8"))

    def properties(node):
        if isinstance(node, dict):
            yield from node.get("properties", {})
            for value in node.values():
                yield from properties(value)

    keys = set(properties(schema))
    assert len(keys) > 100
    assert not sorted(key for key in keys if find(key) is None)


def test_every_flag_is_explained():
    marks = {split_quality.MARK, carriers.SILENT, assumption_checks.BROKEN}
    for path in (SRC / "channel").rglob("*.py"):
        for text in filter(None, map(_text, ast.walk(ast.parse(path.read_text())))):
            marks |= set(re.findall(r"^([A-Z]{3,} [A-Z]{3,})\b", text))
    assert len(marks) == 4
    assert not sorted(mark for mark in marks if find(mark) is None or find(mark).name != mark)


def test_titles_verdicts_and_headings_are_explained():
    headings = [*COLUMNS, *CHANNEL_HEAD]
    for word in (*headings, *VERDICTS, *TITLES.values(), *EXACT.values(), "FAILED", "FLAGGED"):
        assert find(word) is not None, word
    for key in _written():
        assert find(metric(key)) is not None, metric(key)


def test_one_word_has_one_entry():
    names = [name.casefold() for entry in words() for name in (entry.name, *entry.also)]
    assert sorted({n for n in names if names.count(n) > 1}) == []


@pytest.mark.parametrize("entry", words(), ids=lambda entry: entry.name)
def test_an_entry_leads_to_a_place_that_is_there(entry):
    page, _, anchor = entry.read.partition("#")
    text = (DOCS / page).read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    anchors = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}
    assert not anchor or anchor in anchors
    assert len(entry.says) > 60
    assert entry.says.endswith(".")
    assert entry.how.endswith(".")


def test_the_page_defines_what_it_shows(document):
    page = render(document, "html")
    auc, blind = find("auc"), find("blind_auc")
    assert auc.says[:60].replace("½", "") in page.replace("½", "")
    assert blind.says[:40] not in page  # no row of it has a blind baseline
