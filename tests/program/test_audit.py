"""``hartley.audit``: objects in memory take the road of the command line."""

from __future__ import annotations

import functools
import importlib
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from torch.utils.data import DataLoader, TensorDataset

import hartley
from hartley import catalog
from hartley.core.errors import UnknownName, UsageError
from hartley.program.inputs import Inputs

FEW = {"only": ["loss_threshold", "rmia"], "references": 2, "workers": 0}


@pytest.fixture(scope="module")
def people():
    """Two tables of people, and a pipeline that was fitted on the first."""
    rng, n = np.random.default_rng(0), 160
    table = pd.DataFrame(
        {"age": rng.integers(18, 90, n), "job": rng.choice(["clerk", "baker", "smith"], n)}
    )
    table["income"] = np.where(table.age + rng.normal(0, 25, n) > 50, "high", "low")
    train, test = table[:80], table[80:]
    encode = ColumnTransformer([("w", OneHotEncoder(), ["job"])], remainder="passthrough")
    pipeline = make_pipeline(encode, DecisionTreeClassifier(random_state=0))
    return pipeline.fit(train[["age", "job"]], train.income), train, test


def test_a_frame_measures_what_its_file_measures(people, call, tmp_path) -> None:
    """The rows of the command line on the files that were written are the same, digit by digit."""
    pipeline, train, test = people
    report = hartley.audit(pipeline, train, test, target="income", store=tmp_path / "r", **FEW)
    (row,) = report.rows("rmia")
    assert row.bits is not None and row.bits.low <= row.bits.point <= row.bits.high
    assert row.bits.n == 160 and str(row.bits).endswith("at 95 %, n = 160")
    given = report.document["plan"]["scenes"]["own_table"]
    assert given["model"].endswith(".skops") and "trust" not in given
    # The same objects are answered by the run that is there; other numbers are another run.
    again = hartley.audit(pipeline, train, test, target="income", store=tmp_path / "r", **FEW)
    assert again.folder == report.folder
    older = train.assign(age=train.age + 1)
    other = hartley.audit(pipeline, older, test, target="income", store=tmp_path / "r", **FEW)
    assert other.folder != report.folder
    files = [part for name in ("model", "train", "test") for part in (f"--{name}", given[name])]
    flags = [*files, "--target", "income", "--references", "2", "--workers", "0", "--json"]
    only = ["--only", "loss_threshold", "--only", "rmia", "--store", "other"]
    done = call("assess", *flags, *only)
    assert done.returncode == 0, done.stderr
    rows = {row["id"]: row for row in json.loads(done.stdout)["channels"]}
    assert rows[row.id]["bits"]["point"] == row.bits.point


def test_progress_is_written_where_somebody_looks_on(people, tmp_path, capsys, monkeypatch):
    """Minutes of silence look like a program that hangs; a script's output stays as it is."""
    given = {"target": "income", "only": ["loss_threshold"], "workers": 0, "store": tmp_path}

    def written(**more):
        hartley.audit(*people, **given, **more)
        out, err = capsys.readouterr()
        assert out == ""
        return err.splitlines()

    assert written() == []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert written(verbose=False, fresh=True) == []
    building, jobs, done = written(fresh=True)
    assert building == "reading your model and data" and jobs.endswith(": 1 job")
    assert done.startswith("  done    loss_threshold (")
    (kept,) = written()
    assert kept.endswith("is complete; these are its results (fresh=True plays it again)")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert len(written()) == 1  # a notebook
    monkeypatch.undo()
    assert len(written(verbose=True)) == 1


def test_a_report_is_read_and_saved(people, tmp_path) -> None:
    pipeline, train, test = people
    limits = {"membership": 0.0001}
    report = hartley.audit(
        *(pipeline, train, test), target="income", limits=limits, store=tmp_path, **FEW
    )
    assert report.verdict.status in ("over", "inconclusive") and report.verdict.reasons
    assert "rmia: " in str(report) and report.verdict.means in str(report)
    assert repr(report) == str(report)  # a notebook shows the last value of a cell
    assert {row.attack for row in report.rows("membership")} >= {"rmia", "loss_threshold"}
    with pytest.raises(UnknownName, match="rmia"):
        report.rows("rmai")
    page = report.save(tmp_path / "dpia.html").read_text()
    assert report.document["id"] in page
    assert json.loads(report.save(tmp_path / "a.json").read_text())["id"] == report.document["id"]
    assert "impact assessment" in report.save(tmp_path / "a.md", format="dpia").read_text()
    with pytest.raises(UsageError, match=r"must end in .html"):
        report.save(tmp_path / "report.pdf")


