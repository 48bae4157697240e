"""A complete run is answered without building its scene, as long as nothing it read has changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.tree import DecisionTreeClassifier

from hartley import catalog
from hartley.core.parts import Recipe
from hartley.engine import build_scene, completed
from hartley.engine.plan.own_scene import RECIPES
from hartley.engine.plan.plan import parse

DEAD = ("assess", "--scene", "dead:membership", "--only", "loss_threshold", "--workers", "0")
TABLE = (
    *("assess", "--model", "tree.skops", "--train", "train.csv", "--test", "test.csv"),
    *("--target", "label", "--only", "loss_threshold", "--workers", "0"),
)


@pytest.fixture
def builds(monkeypatch):
    """The names of the scenes that were built."""
    names, build = [], build_scene.build

    def counted(name, params=None):
        names.append(name)
        return build(name, params)

    monkeypatch.setattr(build_scene, "build", counted)
    return names


@pytest.fixture
def table(tmp_path, call):
    """A tree and its tables, in the current folder."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(160, 3)), columns=["a", "b", "c"])
    frame["label"] = rng.integers(0, 2, 160)
    frame[:80].to_csv("train.csv", index=False)
    frame[80:].to_csv("test.csv", index=False)
    tree = DecisionTreeClassifier(random_state=0).fit(frame[["a", "b", "c"]][:80], frame.label[:80])
    skops.io.dump(tree, "tree.skops")


@pytest.mark.parametrize("words", [DEAD, TABLE])
def test_nothing_is_built_for_a_complete_run_and_the_answer_is_the_same(call, table, builds, words):
    first = call(*words, "--json")
    assert builds, first.stderr
    builds.clear()
    again, in_words = call(*words, "--json"), call(*words)
    assert not builds
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert again.returncode == first.returncode == in_words.returncode
    assert "complete" in again.stderr
    for other in (["--fresh"], ["--seed", "1"]):
        call(*words, *other)
        assert builds
        builds.clear()


@pytest.mark.parametrize("name", ["train.csv", "test.csv", "tree.skops"])
def test_a_file_that_was_changed_is_read_again(call, table, builds, name):
    call(*TABLE)
    path = Path(name)
    if name == "tree.skops":
        frame = pd.read_csv("test.csv")
        skops.io.dump(DecisionTreeClassifier().fit(frame[["a", "b", "c"]], frame.label), name)
    else:
        path.write_text(path.read_text().replace("0.", "1.", 1))
    builds.clear()
    call(*TABLE)
    assert builds


@pytest.mark.parametrize("place", ["trials", "rows", "run.json", "journal.jsonl"])
def test_a_damaged_run_is_played_again(call, builds, place):
    call(*DEAD)
    (folder,) = [path for path in Path("runs").iterdir() if path.is_dir()]
    path = folder / place
    if path.is_dir():
        (path,) = path.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    builds.clear()
    assert call(*DEAD).returncode == 0 and builds
    builds.clear()
    assert call(*DEAD).returncode == 0 and not builds  # it has healed


def test_other_code_is_held_against_the_scene(call, builds, monkeypatch):
    call(*DEAD)
    of_installation = completed._of_installation
    monkeypatch.setattr(completed, "_of_installation", lambda: [*of_installation(), "an edit"])
    builds.clear()
    again = call(*DEAD)
    assert builds and "complete" in again.stderr  # its rows are the same
    builds.clear()
    call(*DEAD)
    assert not builds  # it is noted that this code finds the run complete


def test_the_digest_covers_the_code_the_plan_and_each_file(call, table, monkeypatch, tmp_path):
    def digest(text=""):
        return completed.inputs_digest(parse(f'scene = "digits"\n{text}'))

    first = digest()
    assert first == digest() and first != digest("seed = 1")
    lines = list(completed._of_installation())
    assert {"engine/completed.py", "reference/bibliography.tsv"} <= {x.split()[0] for x in lines}
    (tmp_path / "other-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert digest() != first


def test_the_truth_about_canaries_is_covered(call):
    Path("tuned").mkdir()
    for name in ("tuned/config.json", "c.jsonl", "c.truth.json"):
        Path(name).write_text("{}")
    plan = parse('[model]\npath = "tuned"\n[data]\ncanaries = "c.jsonl"')
    first = completed.inputs_digest(plan)
    assert first and first == completed.inputs_digest(plan)
    Path("c.truth.json").write_text("[]")
    assert completed.inputs_digest(plan) != first


@pytest.mark.parametrize(
    "text",
    [
        'scene = "audit.py:scene"',
        '[model]\npath = "net.py:net"\n[data]\ntrain = "a.npz"\ntest = "b.npz"',
        '[model]\npath = "net.py:Net"\nweights = "w.pt"\n[data]\ntrain = "d.py:a"\ntest = "d.py:b"',
        '[model]\npath = "m"\nendpoint = "http://127.0.0.1/v1"\ntokenizer = "t"\n'
        '[data]\nmembers = "a.txt"\nnonmembers = "b.txt"',
        '[model]\npath = "adapter"\n[data]\nmembers = "a.txt"\nnonmembers = "b.txt"',
    ],
)
def test_what_cannot_be_known_without_running_code_is_built(call, text):
    for name in ("audit.py", "net.py", "d.py", "a.npz", "b.npz", "w.pt", "a.txt", "b.txt"):
        Path(name).write_text("")
    Path("adapter").mkdir()
    Path("adapter/adapter_config.json").write_text("{}")
    plan = parse(text)
    assert plan.scene and completed.inputs_digest(plan) == ""


KNOWN = ("sensitive", "search", "tenants", "guest")
"""Texts that name no file by themselves; ``search`` is a function, of which nothing is known."""


@pytest.mark.parametrize(
    ("scene", "name", "value"),
    [
        ("tenants", "url", "host=localhost dbname=x"),
        ("own_store", "search", "store.py:search"),
    ],
)
def test_servers_and_functions_that_search_are_asked_anew(call, scene, name, value):
    Path("store.py").write_text("def search(query, k, tenant): return []\n")
    plan = parse(f'scene = "{scene}"\n[scenes.{scene}]\n{name} = "{value}"')
    assert completed.inputs_digest(plan) == ""


def test_no_shipped_scene_reads_files_or_keys_that_its_parameters_do_not_name():
    for entry in catalog.entries("scene"):
        if entry.origin != "hartley" or entry.name in RECIPES:
            continue
        recipe: Recipe = catalog.load("scene", entry.name)
        for parameter in recipe.parameters:
            assert not parameter.secret, (entry.name, parameter.name)
            is_word = parameter.kind is not str or parameter.choices
            listed = parameter.name in (*completed.LISTS, *completed.SERVICES)
            known = listed or parameter.name in KNOWN
            assert is_word or known, (entry.name, parameter.name)


def test_a_list_of_files_is_read_anew(call):
    Path("pairs.csv").write_text("picture,caption\n")
    plan = parse('scene = "retrieval"\n[scenes.retrieval]\npairs = "pairs.csv"')
    assert completed.inputs_digest(plan) == ""
    assert completed.inputs_digest(parse('scene = "retrieval"'))
