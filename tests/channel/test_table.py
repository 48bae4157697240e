from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hartley.channel.measure import measure
from hartley.channel.trials.import_table import read_trials
from hartley.core import AnswerForm
from hartley.core.errors import BadTrials
from hartley.core.records import COSTS


@pytest.fixture
def write(tmp_path):
    def write(text, name="t.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_scores(write):
    trials = read_trials(write("truth,score\n" + "\n".join(f"{i % 2},{i % 7}" for i in range(50))))
    assert trials.spec.form is AnswerForm.SCORE
    assert not trials.spec.clustered
    assert not trials.spec.planted
    assert trials.truth.tolist() == [i % 2 for i in range(50)]
    assert measure(trials).leakage is None


def test_csv_and_parquet_are_the_same(tmp_path):
    rng = np.random.default_rng(0)
    columns = {
        "truth": rng.integers(0, 2, 400),
        "score": rng.normal(size=400),
        "cluster": rng.integers(0, 9, 400),
        "uses": np.full(400, 3),
        "seconds": np.full(400, 0.25),
    }
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "a.parquet")
    from pyarrow.csv import write_csv

    write_csv(table, tmp_path / "a.csv")
    one, two = read_trials(tmp_path / "a.parquet"), read_trials(tmp_path / "a.csv")
    assert one.spec == two.spec
    assert (one.spec.uses, one.spec.seconds, one.spec.clustered) == (1200, 100.0, True)
    assert (one.guess == two.guess).all()
    assert measure(one) == measure(two)


def test_words_and_numbers_as_symbols(write):
    words = read_trials(write("truth,guess\ncat,cat\ndog,cat\ncat,-1\nemu,emu\ndog,cow\n"))
    assert words.spec.alphabet == 3
    assert words.truth.tolist() == [0, 1, 0, 2, 1]
    assert words.guess.tolist() == [0, 0, -1, 2, -1]
    numbers = read_trials(write("truth,guess\n3,3\n7,3.0\n3,-1\n"))
    assert numbers.truth.tolist() == [0, 1, 0]
    assert numbers.guess.tolist() == [0, 0, -1]


def test_names_of_clusters_may_be_words(write):
    rows = "\n".join(f"{i % 2},{i},run{i % 3}" for i in range(30))
    assert set(read_trials(write("truth,score,cluster\n" + rows)).cluster) == {0, 1, 2}


def test_booleans_and_spaces_around_names(write):
    trials = read_trials(write("truth , score\ntrue,1\nfalse,2\n"))
    assert trials.truth.tolist() == [1, 0]


def test_one_table_has_one_measurement_under_every_name_and_for_every_attacker(write):
    rng = np.random.default_rng(26)
    rows = "\n".join(f"{i % 2},{rng.normal(i % 2):.6f}" for i in range(600))
    first, second = (
        read_trials(write("truth,score\n" + rows, name)) for name in ("lira.csv", "loss.csv")
    )
    channels = [measure(t) for t in (first, second, replace(first, knowledge="adaptive"))]
    assert len({(c.bits.value, c.bits.lower, c.high, c.null.value) for c in channels}) == 1


def test_a_guesser_of_the_frequent_class_earns_nothing(write):
    rng = np.random.default_rng(1)
    truth = np.where(rng.random(3000) < 0.9, 0, rng.integers(1, 5, 3000))
    text = "truth,guess\n" + "\n".join(f"{t},0" for t in truth)
    found = measure(read_trials(write(text)))
    assert found.bits.lower == 0.0
    assert found.bits.value < 0.01


def test_a_guesser_who_knows_is_certified_whatever_the_frequencies(write):
    rng = np.random.default_rng(2)
    truth = np.where(rng.random(3000) < 0.7, 0, rng.integers(1, 5, 3000))
    text = "truth,guess\n" + "\n".join(f"{t},{t}" for t in truth)
    assert measure(read_trials(write(text))).bits.lower > 2.0


BAD = {
    "must have a column `truth`": "score\n1\n",
    "must have a column `guess` or `score`": "truth\n1\n",
    "must have `guess` or `score`, got both": "truth,guess,score\n1,1,0.5\n0,0,0.7\n",
    "0 rows": "truth,score\n",
    "one class only": "truth,score\n1,0.5\n1,0.7\n",
    "got 1 empty or NaN, first in row 2": "truth,score\n1,0.5\n0,nan\n",
    "`truth` must have a value in every row": "truth,guess\n1,1\n,0\n",
    "write -1 to abstain": "truth,guess\n1,1\n0,\n",
    "`score` must be numbers, got 'high'": "truth,score\n1,0.5\n0,high\n",
    "must be 0 or 1, got 3": "truth,score\n1,0.5\n3,0.4\n",
    "`score` must be finite": "truth,score\n1,inf\n0,0.4\n",
    "`truth` must not be -1": "truth,guess\n-1,0\n0,0\n",
    "got two columns `truth`": "truth,truth,score\n1,1,2\n",
    "cannot be read as csv": "truth,score\n1,0.5,9\n0\n",
    "`seconds` must be 0 or more": "truth,score,seconds\n1,0.5,-1\n0,0.4,1\n",
    "the file is empty": "",
}