class Polars:
    """A frame as polars gives it away: by its stream of Arrow."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def test_frames_of_other_libraries_and_arrays_are_the_same_table(people, tmp_path) -> None:
    pipeline, train, _ = people
    inputs = Inputs(tmp_path)
    table = pa.Table.from_pandas(train, preserve_index=False)
    features = train[["age", "job"]]
    files = {
        inputs.records({"train": value}, "income", pipeline)["train"]
        for value in (train, table, Polars(table), (features, train.income))
    }
    assert len(files) == 1
    numbers = DecisionTreeClassifier().fit(train[["age"]].to_numpy(), train.income)
    given = inputs.records({"train": (train[["age"]].to_numpy(), train.income)}, "", numbers)
    assert given["target"] == "income"
    assert pa.parquet.read_table(given["train"]).column_names == ["0", "income"]
    with pytest.raises(UsageError, match="train must be a frame"):
        inputs.records({"train": np.zeros(3)}, "income", numbers)


def test_a_step_of_ones_own_makes_a_pickle_that_the_program_may_trust(people, tmp_path) -> None:
    _, train, _ = people
    double = FunctionTransformer(lambda x: 2 * x)
    model = make_pipeline(double, DecisionTreeClassifier()).fit(train[["age"]], train.income)
    inputs = Inputs(tmp_path)
    given = inputs.model(model, {})
    assert given["trust"] and given["model"].endswith("Pipeline.pkl")
    assert Inputs(tmp_path).model(model, {}) == given
    scene = catalog.load("scene", "own_table")(
        **given, **inputs.records({"train": train, "test": train[:9]}, "income", model)
    )
    assert scene.model.identity.startswith("file:") and scene.facts["train accuracy"] > 0.5


def fit(x, y, seed=0):
    """Train a small net."""
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(30):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(torch.as_tensor(x)), torch.as_tensor(y)).backward()
        optimiser.step()
    return net


def test_a_network_a_data_set_and_a_loader(tmp_path) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 4, generator=generator)
    y = (x[:, 0] + torch.randn(80, generator=generator) > 0).long()
    train, test = TensorDataset(x[:40], y[:40]), TensorDataset(x[40:], y[40:])
    report = hartley.audit(
        *(fit(x[:40], y[:40]), train, DataLoader(test, batch_size=8, shuffle=True)),
        fit=fit,
        store=tmp_path,
        **FEW,
    )
    assert {row.attack for row in report.rows() if row.bits} >= {"rmia", "loss_threshold"}
    assert report.document["scene"]["facts"]["records"] == 40


PROGRAM = """
import sys
from hartley.program.inputs import Inputs
from pathlib import Path

class Rule:
    def __call__(self, x):
        return x > 0.5

def fit(x, y):
    return Rule(), {rate}

inputs = Inputs(Path(sys.argv[1]))
print(inputs.model(Rule(), {{}})["model"], inputs.function(fit)["fit"], inputs.needs_this_process)
"""


def test_what_a_program_defines_has_one_name_in_every_process(tmp_path) -> None:
    """Classes and functions of a program are in the pickle: an edit is another object."""

    def files(rate: int) -> list[str]:
        code = PROGRAM.format(rate=rate)
        command = [sys.executable, "-c", code, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.split()

    once, again, edited = files(1), files(1), files(2)
    assert once == again and once[2] == "False"
    assert once[0] == edited[0] and once[1] != edited[1]


CELL = """
class Rule:
    def __call__(self, x):
        return (lambda v: v > {rate})(x)

def fit(x, y):
    return Rule()
"""


def test_a_cell_of_a_notebook_has_one_name_in_every_kernel(tmp_path) -> None:
    """A kernel names the file of each cell by its process, and lines move as a cell is edited."""

    def files(kernel: int, rate: int) -> list[str]:
        cell = "\n" * kernel + CELL.format(rate=rate)
        place = f"/tmp/ipykernel_{kernel}/{7 * kernel}.py"
        code = f"""
import sys
from pathlib import Path
from hartley.program.inputs import Inputs
exec(compile({cell!r}, {place!r}, "exec"))
inputs = Inputs(Path(sys.argv[1]))
print(inputs.model(Rule(), {{}})["model"], inputs.function(fit)["fit"])
"""
        command = [sys.executable, "-c", code, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.split()

    first, second, edited = files(1, 1), files(2, 1), files(2, 2)
    assert first == second
    assert first[0] != edited[0] and first[1] != edited[1]


def test_a_function_of_a_file_is_named_by_it(tmp_path, monkeypatch) -> None:
    """So that models are trained anew once the file is edited, and workers import it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "their_training.py").write_text("def fit(x, y):\n    return len\n")
    fit_there = importlib.import_module("their_training").fit
    inputs = Inputs(tmp_path / "inputs")
    assert inputs.function(fit_there) == {"fit": f"{tmp_path / 'their_training.py'}:fit"}
    # What is pickled by its name needs its module, which a fresh process may not find.
    assert not inputs.needs_this_process
    inputs.function(functools.partial(fit_there))
    assert inputs.needs_this_process


