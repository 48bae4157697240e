"""Every command in the docs is one that the command line knows, with flags that it takes."""

import importlib
import json
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from hartley import catalog
from hartley.cli.main import run
from hartley.core import Codec

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def _commands(page):
    """Every ``hartley …`` in a shell block or in a code span that starts with it."""
    text = page.read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    whole = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines = [part for line in whole for part in line.split("&&")]
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
    if words[0] == "attack" and words[1:]:  # its flags are the attack's own
        known = {e.name for e in catalog.entries("attack")}
        verb += [words[1] if words[1] in known else "loss_threshold"]
    if words[:2] in (("new", "attack"), ("canaries", "make"), ("canaries", "withhold")):
        verb += [words[1]]
    if words[0] == "guard" and words[1:] and not words[1].endswith(".toml"):
        verb += [words[1]]
    assert run([*verb, "--help"]) == 0
    told = capsys.readouterr()
    help_text = told.out + told.err
    for word in words[1:]:
        if word.startswith("--"):
            assert re.search(rf"{re.escape(word)}\b", help_text), f"{word} is no flag of {verb}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_between_pages_arrive(page):
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target, _, anchor in (t.partition("#") for t in re.findall(r"\]\(([^)]+)\)", prose)):
        if target.startswith("http"):
            continue
        there = page.parent / target if target else page
        assert there.exists(), target
        heads = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE) if anchor else []
        anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
        assert not anchor or anchor in anchors, f"{target}#{anchor}"


def test_plans_and_waivers_in_the_docs_can_be_read(tmp_path):
    from hartley.engine.plan.plan import parse
    from hartley.engine.result.waivers import read_waivers

    read = 0
    for page in PAGES:
        for block in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL):
            if "[[waiver]]" in block:
                (tmp_path / "waivers.toml").write_text(block)
                read_waivers(tmp_path / "waivers.toml", {})
            elif "entry-points" not in block and "[[principal]]" not in block:
                parse(block, source=page.name)
                read += 1
    assert read >= 3


def test_the_program_of_the_poisoning_page_shows_poison_and_its_filter():
    page = (ROOT / "docs" / "poisoning.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    before, after = (list(map(float, line.split())) for line in done.stdout.splitlines())
    assert before[0] > 0.9 and before[1] < 0.2, "the trigger works on poisoned models alone"
    assert after[0] < 0.5 and after[2] > before[2] - 0.1


def test_the_programs_of_the_privacy_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/privacy.md").read_text()
    in_memory, block, served = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict = {}
    here = in_memory.replace("only=", "workers=0, only=")
    exec(compile(here, "privacy.md", "exec"), names)
    assert names["report"].rows("rmia")[0].bits.n == 400 and (tmp_path / "page.html").is_file()
    names = {}
    exec(compile(block, "privacy.md", "exec"), names)
    channel = names["channel"]
    assert 0 < channel.bits.lower <= channel.bits.value <= 1
    assert channel.metrics["blind_auc"]["low"] <= 0.5 <= channel.metrics["blind_auc"]["high"]
    letters = Codec(  # texts of one length: nothing has to be padded
        encode=lambda texts: np.array([[ord(c) for c in text] for text in texts]),
        decode=lambda tokens: ["".join(map(chr, row)) for row in tokens],
        size=128,
    )
    names = {"codec": letters}
    exec(compile(served, "privacy.md", "exec"), names)
    assert set(names["model"].calls) == {"score", "generate", "chat"}
    assert names["model"].identity.endswith("my-model 2026-11-01")


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    """A package with one file for each part that the extension page shows, as a reader makes it."""
    page = (ROOT / "docs/extend.md").read_text()
    project, folder = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("newcomer")
    package = project / "src" / "your_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        names = re.findall(r"^@hartley\.\w+\(.*?^def (\w+)\(", block, re.DOTALL | re.MULTILINE)
        if names or "def test_my_parts" in block:
            (package / f"{names[0] if names else 'test_my_parts'}.py").write_text(block)
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (whole,) = [block for block in blocks if "[build-system]" in block]
    (project / "pyproject.toml").write_text(whole)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--target", str(folder), str(project)),
        ],
        check=True,
        capture_output=True,
    )
    return folder


def _import_anew(*packages):
    """Forget what was imported of packages, so that the files of now are read."""
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]
    importlib.invalidate_caches()
    catalog.refresh()


@pytest.fixture
def installed(newcomer, call, monkeypatch):
    """The command, where the newcomer's package is installed."""
    monkeypatch.syspath_prepend(newcomer)
    _import_anew("your_package")
    yield call
    _import_anew("your_package")


def test_the_parts_of_the_extension_page_pass_every_check(installed):
    tests = import_module("your_package.test_my_parts")
    (test,) = (value for name, value in vars(tests).items() if name.startswith("test_"))
    test()


def test_the_game_of_the_extension_page_reads_a_real_model(installed):
    done = installed("attack", "class_mean", "--scene", "tumours", "--game-rounds", "24", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = [json.loads(done.stdout)]
    assert row["bits"]["low"] > 0.05
    refused = installed("attack", "my_idea", "--scene", "live:membership", "--floor", "2")
    assert refused.returncode == 2
    assert "floor must be above 0 and at most 0.5, got 2.0" in refused.stderr


def test_the_program_of_the_first_page_runs():
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/start.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(compile(block, "start.md", "exec"), names)
    channel = names["channel"]
    assert channel.n == 8 * 900
    assert 0 <= channel.bits.lower <= channel.bits.value <= channel.high < 1


def test_the_scene_of_the_extension_page_is_audited(call, monkeypatch, tmp_path):
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
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for depth in ("", "max_depth=4, "):
        (tmp_path / "mine" / "scene.py").write_text(
            block.replace("random_state=", f"{depth}random_state=")
        )
        _import_anew("mine")
        done = call(*words)
        assert done.returncode == 0, done.stderr
        (row,) = [r for r in json.loads(done.stdout)["channels"] if r["status"] == "measured"]
        found.append(row["bits"])
    _import_anew("mine")
    assert found[0]["low"] > 0.05 > found[1]["point"]