@pytest.mark.parametrize("message", BAD)
def test_bad_tables_are_named_in_one_line(write, message):
    path = write(BAD[message])
    with pytest.raises(BadTrials) as caught:
        read_trials(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_tables(tmp_path, write):
    with pytest.raises(BadTrials, match="no such file"):
        read_trials(tmp_path / "absent.csv")
    with pytest.raises(BadTrials, match=r"must be a \.csv, \.tsv.* or \.parquet file"):
        read_trials(write("truth,score\n", "t.txt"))
    with pytest.raises(BadTrials, match="must be a file, got a folder"):
        (tmp_path / "folder.csv").mkdir()
        read_trials(tmp_path / "folder.csv")
    with pytest.raises(BadTrials, match="cannot be read as parquet"):
        read_trials(write("this is not parquet", "t.parquet"))


def test_optional_columns(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 200)
    columns = {
        "truth": truth,
        "guess": truth,
        "split": np.arange(200) % 2,
        "order": rng.random(200),
        "logq": np.where(truth == 1, -0.5, -np.inf),
        "gain": rng.random(200),
        "p_null": np.full(200, 2.0**-8),
        "observed": truth + 4,
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    trials = read_trials(tmp_path / "a.parquet")
    assert (trials.gain == columns["gain"]).all()
    got = measure(trials)
    assert got.n == 100
    assert "Fisher" in got.leakage.method
    assert 4.0 < got.leakage.lower < 8.0
    assert got.capacity.value == pytest.approx(1.0, abs=1e-4)
    assert {"bits_posterior", "g_vulnerability"} <= set(got.metrics)


def test_the_columns_of_the_contract(tmp_path):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 120)
    columns = {
        "truth": truth,
        "score": truth + rng.normal(size=120),
        "trial": rng.permutation(120) + 1000,
        "item": np.arange(120) % 30,
        "run": np.array(["a", "b", "c", "d"])[np.arange(120) // 30],
        "cost_queries": np.full(120, 2.5),
        "cost_s": np.full(120, 0.5),
        "cost_tokens": rng.integers(1, 50, 120),
        "cost_money": np.full(120, 0.01),
        "poison_n": np.full(120, 4.0),
        "distortion": rng.random(120),
        "utility": rng.normal(size=120),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    trials = read_trials(tmp_path / "a.parquet")
    assert trials.spec.clustered and len(np.unique(trials.cluster)) == 4
    assert (trials.item == columns["item"]).all() and trials.trial.min() >= 1000
    assert set(trials.costs) == set(COSTS)
    got = measure(trials)
    assert (got.clusters, got.uses, got.seconds) == (4, 300, 60.0)
    told = got.metrics["cost_tokens"]
    assert told["value"] == pytest.approx(columns["cost_tokens"].mean())
    assert told["low"] < told["value"] < told["high"]
    assert got.metrics["utility"]["low"] < 0  # a utility may be negative, a cost may not
    assert got.metrics["bits_per_poison"]["value"] == pytest.approx(got.bits.value / 4, abs=0.02)
    # Rows that were tuned on take their costs with them, but for what was spent in all.
    half = replace(trials, split=np.arange(120) % 2)
    tokens = measure(half).metrics["cost_tokens"]
    assert tokens["value"] == pytest.approx(columns["cost_tokens"][1::2].mean())


@pytest.mark.parametrize("pair", [("uses", "cost_queries"), ("cluster", "run")])
def test_two_names_of_one_column(write, pair):
    with pytest.raises(BadTrials, match=f"`{pair[0]}` and `{pair[1]}` are two names"):
        read_trials(write(f"truth,score,{','.join(pair)}\n0,0.1,1,1\n1,0.2,1,1\n"))


@pytest.mark.parametrize(
    ("column", "match"),
    [
        ("trial\n3\n3", "got a number twice"),
        ("item\n-1\n3", "item must be at least 0, got -1"),
        ("distortion\n-0.5\n3", "distortion must be at least 0, got -0.5"),
        ("cost_tokens\n1\nlots", "`cost_tokens` must be numbers"),
        ("split\n0\n3", "split must be from 0 to 1, got 3"),
        (
            "order\n1\n",
            "`order` must have a value in every row, got 1 empty or NaN, first in row 2",
        ),
        ("logq\n-1\n1", "logq must be at most 0, got 1"),
        ("gain\n0.5\n-0.5", "gain must be from 0 to 1, got -0.5"),
        ("gain\n0.5\nmuch", "`gain` must be numbers"),
        ("p_null\n0\n1", "p_null must be above 0"),
        ("observed\n1\n1.5", "whole"),
    ],
)
def test_a_wrong_optional_column(write, column, match):
    name, one, two = column.split("\n")
    with pytest.raises(BadTrials, match=match) as caught:
        read_trials(write(f"truth,guess,{name}\n0,0,{one}\n1,1,{two}\n"))
    assert "t.csv" in str(caught.value)
