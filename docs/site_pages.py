"""Write the pages of the docs site into a folder: the pages, a catalogue of all parts, the plans.

    python docs/site_pages.py build/pages [--run]

With ``--run`` notebooks are run first, and their pages show what each cell printed.
What is drawn from the checkout cannot differ from it. Links that lead out of ``docs`` become pages
(``design``) or plain words (other files of the repository). Any generator of sites can take the
folder; ``mkdocs.yml`` is read by mkdocs-material and by Zensical, its successor.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from hartley import catalog
from hartley.catalog import Entry
from hartley.cli.assess import plans
from hartley.core.taxonomy import Axis
from hartley.engine.plan.applicability import left_out
from hartley.engine.plan.plan import Plan, parse
from hartley.report.format_numbers import AXIS_TITLES
from hartley.report.loop import WIDE, Arrow
from hartley.report.markdown import cell, table
from hartley.report.templates import environment

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = {
    "attack": ("game", "class", "axis", "access", "paper"),
    "defense": ("term", "paper"),
    "game": ("class", "axis", "role"),
    "scene": ("modality", "extras", "packs"),
}
PLURAL = {"attack": "attacks", "defense": "defenses", "game": "games", "scene": "scenes"}
OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+)([^)\s]+)\)")


def pages(*, run: bool = False) -> dict[str, str]:
    """Return every page by its place on the site; notebooks with what they print where they run."""
    front = (ROOT / "README.md").read_text("utf-8")
    drawn = {"index.md": re.sub(r"(\]\(|src=\")docs/", r"\1", front)}
    for folder in ("docs", "design"):
        for page in sorted((ROOT / folder).rglob("*.md")):
            place = page.relative_to(ROOT / "docs" if folder == "docs" else ROOT)
            drawn[place.as_posix()] = page.read_text("utf-8")
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        drawn[f"notebooks/{notebook.stem}.md"] = _notebook(notebook, run=run)
    for kind, plural in PLURAL.items():
        drawn[f"catalogue/{plural}.md"] = _parts(kind, plural)
    drawn["catalogue/plans.md"] = _plans()
    return {name: _within(name, text) for name, text in drawn.items()}


def _notebook(path: Path, *, run: bool) -> str:
    """Return a notebook as a page: its words, its cells, and what they print if it is run."""
    document = json.loads(path.read_text("utf-8"))
    if run:
        document = executed(path)
    pieces = []
    for one in document["cells"]:
        text = "".join(one["source"])
        pieces.append(text if one["cell_type"] == "markdown" else f"```python\n{text}\n```")
        if printed := printed_by(one):
            pieces.append(f"```text\n{printed}\n```")
    where = f"docs/notebooks/{path.name}"
    pieces.insert(1, f"This page is the notebook `{where}` of the repository, which the tests run.")
    return "\n\n".join(pieces)


def executed(path: Path) -> dict[str, Any]:
    """Run a notebook in an empty folder and a kernel of its own.

    Raises:
        CellExecutionError: a cell raises an error.
    """
    import nbformat
    from nbclient import NotebookClient

    document = nbformat.read(path, 4)
    with tempfile.TemporaryDirectory() as folder:
        place = {"metadata": {"path": folder}}
        # Commands in cells are those of this environment, whatever the shell's path.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        client = NotebookClient(document, timeout=300, resources=place)
        client.execute(env={**os.environ, "PATH": path})
    return dict(document)


def printed_by(cell: Mapping[str, Any]) -> str:
    """Return what a cell printed and showed, as text without the colours of a terminal."""
    texts = []
    for output in cell.get("outputs", ()):
        if output.get("name") == "stderr":
            continue  # progress
        text = output.get("text") or output.get("data", {}).get("text/plain", "")
        texts.append("".join(text))
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", "".join(texts)).strip()


def _within(name: str, text: str) -> str:
    """Keep links within the site; what is a file of the repository is named and not linked."""
    parts = name.split("/")[:-1]
    of_design = parts[:1] == ["design"]

    def inside(match: re.Match[str]) -> str:
        words, up, target = match.groups()
        path = target.partition("#")[0]
        if path.startswith("docs/") and path.endswith(".md"):
            return f"[{words}]({up}{target.removeprefix('docs/')})"
        if len(up) // 3 <= len(parts) and not of_design:
            return match.group()
        if path.startswith("design/") and path.endswith(".md"):
            return f"[{words}]({'../' * len(parts)}{target})"
        return f"{words} (`{path}` in the repository)"

    text = OUTSIDE.sub(inside, text)
    if name != "index.md":
        return text
    beside = r"\[([^\]]+)\]\((?!https?:|#|design/)([A-Za-z_/]+\.(?:md|py|toml))(?:#[^)]*)?\)"
    docs = ROOT / "docs"
    names = {file.relative_to(docs).as_posix() for file in docs.rglob("*.md")}
    return re.sub(
        beside,
        lambda m: m.group() if m.group(2) in names else f"{m.group(1)} (`{m.group(2)}`)",
        text,
    )


def _parts(kind: str, plural: str) -> str:
    """Return a page with every part of a kind, from what each declares."""
    entries = [e for e in catalog.entries(kind) if e.kind == kind and e.origin == "hartley"]
    head = ("name", *COLUMNS[kind], "what it does")
    rows = [(entry.name, *_declared(entry, COLUMNS[kind]), entry.summary) for entry in entries]
    lines = [
        f"# {plural.capitalize()}",
        f"{len(rows)} {plural}, as `hartley list {plural}` prints them; "
        "`hartley show NAME` says what one needs and takes.",
    ]
    if kind != "attack":
        return "\n\n".join([*lines, table(head, rows)])
    for axis in Axis:
        there = [row for entry, row in zip(entries, rows, strict=True) if _axis(entry) == axis]
        lines += [f"## {AXIS_TITLES[str(axis)]}", table(head, there)]
    return "\n\n".join(lines)


def _axis(entry: Entry) -> str:
    return str(entry.declared.get("axis"))


def _declared(entry: Entry, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        value = entry.declared.get(name) or ""
        yield ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _plans() -> str:
    """Return a page with every plan that ships: its comment, its picture and its text."""
    pieces = ["# Plans", "Each is played by its name, as `hartley assess NAME`, and can be copied."]
    for name, read in sorted(plans().items()):
        text = read()
        plan = parse(text, source=name)
        comment = [
            line.lstrip("# ") for line in takewhile(lambda x: x.startswith("#"), text.splitlines())
        ]
        pieces += [
            f"## {name}",
            cell(" ".join(comment)),
            _picture(name, plan),
            f"```toml\n{text}```",
        ]
    return "\n\n".join(pieces)


def _picture(name: str, plan: Plan) -> str:
    """Draw the loop with what a plan plays on each axis."""
    attacks = [e for e in catalog.entries("attack") if e.kind == "attack" and e.origin == "hartley"]
    chained = {a for chain in plan.chains for a in chain.attacks}
    chosen: dict[str, list[str]] = {}
    if plan.only or chained:
        for entry in attacks:
            if entry.name in chained or (plan.only and not left_out(entry, plan)):
                chosen.setdefault(_axis(entry), []).append(entry.name)
    fits = not plan.only and not chained and plan.loop is None
    drawn = (
        environment()
        .get_template("loop.svg")
        .render(
            layout=WIDE,
            arrows=[_arrow(str(axis), chosen.get(str(axis), []), fits=fits) for axis in Axis],
            name=f"plan-{name}",
            standalone=True,
            scene=plan.scene,
            links={},
        )
    )
    # One line: Markdown takes an empty line for the end of the picture. Styles are of this page.
    return re.sub(r"\s*\n\s*", " ", drawn.replace(f' width="{WIDE["size"][0]}"', ' width="100%"'))


def _arrow(axis: str, names: list[str], *, fits: bool) -> Arrow:
    if fits:
        return Arrow(axis, AXIS_TITLES[axis], ("what fits the scene",), 0.3, False)
    if not names:
        return Arrow(axis, AXIS_TITLES[axis], ("not in this plan",), 0.0, False)
    words = names if len(names) <= 3 else [*names[:2], f"and {len(names) - 2} more"]
    count = f"{len(names)} attack{'s' * (len(names) > 1)}"
    return Arrow(axis, AXIS_TITLES[axis], (count, *(word[:24] for word in words)), 0.3, True)


def main(out: Path, *, run: bool = False) -> None:
    """Write the pages and the pictures that they show into a folder, which is emptied first."""
    if out.exists():
        shutil.rmtree(out)
    for name, text in pages(run=run).items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text, "utf-8")
    for picture in (ROOT / "docs").glob("*.svg"):
        shutil.copyfile(picture, out / picture.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), run="--run" in sys.argv[2:])
