"""Tables that state more than they hold; names and scores that floats do not keep apart."""

from __future__ import annotations

import io
import time
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hartley.channel.trials.compare_symbols import _plain
from hartley.channel.trials.import_table import read_trials
from hartley.core.errors import BadTrials
from hartley.kit import binary_tables


def refused(path, match):
    begun = time.monotonic()
    with pytest.raises(BadTrials, match=match) as refusal:
        read_trials(path)
    assert len(str(refusal.value).splitlines()) == 1 and time.monotonic() - begun < 5


def test_a_parquet_bomb_is_refused_by_what_it_states(tmp_path, monkeypatch):
    """A dictionary of one long value, fixed in width or in lists, decodes to far more."""
    rows = 2000
    truth = pa.array(np.arange(rows) % 2)
    zeros = pa.array(np.zeros(rows, np.int32))
    wide = pa.array([b"x" * 2**14], pa.binary(2**14)).take(zeros)
    words = pa.DictionaryArray.from_arrays(zeros, pa.array(["x" * 2**14]))
    lists = pa.ListArray.from_arrays(pa.array(np.arange(rows + 1), pa.int32()), words)
    monkeypatch.setattr(binary_tables, "LARGEST", 2**24)
    for odd in (wide, lists):
        table = pa.table({"truth": truth, "score": truth, "odd": odd})
        pq.write_table(table, tmp_path / "t.parquet")
        assert (tmp_path / "t.parquet").stat().st_size < 2**16
        refused(tmp_path / "t.parquet", r"must decode to at most .*; write the columns that are")
    # Text that is stored once is decoded once.
    pq.write_table(pa.table({"truth": truth, "score": truth, "x": words}), tmp_path / "t.parquet")
    assert len(read_trials(tmp_path / "t.parquet").truth) == rows


def test_a_header_of_an_array_that_states_10_to_13_rows(tmp_path):
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }"
    text = header.ljust(117) + "\n"
    array = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + b"\0" * 80
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("truth.npy", array)
        archive.writestr("score.npy", array)
    refused(tmp_path / "t.npz", "cannot be read as npz")


def test_a_complex_score_is_refused(tmp_path):
    sink = io.BytesIO()
    np.savez(sink, truth=np.arange(8) % 2, score=np.arange(8) + 1j)
    (tmp_path / "t.npz").write_bytes(sink.getvalue())
    refused(tmp_path / "t.npz", "`score` must be one number or text a row, got complex numbers")


@pytest.mark.parametrize("ending", ["csv", "tsv"])
@pytest.mark.parametrize("name", ["cluster", "run", "item"])
def test_names_of_a_text_are_not_numbers(tmp_path, ending, name):
    """007 is not 7, and 1e1 is not 10."""
    mark = "\t" if ending == "tsv" else ","
    names = ["007", "7", "1e1", "10", " 10 "]
    rows = [mark.join((str(i % 2), str(i), names[i % 5])) for i in range(40)]
    path = tmp_path / f"t.{ending}"
    path.write_text("\n".join([mark.join(("truth", "score", name)), *rows]) + "\n")
    trials = read_trials(path)
    codes = trials.item if name == "item" else trials.cluster
    assert len(np.unique(codes)) == 4
    assert codes[3] == codes[4] != codes[2] and codes[0] != codes[1]


@pytest.mark.parametrize("gap", ["", "nan", "NULL", "NA"])
def test_a_number_that_is_left_out_of_a_text_is_no_name(tmp_path, gap):
    rows = [f"{i % 2},{i},{i // 4 if i != 6 else gap}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["truth,score,cluster", *rows]) + "\n")
    refused(tmp_path / "t.csv", "a value in every row, got 1 empty or NaN, first in row 7")


@pytest.mark.parametrize("start", [2**53, 2**63 - 20, 2**64 - 41, 10**30])
def test_long_scores_of_a_text_keep_their_order(tmp_path, start):
    """As floats they would all be one number, and the table would read nothing."""
    rows = [f"{i % 2},{start + i}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["truth,score", *rows]) + "\n")
    score = read_trials(tmp_path / "t.csv").guess
    assert (np.diff(score) > 0).all()


def test_an_infinite_score_says_what_to_write(tmp_path):
    (tmp_path / "t.csv").write_text("truth,score\n0,1\n1,inf\n0,2\n1,3\n")
    refused(tmp_path / "t.csv", "first in row 2; only the order of scores counts: write a finite")


def test_symbols_of_many_digits_are_refused_or_kept_apart(tmp_path):
    """5,000 digits are no mistake of ours; 40 behind a point are all told apart."""
    for one, words in (("9" * 5000, "must be whole numbers"), (f"0.{'1' * 40}", "whole numbers")):
        rows = [f"{(one, one[:-1] + '8')[i % 2]},{i % 2}" for i in range(60)]
        (tmp_path / "t.csv").write_text("\n".join(["truth,guess", *rows]) + "\n")
        refused(tmp_path / "t.csv", words)
    assert _plain("9" * 5000) == "9" * 5000 and _plain(f"1.{'1' * 40}0") == f"1.{'1' * 40}"
    assert [_plain(n) for n in ("-0.0", "3.", "3.50", "1e+3", "+7")] == [
        "0",
        "3",
        "3.5",
        "1000",
        "7",
    ]


def test_two_columns_of_one_name_are_refused_also_where_their_order_counts(tmp_path):
    (tmp_path / "t.csv").write_text("truth,score,score\n0,1,2\n1,2,3\n")
    refused(tmp_path / "t.csv", "column names must differ, got two columns `score`")


def test_a_time_that_python_cannot_write_is_one_line(tmp_path):
    kind = [("truth", "i8"), ("score", "f8"), ("seconds", "M8[ns]")]
    array = np.zeros(4, kind)
    array["truth"], array["seconds"] = [0, 1, 0, 1], np.datetime64(1, "ns")
    np.save(tmp_path / "t.npy", array)
    refused(tmp_path / "t.npy", r"`seconds` must be numbers, got a timestamp\[ns\]")


def test_numbers_of_json_beyond_64_bits_are_text(tmp_path):
    for odd in ("1" + "0" * 400, "18446744073709551616"):
        rows = [f'{{"truth": {i % 2}, "guess": {i % 2 if i else odd}}}' for i in range(40)]
        mixed = '{"truth": 1, "guess": "x"}'
        (tmp_path / "t.jsonl").write_text("\n".join([*rows, mixed]) + "\n")
        refused(tmp_path / "t.jsonl", "must be|differ|no truth")
