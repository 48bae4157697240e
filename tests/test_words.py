"""Messages, help, docstrings and pages keep to the ten rules of ``design/english.md``."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import hartley

ROOT = Path(__file__).parents[1]
SRC = Path(hartley.__file__).parent
ROOMS = sorted({path.relative_to(SRC).parts[0] for path in SRC.rglob("*.py")} - {"__init__.py"})


SPEAKERS = {"about", "expect", "note", "print", "raise_from"}
"""Functions whose strings a user reads, besides the exceptions."""

WORDS = {
    r"\bdue\b(?! to\b)": "2: say what must be, and what was given",
    r"\b(one|two|three|four|\d+) at (the )?least\b": "1: at least two",
    r"\btold\b": "4: says, reports, is given",
    r"\btells?\b(?! \w+ (apart|from))": "4: says, reports, shows",
    r"\b(lies?|lay|lain) (in|beside|near|behind)\b": "4: is in, is beside",
    r"\b(stands?|stood)\b(?! (for|alone)\b)": "4: is in, is beside, applies",
    r"(?<!there )\b(is|are|was|were) no (?!longer\b|other\b|more\b|less\b|larger\b|smaller\b"
    r"|greater\b|wider\b|better\b|worse\b|fewer\b|faster\b|way\b|need\b)": "4: is not a",
    r"\b(he|him|his|himself)\b": "3: the attacker, owner and user are they; a record is it",
    r"\bwires?\b": "6: answer form, or live and dead scene",
    r"\bshield(s|ed|ing)?\b": "6: defense",
    r"\bguard(s|ed|ing)\b|(?<!the )(?<!a )(?<!hartley )(?<!\[)\bguard\b(?!'s|/|\.)": (
        "6: protects, covers; the guard is the run-time room"
    ),
    r"\bdefen[c]es?\b": "5: defense",
    r"\bstrangers?\b": "5: non-member, other record",
    r"\bby heart\b": "5: memorised",
    r"\bsurest\b": "5: likeliest, most confident",
    r"\bsure(ness)? of\b": "5: confident in, the confidence",
    r"\bheld down\b": "5: penalised, with a penalty on",
    r"\b(is|are|was|were) taken off\b": "5: is subtracted",
    r"\bby coin\b": "5: by a fair coin, at random",
    r"\bone's own\b": "1: the attacker's, your own",
    r"\bso many\b": "1: a number of, this many",
    r"\b(there|here|where)(by|of|in|upon)\b(?! (lies|is)\b)": "1: a clause of its own",
    r"\bshall\b": "1: must, should",
    r"\blet out\b": "4: given, released",
    r"\bheld against\b": "5: compared with",
    r"\bwhoever\b|(?<=[.:;] )who (?!is\b|are\b)\w+[^.?]*\.": "1: an attacker who, anyone who",
    r"\bwho train(s|ed) on what\b": "1: which model is trained on which record",
    r"\bwhat \w+ moves is\b": "1: it lowers the signal, it raises the noise",
    r"\bless (those|what|that)\b": "1: without, minus",
    r"\bspeaks? (of|for)\b": "4: is about, says",
    r"\bbehind whose\b": "1: a sentence of its own",
    r"\b(in|of|the|this) house\b": "1: Hartley, the package, the repository",
    r"\b(hears?|heard)\b": "5: reads bits, receives",
    r"\ban own\b": "1: of your own",
}
"""What a reader would stumble on, and the rule it breaks with what to say instead."""

HIDING_NAMES = {
    *("asked", "found", "heard", "held", "kept", "made", "mine", "own"),
    *("said", "seen", "shown", "spoken", "standing", "theirs", "told"),
}
"""Names of variables that say what happened to a value, and not what it is (rule 7)."""

PATTERNS = {re.compile(pattern, re.IGNORECASE): rule for pattern, rule in WORDS.items()}

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("design/*.md")])
LISTS_THE_WORDS = ROOT / "design" / "english.md"


def mistakes(text: str) -> list[str]:
    """Return what breaks a rule in a text; code in backticks is not read."""
    prose = re.sub(r"``[^`]*``|`[^`]*`", "``", text)
    return [
        f"{match.group()!r} ({rule})"
        for pattern, rule in PATTERNS.items()
        for match in pattern.finditer(prose)
    ]


def _text(node: ast.AST) -> str:
    """The strings below a node, in order; what an f-string fills in is left open."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _text(part) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    return " | ".join(filter(None, map(_text, ast.iter_child_nodes(node))))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield every message, help text and docstring of a module, with its line.

    Docstrings are all strings that are statements of their own, those of attributes too.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.lineno, _text(node)
        elif isinstance(node, ast.Raise) and node.exc is not None:
            yield node.lineno, _text(node.exc)
        elif isinstance(node, ast.Call):
            name = _name(node.func)
            if name in SPEAKERS or name.endswith(("Error", "Denied", "Bad")):
                yield node.lineno, _text(node)
            for keyword in node.keywords:
                if keyword.arg in {"help", "reason", "summary"}:
                    yield node.lineno, _text(keyword.value)


