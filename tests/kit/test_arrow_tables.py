"""Tables in files of Arrow: of polars and pandas (Feather), and saved data sets."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from pyarrow import feather, ipc

from hartley.core.errors import BadTable
from hartley.data.user_tables import read_tables
from hartley.kit.table_files import read_columns

TABLE = pa.table({"a": [1, 2, None], "text": ["x", None, "ü"], "y": [0, 1, 0]})


def written(path, table=TABLE, opened=ipc.new_stream):
    """Write a table to a file of Arrow."""
    with path.open("wb") as sink, opened(sink, table.schema) as writer:
        writer.write_table(table)
    return path


def values(path) -> dict[str, list]:
    return {name: column.values.to_pylist() for name, column in read_columns(path).items()}


def test_files_streams_and_feather_are_one_table(tmp_path) -> None:
    stream = written(tmp_path / "stream.arrow")
    file = written(tmp_path / "file.arrow", opened=ipc.new_file)
    feather.write_feather(TABLE, tmp_path / "zipped.feather", compression="zstd")
    paths = [stream, file, tmp_path / "zipped.feather"]
    assert [values(path) for path in paths] == [TABLE.to_pydict()] * 3
    (tmp_path / "old.feather").write_bytes(b"FEA1" + bytes(60))
    with pytest.raises(BadTable, match="must be of version 2"):
        read_columns(tmp_path / "old.feather")


def test_text_as_polars_writes_it_is_text(tmp_path) -> None:
    views = TABLE.set_column(1, "text", pa.array(["x", None, "ü"], pa.string_view()))
    path = written(tmp_path / "polars.arrow", views)
    assert values(path) == TABLE.to_pydict()
    form, (records,), _ = read_tables([path], [read_columns(path)], "y", names=["a", "text"])
    assert form.fields[1].words == ("x", "ü") and records.shape == (3, 3)


def test_a_saved_data_set_is_read_in_its_order(tmp_path) -> None:
    names = ["data-00001-of-00002.arrow", "data-00000-of-00002.arrow"]
    for name, part in zip(names, (TABLE[:1], TABLE[1:]), strict=True):
        written(tmp_path / name, part)
    files = [{"filename": name} for name in names]
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": files}))
    assert values(tmp_path) == TABLE.to_pydict()
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    with pytest.raises(BadTable, match=r"one split of a data set, got all: name .*train, .*test"):
        read_columns(tmp_path)


def test_a_damaged_file_is_one_line(tmp_path) -> None:
    whole = written(tmp_path / "whole.arrow", opened=ipc.new_file).read_bytes()
    for name, content in {"cut": whole[: len(whole) // 2], "other": b"truth,score\n1,2\n"}.items():
        path = tmp_path / f"{name}.arrow"
        path.write_bytes(content)
        with pytest.raises(BadTable, match="cannot be read as arrow"):
            read_columns(path)
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": []}))
    with pytest.raises(BadTable, match="must name its files"):
        read_columns(tmp_path)
