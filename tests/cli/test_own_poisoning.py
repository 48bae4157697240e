"""Poisoning and evasion of a model of one's own by flags, and what they cannot be played on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.tree import DecisionTreeClassifier

import hartley
from hartley.cli.assess import ordered_plan
from hartley.cli.own_model import OwnModel
from hartley.engine.plan.check_plan import check_parameters
from hartley.engine.plan.plan import Plan, scene_params

PLAN = """
only = ["badnets"]
[games.poisoning]
rounds = 2
slots = 2
poisons = 20
[defenses]
use = ["spectral_signatures", "deep_knn"]
adaptive = false
"""
FILES = ("--model", "tree.skops", "--train", "train.csv", "--test", "test.csv", "--target", "label")


@pytest.fixture
def tree(tmp_path, call):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(260, 4)), columns=list("abcd"))
    table["label"] = np.where(table.a + table.b > 0, "yes", "no")
    table[:140].to_csv("train.csv", index=False)
    table[140:].to_csv("test.csv", index=False)
    model = DecisionTreeClassifier().fit(table[list("abcd")][:140], table.label[:140])
    skops.io.dump(model, "tree.skops")
    Path("plan.toml").write_text(PLAN)
    return table


def test_a_tree_is_trained_on_poison_and_detectors_read_its_records(call, tree):
    done = call("assess", "plan.toml", *FILES, "--workers", "0", "--json", "--store", "s")
    assert done.returncode in (0, 3), done.stderr
    rows = [r for r in json.loads(done.stdout)["channels"] if r["status"] == "measured"]
    behind = {tuple(d["name"] for d in r["experiment"]["defenses"]): r["metrics"] for r in rows}
    assert set(behind) == {(), ("spectral_signatures",), ("deep_knn",)}
    assert behind[()]["asr"]["value"] > behind[()]["base_rate"]["value"]
    # A model without a network is read by its records.
    assert all("dropped_poison" in metrics for names, metrics in behind.items() if names)


def test_the_same_in_a_program(tree, tmp_path):
    model = DecisionTreeClassifier().fit(tree[list("abcd")][:140], tree.label[:140])
    report = hartley.audit(
        model, tree[:140], tree[140:], target="label", only=["badnets"], workers=0, store="p",
        games={"poisoning": {"rounds": 2, "slots": 2, "poisons": 20}},
    )  # fmt: skip
    (row,) = report.rows("badnets")
    assert row.bits is not None


def test_a_model_is_trained_on_poison_only_where_a_plan_asks_for_it():
    def params(*only, scene="own_table"):
        return scene_params(Plan(scene=scene, only=only)).get("poisoned", False)

    assert params("poisoning") and params("badnets") and params("class:poison*")
    assert not params() and not params("membership") and not params("jailbreak")
    assert not params("poisoning", scene="own_texts")


@pytest.mark.parametrize(
    ("words", "edit", "message"),
    [
        (["--no-retrain"], None, "poisoning must train the model again, and it comes without"),
        ([], lambda t: t[t.label == "yes"], "at least 3 records of each class, .*no \\(0\\)"),
        ([], lambda t: t.groupby("label").head(2), "got fewer of no \\(2\\), yes \\(2\\)"),
    ],
)
def test_what_cannot_be_poisoned_is_one_line(call, tree, words, edit, message):
    if edit is not None:
        edit(tree[140:]).to_csv("test.csv", index=False)
    done = call("assess", "poison", *FILES, *words, "--store", "s")
    assert done.returncode == 2
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("hartley: ")]

    assert re.search(message, line), line


def test_pictures_whose_pixels_were_scaled_in_the_records_are_refused(call, tmp_path):
    Path("net.py").write_text("""
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(16, 2)
    def forward(self, x):
        return self.last(x.flatten(1))
net = Net()
def fit(x, y):
    return Net()
""")
    rng = np.random.default_rng(0)
    for name in ("train", "test"):
        np.savez(
            f"{name}.npz",
            x=rng.normal(size=(40, 1, 4, 4)) + np.arange(40)[:, None, None, None] % 2,
            y=np.arange(40) % 2,
        )
    done = call(
        *("assess", "poison", "--model", "net.py:net", "--fit", "net.py:fit", "--train"),
        *("train.npz", "--test", "test.npz", "--store", "s"),
    )
    assert done.returncode == 2 and "scale them inside the network" in done.stderr


def test_a_plan_that_ships_is_played_on_a_model_of_ones_own():
    nothing = dict.fromkeys(
        ("set_", "only", "skip", "seed", "workers", "time_limit", "memory_limit", "defense")
    )
    files = OwnModel(model="tree.skops", train="train.csv", test="test.csv", target="label")
    for name in ("poison", "evasion"):
        for defenses in (True, False):
            plan, source = ordered_plan(
                name, None, own_model=files, isolate=False, defenses=defenses, **nothing
            )
            # The scene of the plan goes, with its parameters.
            assert plan.scene == "own_table" and set(plan.scenes) == {"own_table"} and not source
            assert plan.name == f"tree-{name}" and bool(plan.use) == defenses
            # Parameters of defenses that are left out are not a mistake.
            check_parameters(plan)
            assert scene_params(plan).get("poisoned", False) == (name == "poison")
