"""A user's own model on the command line: flags, tables of a plan, and recipes in a file."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.tree import DecisionTreeClassifier
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

RECIPE = """
import numpy as np
import hartley
from records import make
from hartley.targets.sklearn import from_sklearn
from sklearn.tree import DecisionTreeClassifier

def scene():
    members, others = make()
    tree = DecisionTreeClassifier(random_state=0).fit(members.x, members.y)
    model = from_sklearn(tree, classes=2)
    return hartley.Scene("mine", hartley.Modality.TABULAR, model=model, train=members,
                         holdout=others)

number = 7

def wrong():
    return 7

def wants(records):
    return None
"""
RECORDS = """
import numpy as np
import hartley

def make():
    rng = np.random.default_rng(SEED)
    x, y = rng.normal(size=(160, 3)).astype(np.float32), rng.integers(0, 2, 160)
    return [hartley.Data(n, hartley.Modality.TABULAR, x[s], y[s])
            for n, s in (("members", slice(80)), ("others", slice(80, 160)))]
"""


@pytest.fixture
def files(tmp_path, call, monkeypatch):
    """A tree and its tables, in the current folder; what recipes import is forgotten after."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("audit", "records"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(160, 3)), columns=["a", "b", "c"])
    table["label"] = rng.integers(0, 2, 160)
    table[:80].to_csv(tmp_path / "train.csv", index=False)
    table[80:].to_csv(tmp_path / "test.csv", index=False)
    features = table[["a", "b", "c"]]
    skops.io.dump(DecisionTreeClassifier().fit(features[:80], table.label[:80]), "tree.skops")
    (tmp_path / "audit.py").write_text(RECIPE)
    (tmp_path / "records.py").write_text(RECORDS.replace("SEED", "0"))
    return ["--model", "tree.skops", "--train", "train.csv", "--test", "test.csv"]


COMMON = ("--only", "loss_threshold", "--workers", "0", "--json", "--store")


def measured(result):
    assert result.returncode in (0, 3), result.stderr
    rows = json.loads(result.stdout)["channels"]
    return [row for row in rows if row["status"] == "measured"]


def test_flags_and_the_tables_of_a_plan_say_the_same(call, files):
    by_flags = call("assess", *files, "--target", "label", *COMMON, "a")
    plan = '[model]\npath = "tree.skops"\n[data]\ntrain = "train.csv"\ntest = "test.csv"\n'
    Path("plan.toml").write_text(plan + 'target = "label"\n')
    by_plan = call("assess", "plan.toml", *COMMON, "b")
    rows = [measured(result) for result in (by_flags, by_plan)]
    assert len(rows[0]) == 1 and rows[0][0]["bits"] == rows[1][0]["bits"]
    assert json.loads(by_flags.stdout)["scene"]["facts"]["model file"].startswith("tree.skops, ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scene", "digits"], "the scene must be given once, got --scene digits, --model"),
        (["mine.py:mine"], "the scene must be given once, got mine.py:mine, --model"),
        ([], "--target COLUMN; it has a, b, c, label"),
        (["--references", "9999", "--target", "label"], "references"),
    ],
)
def test_a_mistake_in_the_flags_is_one_line(call, files, words, message):
    result = call("assess", *words, *files, "--store", "a")
    assert result.returncode == 2 and message in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2


@pytest.fixture
def texts(tmp_path, call, capsys):
    """A language model that has learnt nothing, and texts, in the current folder."""
    letters = [f"w{i}" for i in range(40)]
    tool = Tokenizer(models.WordLevel({word: i for i, word in enumerate(letters)}, "w0"))
    tool.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tool).save_pretrained("net")
    sizes = {"n_positions": 16, "n_embd": 8, "n_layer": 1, "n_head": 2}
    GPT2LMHeadModel(GPT2Config(vocab_size=40, **sizes)).save_pretrained("net")
    rng = np.random.default_rng(0)
    for name in ("members.txt", "others.txt"):
        lines = [" ".join(rng.choice(letters, 6)) for _ in range(30)]
        (tmp_path / name).write_text("\n".join(lines))
    capsys.readouterr()  # the library draws bars as it writes
    return ["--model", "net", "--members", "members.txt", "--nonmembers", "others.txt"]


def test_a_language_model_is_assessed_by_the_tables_of_a_plan_as_by_flags(call, texts):
    plan = '[model]\npath = "net"\nreference = "net"\n'
    plan += '[data]\nmembers = "members.txt"\nnonmembers = "others.txt"\n'
    Path("plan.toml").write_text(plan)
    common = [*COMMON[2:], "a", "--only", "pretrained_ratio"]
    by_plan = call("assess", "plan.toml", *common)
    (row,) = measured(by_plan)
    assert row["metrics"]["auc"]["value"] == 0.5 and row["planted"] is False
    assert json.loads(by_plan.stdout)["scene"]["facts"]["model before fine-tuning"] == "net"
    by_flags = call("assess", *texts, "--reference", "net", *common)
    assert measured(by_flags)[0]["bits"] == row["bits"]