def test_texts_become_lines(tmp_path) -> None:
    chat = [{"role": "user", "content": "Grüße"}]
    given = Inputs(tmp_path).texts({"members": ["one", chat], "nonmembers": "others.txt"})
    assert given["nonmembers"] == "others.txt"
    lines = (tmp_path / given["members"]).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"text": "one"}, {"messages": chat}]
    with pytest.raises(UsageError, match="members must be texts or chats, got int"):
        Inputs(tmp_path).texts({"members": [3]})


def test_mistakes_are_those_of_the_command_line(people, tmp_path) -> None:
    pipeline, train, test = people
    with pytest.raises(UsageError, match="did you mean income"):
        hartley.audit(pipeline, train, test, target="incom", store=tmp_path)
    with pytest.raises(UsageError, match="has no setting 'tagret'"):
        hartley.audit(pipeline, train, test, tagret="income", store=tmp_path)
    with pytest.raises(UsageError, match="model must be a scikit-learn classifier"):
        hartley.audit(3, train, test, target="income", store=tmp_path)
    with pytest.raises(UsageError, match="got those of train"):
        hartley.audit(pipeline, train, train, target="income", store=tmp_path)


def test_defenses_are_ordered_as_on_the_command_line(people, tmp_path) -> None:
    pipeline, train, test = people
    few = {**FEW, "only": ["loss_threshold"], "target": "income", "store": tmp_path / "r"}
    report = hartley.audit(pipeline, train, test, defenses=["rounding:digits=1"], **few)
    (behind,) = report.document["defenses"]
    assert (behind["name"], behind["params"], behind["reason"]) == ("rounding", {"digits": 1}, None)
    (row,) = report.behind("rounding", attack="loss_threshold")
    (plain,) = report.rows("loss_threshold")
    (residual,) = behind["residual"].values()
    assert row.without == plain.bits and row.row == plain.id
    for measured, known in ((row.static, residual["static"]), (row.adaptive, residual["adaptive"])):
        # Where an attacker was not measured, the row says why.
        assert (measured is None) == (known is None) and (known or row.reason)
        if measured is not None:
            assert (measured.point, measured.n) == (known["point"], known["n"])
    assert row.static is not None and str(row.static) in str(report)
    assert "loss_threshold behind rounding: " in str(report)
    with pytest.raises(UnknownName, match="rounding"):
        report.behind("roundin")
    with pytest.raises(UnknownName, match="loss_threshold"):
        report.behind(attack="los_threshold")
    with pytest.raises(UsageError, match=r"hamp: .* what fits it: .*label_only"):
        hartley.audit(pipeline, train, test, defenses=["hamp"], **few)


def test_the_worst_records_are_rows_of_the_frame(tmp_path) -> None:
    """Their evidence is what the user's own model answers about these rows."""
    rng, n = np.random.default_rng(2), 120
    table = pd.DataFrame({"age": rng.normal(50, 20, n), "hours": rng.normal(40, 10, n)})
    table["income"] = np.where(table.age + rng.normal(0, 25, n) > 50, "high", "low")
    table.index = rng.permutation(n)  # a row is a position, not a label of the index
    train, test = table[:60], table[60:]
    forest = RandomForestClassifier(9, random_state=0, max_depth=5)
    forest.fit(train[["age", "hours"]], train.income)
    few = {"only": ["loss_threshold"], "workers": 0, "store": tmp_path}
    report = hartley.audit(forest, train, test, target="income", retrain=False, **few)
    worst = report.worst_records(8)

    def chances(part):
        answers = forest.predict_proba(part[["age", "hours"]])
        return answers[np.arange(len(part)), (part.income == "low").astype(int)]

    inside, outside = chances(train), chances(test)
    for record in worst:
        share = (outside >= inside[record.row] - 1e-12).mean()
        assert record.source == "train.parquet" and record.fpr == pytest.approx(share)
    assert [record.fpr for record in worst] == sorted(record.fpr for record in worst)
    assert worst[0].fpr == min((outside >= one - 1e-12).mean() for one in inside)
    assert f"row {worst[0].row}: " in str(worst[0]) and worst[0].attack == "loss_threshold"
    assert "Most exposed records" in report.save(tmp_path / "page.html").read_text()
    assert len(report.worst_records(50, attack="loss_threshold")) == 50
    with pytest.raises(UsageError, match="from 1 to 50 records, got 0"):
        report.worst_records(0)
    with pytest.raises(UnknownName, match="loss_threshold"):
        report.worst_records(attack="los_threshold")
