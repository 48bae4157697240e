"""Every command in the docs is one that the command line knows, with flags that it takes."""

import json
import re
import shlex
from pathlib import Path

import pytest

from hartley import catalog
from hartley.cli.main import run

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def _commands(page):
    """Every ``hartley …`` in a shell block or in a code span that starts with it."""
    text = page.read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [part for block in blocks for line in block.splitlines() for part in line.split("&&")]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += re.findall(r"`(hartley [^`]+)`", prose)
    words = [shlex.split(line, comments=True) for line in lines if "hartley " in line]
    return [w[w.index("hartley") + 1 :] for w in words if "hartley" in w]


COMMANDS = sorted({tuple(c) for page in PAGES for c in _commands(page)})


def test_the_docs_are_there():
    assert {p.stem for p in PAGES} >= {"start", "concepts", "gate", "extend", "report", "privacy"}
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_of_the_docs_is_real(words, capsys):
    verb = [words[0]]
    if words[0] == "attack":  # its flags are the attack's own
        known = {e.name for e in catalog.entries("attack")}
        verb += [words[1] if words[1] in known else "loss_threshold"]
    if words[:2] == ("new", "attack"):
        verb += ["attack"]
    assert run([*verb, "--help"]) == 0
    told = capsys.readouterr()
    help_text = told.out + told.err
    for word in words[1:]:
        if word.startswith("--"):
            assert re.search(rf"{re.escape(word)}\b", help_text), f"{word} is no flag of {verb}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_between_pages_arrive(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_plans_in_the_docs_can_be_read():
    from hartley.engine.plan.plan import parse

    read = 0
    for page in PAGES:
        for block in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL):
            if "entry-points" not in block:
                parse(block, source=page.name)
                read += 1
    assert read == 2


def test_the_program_of_the_privacy_page_runs():
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/privacy.md").read_text(), re.DOTALL)
    found: dict = {}
    exec(compile(block, "privacy.md", "exec"), found)
    channel = found["channel"]
    assert 0 < channel.bits.lower <= channel.bits.value <= 1
    assert channel.metrics["blind_auc"]["low"] <= 0.5 <= channel.metrics["blind_auc"]["high"]


def test_the_scene_of_the_extension_page_is_audited(hartley, tmp_path):
    """As a package of the user's own; a model that changed is another run, and no old answer."""
    page = (ROOT / "docs/extend.md").read_text()
    (block,) = [b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "recipe" in b]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine-1.0.dist-info").mkdir()
    about = {
        "METADATA": "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n",
        "entry_points.txt": "[hartley.parts]\nmine = mine.scene\n",
    }
    for name, text in about.items():
        (tmp_path / "mine-1.0.dist-info" / name).write_text(text)
    (tmp_path / "mine" / "__init__.py").write_text("")
    words = ("assess", "--scene", "mine", "--only", "loss_threshold", "--workers", "0", "--json")
    found = []
    for depth in ("", "max_depth=4, "):
        (tmp_path / "mine" / "scene.py").write_text(
            block.replace("random_state=", f"{depth}random_state=")
        )
        done = hartley(*words, env={"PYTHONPATH": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        (row,) = [r for r in json.loads(done.stdout)["channels"] if r["status"] == "measured"]
        found.append(row["bits"])
    assert found[0]["low"] > 0.05 > found[1]["point"]