def test_defenses_are_ordered_by_a_flag_as_by_a_plan(call, files):
    flags = [*files, "--target", "label"]
    given = call("assess", *flags, "--defense", "rounding:digits=1", *COMMON, "a")
    assert given.returncode == 0, given.stderr
    behind = json.loads(given.stdout)["defenses"]
    assert [(row["name"], row["params"]) for row in behind] == [("rounding", {"digits": 1})]
    plan = '[model]\npath = "tree.skops"\n[data]\ntrain = "train.csv"\ntest = "test.csv"\n'
    plan += 'target = "label"\n[defenses]\nuse = ["rounding"]\n'
    Path("plan.toml").write_text(plan + "[defenses.rounding]\ndigits = 1\n")
    by_plan = json.loads(call("assess", "plan.toml", *COMMON, "b").stdout)
    assert by_plan["defenses"] == behind
    again = call("assess", "plan.toml", "--defense", "label_only", *COMMON, "b")
    assert [row["name"] for row in json.loads(again.stdout)["defenses"]] == [
        *("rounding", "label_only"),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--defense", "dp_sgd:epsilon=8"], "clips the gradient .* what fits it: .*label_only"),
        (["--defense", "hamp"], "hamp: .* what fits it: .*label_only, memguard"),
        (["--defense", "rounding:digit=1"], "no parameter 'digit'; did you mean digits"),
        (["--defense", "rounding", "--no-defenses"], "--defense must go without --no-defenses"),
    ],
)
def test_a_defense_that_does_not_fit_is_one_line_before_anything_is_played(
    call, files, words, message
):
    result = call("assess", *files, "--target", "label", *words, *COMMON, "a")
    lines = [line for line in result.stderr.splitlines() if line.startswith("hartley: ")]
    assert result.returncode == 2 and len(lines) == 1 and re.search(message, lines[0])
    assert not Path("a").exists()


def test_a_language_model_takes_the_defenses_that_fit_it(call, texts):
    common = ["--only", "loss_threshold", *COMMON[2:], "a"]
    given = call("assess", *texts, "--defense", "rounding:digits=1", *common)
    (behind,) = json.loads(given.stdout)["defenses"]
    (residual,) = behind["residual"].values()
    assert behind["reason"] is None and residual["static"]["n"] == 60
    refused = call("assess", *texts, "--defense", "goldfish", *common)
    assert refused.returncode == 2 and "query_budget, rounding, score_noise" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "net"], "got the folder net; for a language model give --canaries"),
        (["--target", "x"], "--target is for own_table and does not go with the others"),
        (["--longest", "1"], "longest"),
        (["--members", "absent.txt"], "absent.txt"),
    ],
)
def test_a_mistake_in_the_flags_of_a_language_model_is_one_line(call, texts, words, message):
    given = [] if words[0] == "--model" else texts
    if words[0] == "--members":
        given = texts[:2] + texts[4:]
    result = call("assess", *given, *words, "--store", "a")
    assert result.returncode == 2 and message in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2


def test_a_wrong_key_of_model_or_data_is_refused(call, files):
    for text, message in (
        ('[model]\nmodel = "tree.skops"\n', "did you mean model.path?"),
        ('[model]\ntrain = "train.csv"\n', "did you mean data.train?"),
        ('[data]\ntrian = "train.csv"\n', "unknown key 'data.trian'; did you mean train?"),
        ('scene = "digits"\n[model]\npath = "x"\n', "scene must be absent"),
    ):
        Path("plan.toml").write_text(text)
        result = call("assess", "plan.toml")
        assert result.returncode == 2 and message in result.stderr


