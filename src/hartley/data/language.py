"""English text: a novel that ships with Hartley, real dialogues and more novels from packs.

Jane Austen's *Persuasion* (1818, public domain) is beside this file, so that games on English
letters need not fetch a pack.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from hartley.core.errors import UnknownName
from hartley.data.packs import locate

BUNDLED = "persuasion"

ALPHABET = "abcdefghijklmnopqrstuvwxyz "
"""The characters of ``corpus``."""


@cache
def novel(name: str = BUNDLED) -> str:
    """Return a novel as plain text, with the line breaks of a paragraph undone.

    Args:
        name: ``persuasion`` (bundled), or one of the pack ``austen``: ``emma``,
            ``mansfield-park``, ``northanger-abbey``, ``pride-and-prejudice``,
            ``sense-and-sensibility``.

    Raises:
        MissingPack: it is not the bundled one and the pack was not fetched.
        UnknownName: an unknown novel.
    """
    if name == BUNDLED:
        raw = files("hartley.data").joinpath(f"{BUNDLED}.txt").read_text(encoding="utf-8")
    else:
        shelf = {path.stem: path for path in locate("austen").glob("*.txt")}
        shelf.pop("LICENSE", None)
        if name not in shelf:
            raise UnknownName("novel", name, shelf)
        raw = shelf[name].read_text(encoding="utf-8")
    paragraphs = [" ".join(block.split()) for block in re.split(r"\n\s*\n", raw)]
    return "\n".join(block for block in paragraphs if block)


@cache
def corpus(name: str = BUNDLED) -> str:
    """Return English prose in the 27 characters a–z and space; from the bundled novel by default.

    Upper case is lowered, all other characters become one space: 453,000 characters for
    the bundled novel.
    """
    return " ".join(re.sub(r"[^a-z]+", " ", novel(name).lower()).split())


@cache
def dialogues() -> tuple[tuple[str, ...], ...]:
    """Return the conversations of the pack ``dialogue``: each a few lines of alternating speakers.

    Files of code and their multi-line answers are left out; equal conversations appear once, in
    the order of the files.

    Raises:
        MissingPack: the pack was not fetched.
    """
    unique: dict[tuple[str, ...], None] = {}
    for path in sorted(locate("dialogue").glob("*.yml")):
        if path.stem not in {"coding", "tech_support"}:
            unique.update(dict.fromkeys(conversations(path)))
    return tuple(unique)


def answers_by_topic(least: int = 20) -> dict[str, tuple[str, ...]]:
    """Return the answers of the pack ``dialogue`` by its files, each about one topic.

    Args:
        least: answers that a topic must have; others, trivia and technical support are left out.

    Returns:
        Different answers in the order of the file, by name of the topic.

    Raises:
        MissingPack: the pack was not fetched.
    """
    by_topic = {}
    for path in sorted(locate("dialogue").glob("*.yml")):
        lines = (line for talk in conversations(path) for line in talk[1:])
        answers = tuple(dict.fromkeys(lines))
        if path.stem not in {"coding", "tech_support", "trivia"} and len(answers) >= least:
            by_topic[path.stem] = answers
    return by_topic


def conversations(path: Path) -> list[tuple[str, ...]]:
    """Read one file of the dialogue corpus: the plain subset of YAML that it is written in.

    A conversation is ``- - first line`` and ``  - next line`` …; lines are plain or quoted scalars
    that may be continued, deeper indented. Block scalars and nested values are not lines of speech,
    and the conversation around them is left out.
    """
    talks: list[list[str | None]] = []
    inside = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        if not line.startswith((" ", "-")):
            inside = line.startswith("conversations:")
        elif not inside:
            continue
        elif line.startswith("- - "):
            talks.append([line[4:].strip(" ")])
        elif line.startswith("  - ") and talks:
            talks[-1].append(line[4:].strip(" "))
        elif talks and talks[-1][-1] is not None:
            talks[-1][-1] = f"{talks[-1][-1]} {line.strip(' ')}"
    plain = [tuple(_scalar(text or "") for text in talk) for talk in talks]
    return [talk for talk in plain if len(talk) > 1 and all(talk)]


def _scalar(text: str) -> str:
    """A plain or quoted scalar as text; empty where it is something else."""
    if text[:1] in {"|", ">", "{", "[", "&", "*", "!", "?"} or text == "-":
        return ""
    if text[:1] == "'":
        return text[1:-1].replace("''", "'") if text[-1:] == "'" and len(text) > 1 else ""
    if text[:1] == '"':
        # Escapes other than these two do not occur in speech.
        inner = text[1:-1]
        fine = text[-1:] == '"' and len(text) > 1 and not re.search(r"\\[^\"\\]", inner)
        return re.sub(r"\\(.)", r"\1", inner) if fine else ""
    return re.split(r" #", text, maxsplit=1)[0].rstrip(" ")
