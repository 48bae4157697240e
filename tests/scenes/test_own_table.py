"""A user's own classifier from a file, with the tables that it was trained and tested on."""

from __future__ import annotations

import zipfile
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

import hartley
from hartley import catalog
from hartley.core.errors import RunError, UsageError
from hartley.engine.defend import defended, fitting
from hartley.engine.plan.applicability import obstacle
from hartley.engine.plan.plan import Plan
from hartley.engine.result.gate import judge
from hartley.engine.run.play import play
from hartley.games.inversion.attribute_inference import SensitiveAttribute
from hartley.kit.perturbation import Perturbation
from hartley.scenes import own_table as own_table_module

HALF = 120
NUMBERS = {"train": "numbers.csv", "test": "numbers_test.csv"}


class Chosen(TransformerMixin, BaseEstimator):
    """A first step of the user's own, which states neither names nor a number of columns."""

    def __init__(self, columns):
        self.columns = columns

    def fit(self, x, y=None):
        return self

    def transform(self, x):
        return np.nan_to_num(np.asarray(x[self.columns], dtype=float))


class Scaled(Chosen):
    """One that reads an array, by position."""

    def transform(self, x):
        return x[:, self.columns] / 100


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Two tables of people with words and numbers, and pipelines fitted on the first."""
    folder = tmp_path_factory.mktemp("people")
    rng, n = np.random.default_rng(0), 2 * HALF
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "hours": rng.normal(40, 10, n).round(1),
            "job": rng.choice(["clerk", "baker", "smith"], n),
            "married": rng.random(n) < 0.5,
        }
    )
    table.loc[rng.random(n) < 0.1, "job"] = None
    whole = table.hours.copy()
    table.loc[rng.random(n) < 0.1, "hours"] = np.nan
    table["income"] = np.where(table.age + rng.normal(0, 25, n) > 50, "high", "low")
    train, test = table[:HALF], table[HALF:]
    train.to_csv(folder / "train.csv", index=False)
    # Another order of columns, another format, and a column that the model never saw.
    test.assign(note="x")[["note", *reversed(table.columns)]].to_parquet(folder / "test.parquet")
    words = OneHotEncoder(handle_unknown="ignore")
    encode = ColumnTransformer([("w", words, ["job"])], remainder="passthrough")
    # A tree takes missing numbers as they are.
    pipeline = make_pipeline(encode, DecisionTreeClassifier(random_state=0))
    pipeline.fit(train.drop(columns="income"), train.income)
    joblib.dump(pipeline, folder / "tree.joblib")
    skops.io.dump(pipeline, folder / "tree.skops")
    numbers = train[["age", "hours"]].assign(hours=whole[:HALF])
    skops.io.dump(LinearRegression().fit(numbers, train.age), folder / "line.skops")
    skops.io.dump(LinearSVC().fit(numbers, train.income), folder / "svc.skops")
    skops.io.dump(RandomForestClassifier(), folder / "unfitted.skops")
    plain = DecisionTreeClassifier().fit(numbers.to_numpy(), train.income)
    skops.io.dump(plain, folder / "plain.skops")
    logistic = LogisticRegression().fit(numbers.to_numpy(), train.income)
    skops.io.dump(logistic, folder / "logistic.skops")
    train[["age", "hours", "income"]].to_csv(folder / "numbers.csv", index=False)
    test[["age", "hours", "income"]].to_csv(folder / "numbers_test.csv", index=False)
    (folder / "empty.csv").write_text("")
    (folder / "header.csv").write_text("age,hours,job,married,income\n")
    test.to_csv(folder / "semicolons.csv", sep=";", index=False)
    (folder / "gap.csv").write_text(
        "age,hours,job,married,income\n30,40,clerk,True,low\n30,40,clerk,True,\n"
    )
    (folder / "mixed.csv").write_text(
        "age,hours,job,married,income\n30,40,clerk,True,low\n?,40,clerk,True,low\n"
    )
    (folder / "other.csv").write_text("age,hours,job,married,income\n30,40,clerk,True,medium\n")
    return folder, pipeline, train, test


def own(folder, **settings):
    files = {"model": "tree.skops", "train": "train.csv", "test": "test.parquet"} | settings
    paths = {k: str(folder / v) if k in ("model", "train", "test") else v for k, v in files.items()}
    return catalog.load("scene", "own_table")(**{"target": "income", **paths})


def test_in_evasion_numbers_of_a_table_may_change_and_words_and_missing_values_may_not(people):
    folder, _, train, _ = people
    rules = own(folder).part(Perturbation)
    # age, hours and whether hours are missing, job, married
    ages = train.age.max() - train.age.min()
    assert rules.scale[0] == ages and rules.scale[1] > 0 and not rules.scale[2:].any()
    trials = play("square", own(folder), queries=20)
    assert trials.metrics["refused"] == 0.0 and 0 < trials.metrics["perturbation"] <= 0.0501


def test_evasion_is_played_where_it_is_asked_for(people):
    """It asks hundreds of times about each record; most audits ask what a model leaks."""
    scene, square = own(people[0]), catalog.find("attack", "square")
    rmia = catalog.find("attack", "rmia")
    plain = Plan(scene="own_table")
    why_not = obstacle(square, scene, plain)
    assert why_not.cause == "order" and why_not.reason.endswith("--only jailbreak plays it")
    assert obstacle(rmia, scene, plain) is None
    # Neither does an attack that lacks gradients ask for them.
    assert obstacle(catalog.find("attack", "pgd"), scene, plain).cause == "order"
    for asked in (
        *({"only": (pattern,)} for pattern in ("square", "jailbreak", "evasion", "axis:data_*")),
        {"attacks": {"square": {"queries": 9}}},
        {"games": {"evasion": {"epsilon": 0.1}}},
        *({"limits": {key: 0.1}} for key in ("jailbreak", "evasion.asr", "axis:data_to_model")),
    ):
        assert obstacle(square, scene, replace(plain, **asked)) is None, asked
    assert obstacle(square, scene, replace(plain, only=("membership",))).cause == "plan"
    # A limit that is found later does not pass over what was not played.
    row = {"id": "square-0", "baseline": True, "attack": "square", "game": "evasion"}
    row |= {"class": "jailbreak", "axis": "data_to_model", "status": "skipped", "flags": []}
    row |= {"cause": why_not.cause, "reason": why_not.reason, "bits": None, "metrics": {}}
    for limit in ("jailbreak", "axis:data_to_model"):
        assert judge({"channels": [row]}, {limit: 0.9}).status == "inconclusive"


def test_the_model_answers_as_it_does_on_the_users_own_frame(people):
    folder, pipeline, train, test = people
    for file in ("tree.skops", "tree.joblib"):
        scene = own(folder, model=file, trust=file == "tree.joblib")
        for records, frame in ((scene.train, train), (scene.holdout, test)):
            expected = pipeline.predict_proba(frame.drop(columns="income"))
            assert np.array_equal(scene.model.query(records.x), expected)
            assert np.array_equal(pipeline.classes_[records.y], frame.income)
        assert np.isfinite(scene.train.x).all() and scene.train.x.shape[1] == 5
        assert scene.facts["columns"] == 4 and scene.facts["train file"].startswith("train.csv, ")


def test_a_first_step_of_the_users_own_gets_the_table_as_it_is(people):
    folder, _, train, test = people
    for step, files, read in (
        (Chosen(["hours", "age"]), {}, lambda table: table.drop(columns="income")),
        (Scaled([1, 0]), NUMBERS, lambda table: table[["age", "hours"]].to_numpy()),
    ):
        pipeline = make_pipeline(step, DecisionTreeClassifier(random_state=0))
        pipeline.fit(read(train), train.income)
        joblib.dump(pipeline, folder / "step.joblib")
        scene = own(folder, model="step.joblib", trust=True, **files)
        expected = pipeline.predict_proba(read(test))
        assert np.array_equal(scene.model.query(scene.holdout.x), expected)
        assert scene.facts["train accuracy"] > 0.9


def test_a_tree_that_knows_its_records_by_heart_is_heard_by_the_strong_attack(people):
    folder, *_ = people
    trials = hartley.play("rmia", own(folder), references=8)
    channel = hartley.measure(trials)
    assert channel.metrics["auc"]["low"] > 0.6 and channel.bits.lower > 0
    # A tree of one leaf has learnt its class balance and nothing of a record.
    folder_, train = folder, people[2]
    stump = DecisionTreeClassifier(max_depth=1).fit(
        train[["age", "hours"]].to_numpy(), train.income
    )
    skops.io.dump(stump, folder_ / "stump.skops")
    scene = own(folder_, model="stump.skops", train="numbers.csv", test="numbers_test.csv")
    assert hartley.measure(hartley.play("rmia", scene, references=8)).bits.lower < 0.02


def test_a_tree_has_no_gradients_to_clip_and_the_refusal_names_what_fits(people):
    scene = own(people[0])
    with pytest.raises(RunError, match=r"dp_sgd clips .* what fits it: .*rounding") as error:
        defended(scene, "dp_sgd")
    assert "\n" not in str(error.value) and "dp_sgd" not in fitting(scene)


def test_a_sensitive_column_is_read_from_a_tree_that_knows_its_records_by_heart(people):
    """Values are drawn by the auditor: a model of one question says nothing about the others."""
    folder, _, train, _ = people
    rounds = {"game_params": {"rounds": 6}}
    deep = own(folder, model="plain.skops", train="numbers.csv", test="numbers_test.csv")
    assert deep.find(SensitiveAttribute) is None
    files = {"train": "numbers.csv", "test": "numbers_test.csv", "sensitive": "age"}
    deep = own(folder, model="plain.skops", **files)
    part = deep.part(SensitiveAttribute)
    assert part.columns == (0,) and len(part.codes) == 4
    hearing = hartley.measure(hartley.play("attribute_confidence", deep, **rounds))
    assert hearing.bits.lower > 0.02
    shallow = DecisionTreeClassifier(max_depth=1, random_state=0).fit(
        train[["age", "hours"]].fillna(0).to_numpy(), train.income
    )
    skops.io.dump(shallow, folder / "shallow.skops")
    deaf = own(folder, model="shallow.skops", **(files | {"sensitive": "hours"}))
    silence = hartley.measure(hartley.play("attribute_confidence", deaf, **rounds))
    assert silence.bits.lower == 0


def test_words_and_missing_numbers_can_be_sensitive(people):
    folder, *_ = people
    words = own(folder, sensitive="job")
    assert words.facts["sensitive"] == "job: baker, clerk, smith"
    holes = own(folder, sensitive="hours").part(SensitiveAttribute)
    assert len(holes.columns) == 2 and not holes.codes[:, 1].any()
    flag = own(folder, sensitive="married").part(SensitiveAttribute)
    assert flag.codes.tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sensitive": "jbo"}, r"a column that the model reads, got 'jbo'; did you mean job"),
        ({"sensitive": "income"}, "a column that the model reads, got 'income'"),
        ({"sensitive": "job", "retrain": False}, "leave out --no-retrain"),
        ({"target": ""}, r"--target COLUMN; it has age, hours, job, married, income"),
        ({"target": "incom"}, r"has no column 'incom'; did you mean income\? It has age, hours"),
        ({"target": "salary_band"}, r"has no column 'salary_band'; --target must be one of age,"),
        ({"test": "semicolons.csv"}, r"no column 'income': its cells are separated by ';'"),
        ({"test": "gap.csv"}, r"got none in 1 of 2 \(the first is row 2 below the header\)"),
        ({"test": "mixed.csv"}, r"numbers and words are in one column: age \(\?\)"),
        ({"target": "married"}, r"must be one of high, low.*got false, true"),
        ({"model": "tree.joblib"}, "is a pickle.*--trust"),
        ({"target": "age"}, "which the model was fitted on, got .*; is the target another column"),
        ({"model": "absent.skops"}, "which is not there"),
        ({"model": "train.csv"}, "must hold a fitted scikit-learn model"),
        ({"model": "line.skops"}, "must hold a fitted classifier, got a model that predicts no"),
        ({"model": "svc.skops"}, "must answer with probabilities.*CalibratedClassifierCV"),
        ({"model": "unfitted.skops"}, "got one that is not fitted .*; call its fit, and save it"),
        ({"model": "plain.skops"}, "must read text to be asked about job"),
        (
            {"model": "logistic.skops"} | NUMBERS,
            "must read the records .*NaN.* step that fills",
        ),
        ({"train": "numbers.csv"}, "every column that the model was fitted on, got none named"),
        ({"train": "absent.csv"}, "--train must be a file that is there"),
        ({"train": "empty.csv"}, "is empty"),
        ({"train": "header.csv"}, "must have rows"),
        ({"test": "other.csv"}, "must be one of high, low.*got medium"),
        ({"test": "train.csv"}, "that the model never saw"),
        ({"model": ""}, "--model must be a file, got none|must be a file"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_cure(people, settings, words):
    with pytest.raises(UsageError, match=words) as error:
        own(people[0], **settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"test": "absent.csv"}, "--test must be a file that is there"),
        ({"target": "incom"}, "did you mean income"),
        ({"sensitive": "jbo"}, "did you mean job"),
    ],
)
def test_files_are_checked_before_the_model_is_loaded(people, settings, words, monkeypatch):
    loaded = lambda *_, **__: pytest.fail("was loaded")  # noqa: E731
    monkeypatch.setattr(own_table_module, "load_estimator", loaded)
    with pytest.raises(UsageError, match=words):
        own(people[0], **settings)


def test_an_imputer_needs_no_trust_and_a_dtype_of_another_making_does(people):
    folder, _, train, _ = people
    numbers = train[["age", "hours"]]
    pipeline = make_pipeline(SimpleImputer(), DecisionTreeClassifier()).fit(numbers, train.income)
    skops.io.dump(pipeline, folder / "imputer.skops")
    scene = own(folder, model="imputer.skops", **NUMBERS)
    assert np.array_equal(scene.model.query(scene.train.x), pipeline.predict_proba(numbers))
    with zipfile.ZipFile(folder / "imputer.skops") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    # A state that no array has: numpy would build whatever it says.
    parts["schema.json"] = parts["schema.json"].replace(b'"DTypeNode"', b'"ObjectNode"')
    with zipfile.ZipFile(folder / "forged.skops", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(UsageError, match=r"a dtype that is not an array's: add --trust"):
        own(folder, model="forged.skops", **NUMBERS)


def test_a_tree_whose_nodes_point_outside_is_refused(people):
    """Such a tree would read any memory, and skops leaves it to its caller."""
    folder, *_ = people
    tree = DecisionTreeClassifier().fit(np.arange(8.0)[:, None], [0, 1] * 4)
    state = tree.tree_.__getstate__()
    state["nodes"]["left_child"][0] = 10**6
    tree.tree_.__setstate__(state)
    skops.io.dump(tree, folder / "outside.skops")
    with pytest.raises(UsageError, match="whole trees, got one with a node outside"):
        own(folder, model="outside.skops", train="numbers.csv", test="numbers_test.csv")


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_missing_word_is_the_one_that_the_steps_were_fitted_with(tmp_path, missing):
    """Frames of polars, of databases and of JSON have None; an encoder holds it for a category."""
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"age": rng.integers(18, 90, 120)})
    x["job"] = pd.Series(rng.choice(["a", "b", missing], 120), dtype=object)
    y = np.where((x.age > 50) ^ x.job.isna(), "high", "low")
    encoder = OneHotEncoder(handle_unknown="ignore")
    steps = ColumnTransformer([("job", encoder, ["job"])], remainder="passthrough")
    model = make_pipeline(steps, DecisionTreeClassifier(random_state=0)).fit(x, y)
    joblib.dump(model, tmp_path / "tree.joblib")
    for name, rows in (("train", slice(60)), ("test", slice(60, None))):
        x[rows].assign(income=y[rows]).to_parquet(tmp_path / f"{name}.parquet")
    scene = catalog.load("scene", "own_table")(
        model=str(tmp_path / "tree.joblib"),
        train=str(tmp_path / "train.parquet"),
        test=str(tmp_path / "test.parquet"),
        target="income",
        trust=True,
    )
    assert np.array_equal(scene.model.query(scene.holdout.x), model.predict_proba(x[60:]))
    assert scene.facts["train accuracy"] == 1.0


def test_steps_that_read_frames_of_polars_get_them(tmp_path):
    pl = pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    x = pl.DataFrame({"age": rng.integers(18, 90, 120), "job": rng.choice(["a", "b"], 120)})
    y = np.where(x["age"].to_numpy() > 50, "high", "low")
    first = FunctionTransformer(lambda d: d.select(pl.col("age") * 2, pl.col("job") == "a"))
    model = make_pipeline(first, DecisionTreeClassifier(random_state=0)).fit(x, y)
    report = hartley.audit(
        model,
        x[:60].with_columns(income=pl.Series(y[:60])),
        x[60:].with_columns(income=pl.Series(y[60:])),
        target="income",
        only=["loss_threshold"],
        workers=0,
        store=tmp_path / "runs",
    )
    assert report.rows("loss_threshold")[0].status == "measured"


def test_a_stump_says_nothing_of_a_column_that_it_does_not_split_on(tmp_path):
    """Its label is the same for every value: no value is likelier, and the attack names none."""
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"a": rng.normal(size=200), "s": rng.integers(0, 3, 200)})
    for column, abstains in (("a", 1.0), ("s", 0.0)):
        y = (x[column] > 0.5).astype(int)
        joblib.dump(DecisionTreeClassifier(max_depth=1).fit(x[:100], y[:100]), tmp_path / "m.pkl")
        for name, rows in (("train", slice(100)), ("test", slice(100, None))):
            x[rows].assign(y=y[rows]).to_csv(tmp_path / f"{name}.csv", index=False)
        scene = catalog.load("scene", "own_table")(
            model=str(tmp_path / "m.pkl"),
            train=str(tmp_path / "train.csv"),
            test=str(tmp_path / "test.csv"),
            target="y",
            trust=True,
            sensitive="s",
        )
        trials = hartley.play("attribute_posterior", scene, game_params={"rounds": 2})
        assert (trials.guess < 0).mean() == abstains


def test_a_table_in_another_order_than_the_model_was_fitted_on_is_seen(tmp_path):
    """A model of arrays names no columns; what it says of its own records gives it away."""
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"age": rng.integers(18, 90, 120), "hours": rng.normal(40, 10, 120)})
    y = np.where(x.age > 50, "high", "low")
    joblib.dump(DecisionTreeClassifier().fit(x.to_numpy(), y), tmp_path / "m.joblib")

    def own_scene(order):
        for name, rows in (("train", slice(60)), ("test", slice(60, None))):
            x[order][rows].assign(y=y[rows]).to_csv(tmp_path / f"{name}.csv", index=False)
        return catalog.load("scene", "own_table")(
            model=str(tmp_path / "m.joblib"),
            train=str(tmp_path / "train.csv"),
            test=str(tmp_path / "test.csv"),
            target="y",
            trust=True,
        )

    assert own_scene(["age", "hours"]).facts["train accuracy"] == 1.0
    with pytest.raises(UsageError, match=r"in their order \(hours, age\); write them in that of"):
        own_scene(["hours", "age"])
