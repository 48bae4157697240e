"""Find a sentence of a pack that does not say what it rests on.

The statements are compared with the run and the tables, and every drawn file is read back: a format
that adds, drops or changes a sentence is found too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any

from hartley.report.evidence.statements import Evidence, References, Statement

_QUOTED = re.compile(r"“[^”]*”")
_END = re.compile(r"[.!?](?=\s+\S|$)")
_WORDS = re.compile(r"\w+")
_CODE = re.compile(r"(?<!\\)`([^`]+)`")
RESTS = "rests-on"
"""Name of the property that a sentence of a JSON file has its ids in."""


def faults(evidence: Evidence, files: Mapping[str, bytes]) -> list[str]:
    """Return what is wrong with a pack, one line each.

    Args:
        evidence: the statements.
        files: what was drawn of them, by name; other files than HTML, Markdown and JSON are not
            read.
    """
    references = References(evidence.source)
    sentences: dict[str, set[str]] = {}
    for statement in evidence.all():
        sentences.setdefault(_even(statement.text), set()).update(statement.rests)
    out = [fault for one in evidence.all() for fault in of_statement(one, references)]
    for name, content in files.items():
        text = content.decode()
        if name.endswith(".html"):
            pairs = of_html(text)
        elif name.endswith(".md"):
            pairs = of_markdown(text)
        else:
            pairs = of_json(json.loads(text))
        drawn = set()
        for words, rests in pairs:
            wrong = list(_of_drawn(words, rests, references))
            if not wrong and not rests <= sentences.get(_even(words), set()):
                wrong = [f"{words!r} is not a sentence of the pack with these ids"]
            out += [f"{name}: {fault}" for fault in wrong]
            drawn.add(_even(words))
        if not name.endswith(".oscal.json"):  # which leaves out rows that answer no clause
            out += [f"{name}: {words!r} is missing" for words in sorted(sentences.keys() - drawn)]
    return out


def _even(words: str) -> str:
    """Write every space alike: a format may fold them."""
    return " ".join(words.split())


def of_statement(statement: Statement, references: References) -> Iterator[str]:
    """Yield what is wrong with one statement."""
    yield from _of_drawn(statement.text, set(statement.rests), references)
    ends = len(_END.findall(_QUOTED.sub("“”", statement.text)))
    if ends != 1 or not statement.text.endswith("."):
        yield f"{statement.text!r} must be one sentence, got {ends}"


def _of_drawn(words: str, rests: set[str], references: References) -> Iterator[str]:
    if not rests:
        yield f"{words!r} has no row and no fact that it rests on"
    for reference in sorted(rests):
        if not references.resolves(reference):
            yield f"{words!r} rests on {reference}, which is not in the run"


def of_markdown(text: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each line of text of a Markdown file with its ids; headings are not read."""
    for line in text.splitlines():
        words = line.strip()
        if words and not words.startswith("#"):
            rests = set(_CODE.findall(words))
            yield _plain(_CODE.sub("", words).removeprefix("- ").strip()), rests


def _plain(words: str) -> str:
    """Undo what Markdown escapes."""
    text = re.sub(r"\\([\\`*_~\[\]|])", r"\1", words)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


class _Page(HTMLParser):
    """Collect the texts of a page outside of headings, each with the ids of its element."""

    SILENT = ("style", "title", "h1", "h2", "h3", "code", "nav")
    VOID = ("meta", "br", "hr", "link", "img")

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[tuple[str, set[str]]] = []
        self.texts: list[tuple[str, set[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take over the ids of an element."""
        if tag not in self.VOID:
            rests = dict(attrs).get("data-rests") or ""
            self.stack.append((tag, set(rests.split())))

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        while self.stack and self.stack.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Take a text over, unless it is in a heading or an id."""
        words = " ".join(data.split())
        if words and not any(tag in self.SILENT for tag, _ in self.stack):
            rests = next((rests for _, rests in reversed(self.stack) if rests), set())
            self.texts.append((words, rests))


def of_html(text: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each text of a page with its ids; headings and ids are not read."""
    page = _Page()
    page.feed(text)
    yield from page.texts


def of_json(value: Any) -> Iterator[tuple[str, set[str]]]:
    """Yield each sentence of an OSCAL or CycloneDX document with its ids.

    A sentence is a text of several words with a full stop. Its ids are those of the nearest object
    around it that has any: by properties, or, of a claim, by its evidence.
    """
    yield from _sentences(value, set())


def _sentences(value: Any, around: set[str]) -> Iterator[tuple[str, set[str]]]:
    if isinstance(value, Mapping):
        rests = _rests_of(value) or around
        for key, inner in value.items():
            if key not in ("props", "properties", "data"):
                yield from _sentences(inner, rests)
    elif isinstance(value, list):
        for inner in value:
            yield from _sentences(inner, around)
    elif isinstance(value, str) and value.endswith(".") and len(_WORDS.findall(value)) > 2:
        yield value, around


def _rests_of(value: Mapping[str, Any]) -> set[str]:
    """Return the ids of one object."""
    for key in ("props", "properties"):
        properties = value.get(key)
        if isinstance(properties, list):
            names = [p["value"] for p in properties if str(p.get("name")).endswith(RESTS)]
            if names:
                return set(names)
    evidence = value.get("evidence")
    if "predicate" in value and isinstance(evidence, list):
        return {str(name).removeprefix("evidence:") for name in evidence}
    return set()