@pytest.mark.parametrize(
    "text", ["two references at least are due", "x is no array; a list is due"]
)
def test_the_word_list_finds_what_it_should(text: str) -> None:
    assert mistakes(text)
    assert mistakes("the owner keeps his defence behind the wire")
    assert not mistakes("there is no interval; `wire` is not read; it is no longer an error")


def test_texts_are_messages_help_and_docstrings() -> None:
    source = '"""A."""\nx = "no message"\n"""B."""\nif x:\n    raise E(f"got {x}")\nF(help="C")\n'
    assert {text for _, text in texts(source)} == {"A.", "B.", "got {}", "C"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_keeps_to_the_rules(room: str) -> None:
    found = {
        f"{path.relative_to(SRC)}:{line}: {mistake}"
        for path in (SRC / room).rglob("*.py")
        for line, text in texts(path.read_text())
        for mistake in mistakes(text)
    }
    assert not found, "\n".join(sorted(found))


def hiding_names(source: str) -> Iterator[tuple[int, str]]:
    """Yield each variable and parameter of a module whose name hides what it is."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        else:
            continue
        if name in HIDING_NAMES:
            yield node.lineno, name


def test_a_name_that_hides_what_it_is_is_found() -> None:
    source = "said = 1\ndef f(asked): ...\nlabels = [one for one in held]\nx.kept = said\n"
    assert list(hiding_names(source)) == [(1, "said"), (2, "asked")]


@pytest.mark.parametrize("room", ROOMS)
def test_variables_are_named_after_what_they_are(room: str) -> None:
    hiding = [
        f"{path.relative_to(SRC)}:{line}: {name}"
        for path in (SRC / room).rglob("*.py")
        for line, name in hiding_names(path.read_text())
    ]
    assert not hiding, "\n".join(sorted(hiding))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_keeps_to_the_rules(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    if page == LISTS_THE_WORDS:  # only its own sentences: the lists name the words to avoid
        prose = prose.partition("## Ten rules")[0]
    assert not mistakes(prose)


@pytest.mark.parametrize("plan", sorted(SRC.rglob("*.toml")), ids=lambda plan: plan.name)
def test_a_table_keeps_to_the_rules(plan: Path) -> None:
    text = plan.read_text()
    comments = "\n".join(re.findall(r"#.*$", text, re.MULTILINE))
    values = str(tomllib.loads(text)) if plan.name == "prose.toml" else ""
    assert not mistakes(comments + values)


def test_code_blocks_of_pages_keep_to_the_rules() -> None:
    comments = {
        f"{page.name}: {mistake}"
        for page in PAGES
        for block in re.findall(r"```.*?```", page.read_text(), re.DOTALL)
        for mistake in mistakes("\n".join(re.findall(r"# .*$|\"\"\".*$", block, re.MULTILINE)))
    }
    assert not comments
