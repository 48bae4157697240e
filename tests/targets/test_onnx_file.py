"""A classifier in an ONNX file, written byte by byte, as the package that writes them is absent."""

from __future__ import annotations

import pickle
import struct

import numpy as np
import pandas as pd
import pytest

from hartley import catalog
from hartley.core.errors import UsageError
from hartley.targets.onnx_file import OnnxClassifier, load_onnx

WEIGHTS = np.array([[-0.5, 0.25], [0.5, -0.25]], np.float32)


def number(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(tag, value):
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return number(tag << 3) + number(value)
    value = value.encode() if isinstance(value, str) else value
    return number(tag << 3 | 2) + number(len(value)) + value


def attribute(name, value):
    if isinstance(value, str):
        body = field(4, value) + field(20, 3)
    elif isinstance(value, int):
        body = field(3, value) + field(20, 2)
    elif isinstance(value[0], str):
        body = b"".join(field(9, v) for v in value) + field(20, 8)
    elif isinstance(value[0], int):
        body = b"".join(field(8, v) for v in value) + field(20, 7)
    else:
        body = b"".join(number(7 << 3 | 5) + struct.pack("<f", v) for v in value) + field(20, 6)
    return field(1, name) + body


def node(kind, inputs, outputs, domain="ai.onnx.ml", **attributes):
    parts = [field(1, name) for name in inputs] + [field(2, name) for name in outputs]
    parts += [field(4, kind)] + [field(5, attribute(k, v)) for k, v in attributes.items()]
    return field(1, b"".join(parts) + field(7, domain))


def tensor(kind, *dims):
    shape = b"".join(field(1, field(1, d) if isinstance(d, int) else field(2, d)) for d in dims)
    return field(1, field(1, kind) + field(2, shape))


FLOAT, WHOLE, WORD = 1, 7, 8


def onnx(*, columns=(), labels=("no", "yes"), zipped=True):
    """A logistic regression on two columns: of one input, or of one for each name."""
    words = isinstance(labels[0], str)
    key = "classlabels_strings" if words else "classlabels_ints"
    table = columns[0] if len(columns) == 1 else "x"
    nodes = b"" if not columns else node("Concat", columns, ["x"], "", axis=1)
    nodes += node(
        "LinearClassifier",
        [table],
        ["label", "scores"],
        **{key: list(labels), "coefficients": WEIGHTS.ravel().tolist()},
        intercepts=[0.0, 0.0],
        multi_class=1,
        post_transform="SOFTMAX",
    )
    inputs = [(name, tensor(FLOAT, "n", 1)) for name in columns] or [("x", tensor(FLOAT, "n", 2))]
    scores = ("scores", tensor(FLOAT, "n", 2))
    if zipped:
        key = "classlabels_strings" if words else "classlabels_int64s"
        nodes += node("ZipMap", ["scores"], ["maps"], **{key: list(labels)})
        of_map = field(5, field(1, WORD if words else WHOLE) + field(2, tensor(FLOAT)))
        scores = ("maps", field(4, field(1, of_map)))
    outputs = [("label", tensor(WORD if words else WHOLE, "n")), scores]
    graph = nodes + field(2, "g")
    for tag, values in ((11, inputs), (12, outputs)):
        graph += b"".join(field(tag, field(1, n) + field(2, kind)) for n, kind in values)
    opsets = field(8, field(1, "") + field(2, 13)) + field(8, field(1, "ai.onnx.ml") + field(2, 1))
    return field(1, 7) + field(7, graph) + opsets


def expected(x):
    logits = x @ WEIGHTS.T
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def test_it_answers_with_the_probabilities_of_its_labels():
    x = np.random.default_rng(0).normal(size=(20, 2))
    for settings in (
        {},
        {"columns": ("age", "hours")},
        {"labels": (0, 1)},
        {"labels": (0, 1), "zipped": False},
        {"labels": (7, 3)},
    ):
        model = OnnxClassifier(onnx(**settings), "rf.onnx")
        table = pd.DataFrame(x, columns=["age", "hours"]) if "columns" in settings else x
        labels = settings.get("labels", ("no", "yes"))
        # ONNX Runtime gives the labels of a map in their own order.
        order = np.argsort(labels)
        assert np.allclose(model.predict_proba(table), expected(x)[:, order], atol=1e-6)
        assert model.n_features_in_ == 2 and model.classes_.tolist() == sorted(labels)
        assert list(model.feature_names_in_) == list(settings.get("columns", ()))
        again = pickle.loads(pickle.dumps(model))
        assert np.array_equal(again.predict(table), model.predict(table))


def test_a_table_is_audited_through_it(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 2)), columns=["hours", "age"])
    table["income"] = np.where(table.age > 0, "no", "yes")
    for k, name in enumerate(("train.csv", "test.csv")):
        table[60 * k : 60 * k + 60].to_csv(tmp_path / name, index=False)
    (tmp_path / "rf.onnx").write_bytes(onnx(columns=("age", "hours")))
    paths = {k: str(tmp_path / f"{k}.csv") for k in ("train", "test")}
    recipe = catalog.load("scene", "own_table")
    scene = recipe(model=str(tmp_path / "rf.onnx"), target="income", **paths)
    x = table[["age", "hours"]][:60].to_numpy()
    assert np.allclose(scene.model.query(scene.train.x), expected(x), atol=1e-6)
    assert scene.model.fit is None and scene.model.identity.startswith("object:")


def test_a_mistake_is_one_line(tmp_path):
    (tmp_path / "cut.onnx").write_bytes(onnx()[:50])
    for make, words in (
        (lambda: load_onnx(tmp_path / "absent.onnx"), "which is not there"),
        (lambda: load_onnx(tmp_path / "cut.onnx"), "cut.onnx must hold an ONNX model: "),
        (lambda: OnnxClassifier(onnx(zipped=False), "m.onnx"), "convert it with ZipMap"),
        (lambda: OnnxClassifier(onnx(), "m.onnx").predict(np.ones((3, 5))), "read these records"),
    ):
        with pytest.raises(UsageError, match=words) as error:
            make()
        assert "\n" not in str(error.value)