def test_a_recipe_in_a_file_is_a_scene_and_its_imports_are_its_identity(call, files):
    first = call("assess", "audit.py:scene", *COMMON, "a")
    again = call("assess", "audit.py:scene", *COMMON, "a")
    assert measured(first) and measured(again)
    ids = [json.loads(result.stdout)["id"] for result in (first, again)]
    assert ids[0] == ids[1] and ids[0].startswith("audit-")
    Path("records.py").write_text(RECORDS.replace("SEED", "1"))
    for name in ("audit", "records"):  # as a new process would find them
        sys.modules.pop(name)
    edited = call("assess", "audit.py:scene", *COMMON, "a")
    assert json.loads(edited.stdout)["id"] != ids[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("audit.py:scen", "has no 'scen'"),
        ("audit.py:wrong", "must return a Scene, got int; a network of your own is --model"),
        ("audit.py:number", "must be a function that returns a hartley.Scene, got int"),
        ("audit.py:wants", "must be a function without arguments, got one that needs records"),
        ("absent.py:scene", "must be in a file that is there"),
        ("broken.py:scene", "cannot be imported: ZeroDivisionError: division by zero (broken.py"),
        ("leaves.py:scene", "cannot be imported: SystemExit"),
        ("json.py:scene", "has the name of another module; rename the file"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_one_line(call, files, name, message):
    for stem, text in {"broken": "1/0", "leaves": "raise SystemExit(0)", "json": "x = 1"}.items():
        Path(f"{stem}.py").write_text(text)
    result = call("assess", name, "--store", "a")
    assert result.returncode == 2 and message in result.stderr, result.stderr


def test_one_attack_and_a_chain_take_the_same_flags(call, files):
    words = [*files, "--target", "label"]
    whole = measured(call("assess", *words, *COMMON, "a"))
    alone = call("attack", "loss_threshold", *words, "--json")
    assert json.loads(alone.stdout)["bits"] == whole[0]["bits"], alone.stderr
    assert "loss_threshold on tree.skops" in alone.stderr
    # The attack's own parameter keeps its name, which is also that of a flag about models.
    lira = call("attack", "lira", *words, "--references", "2", "--json")
    assert json.loads(lira.stdout)["params"]["references"] == 2, lira.stderr
    # No stolen model can be made without public records, which is said before anything is played.
    chain = call("chain", "knockoff", "loss_threshold", *words, "--workers", "0", "--json")
    assert chain.returncode == 2 and not chain.stdout
    assert "loss_threshold cannot follow knockoff on tree: to aim knockoff" in chain.stderr
    assert "must hold public, and lacks public" in chain.stderr
    for command in (["attack", "lira"], ["chain", "knockoff", "lira"]):
        neither, both = call(*command), call(*command, *words, "--scene", "digits")
        assert neither.returncode == both.returncode == 2
        assert "needs a scene or a model" in neither.stderr
        assert "the scene must be given once, got --scene digits, --model" in both.stderr


def test_strong_attacks_that_lack_the_training_are_named_and_hold_up_a_pass(call, files):
    """The leak that LiRA and RMIA would have read passed unseen."""
    with_limits = ["plan.toml", *files, "--target", "label", "--workers", "0"]
    only = 'only = ["loss_threshold", "rmia"]\n[limits]\nmembership = 1.0\n'
    Path("plan.toml").write_text(only)
    result = call("assess", *with_limits, "--no-retrain", "--store", "a")
    assert result.returncode == 3
    missing = next(li for li in result.stdout.splitlines() if "strong attacks are missing" in li)
    assert "lira, rmia, " in missing and "it trains reference models" in missing
    assert "--fit, --retrain" in result.stdout
    enough = '[limits.least]\nattacks = ["loss_threshold"]\n'
    Path("plan.toml").write_text(only + enough)
    result = call("assess", *with_limits, "--no-retrain", "--store", "b")
    assert "skipped" not in "".join(li for li in result.stdout.splitlines() if "membership" in li)


NET = """
import numpy as np
import torch

rng = np.random.default_rng(0)
x = rng.normal(size=(160, 3)).astype(np.float32)
y = (x[:, 0] > 0).astype(int)

def fit(x, y):
    net = torch.nn.Linear(3, 1)
    torch.nn.init.ones_(net.weight)
    return net

net = fit(x, y)
print("made")
np.savez("train.npz", x=x[:80], y=y[:80])
np.savez("test.npz", x=x[80:], y=y[80:])
"""


def test_a_store_that_cannot_be_written_is_known_before_the_model_is_read(call, files):
    Path("afile").touch()
    result = call("assess", *files, "--target", "label", "--store", "afile/runs")
    assert result.returncode == 2 and "reading your model" not in result.stderr
    assert result.stderr.endswith("not a directory; choose a writable folder with --store\n")


def test_a_defense_of_a_plan_that_the_model_cannot_take_is_a_mistake(call, files):
    """With --defense it ended with 2; of a plan the run was complete, and the row not measured."""
    Path("plan.toml").write_text('[defenses]\nuse = ["dp_sgd"]\n')
    result = call("assess", "plan.toml", *files, "--target", "label", *COMMON, "a")
    assert result.returncode == 2 and result.stdout == "" and not Path("a").exists()
    (_, line) = result.stderr.splitlines()
    assert line.startswith("hartley: dp_sgd clips the gradient") and "what fits it" in line
    assert call(*result_of_no_defenses(files)).returncode == 0


def result_of_no_defenses(files):
    return ("assess", "plan.toml", *files, "--target", "label", "--no-defenses", *COMMON, "a")


def test_a_network_is_played_by_its_flags(call, files, monkeypatch):
    monkeypatch.delitem(sys.modules, "net", raising=False)
    Path("net.py").write_text(NET)
    for name in ("train.npz", "test.npz"):
        Path(name).touch()  # net.py writes them
    words = ["--model", "net.py:net", "--train", "train.npz", "--test", "test.npz", *COMMON, "a"]
    result = call("assess", *words, "--fit", "net.py:fit", "--device", "cpu")
    assert len(measured(result)) == 1 and "made" in result.stderr
    facts = json.loads(result.stdout)["scene"]["facts"]
    assert facts["device"] == "cpu" and facts["fit file"].startswith("net.py:fit, ")
    for flags, message in (
        (["--gives", "scores"], "gives must be"),
        (["--target", "y"], "--target is for own_table and does not go with"),
        (["--device", "cuda:9"], "--device must be a device that torch finds here (cpu"),
    ):
        wrong = call("assess", *words, *flags)
        assert wrong.returncode == 2 and message in wrong.stderr, wrong.stderr
    sys.modules.pop("net", None)
