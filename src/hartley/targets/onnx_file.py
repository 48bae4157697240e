"""A classifier in an ONNX file, run by ONNX Runtime: it answers as scikit-learn's does.

The converters of scikit-learn, LightGBM and XGBoost write two outputs, the labels and the
probabilities. A file that reads one input reads all columns as one array; one that reads several
reads a column of each input's name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.str_,
}
"""What an input may hold, by ONNX Runtime's names."""


class OnnxClassifier:
    """A classifier of an ONNX file, with the names of a fitted classifier of scikit-learn.

    Attributes:
        classes_: the labels, in the order of the probabilities.
        feature_names_in_: the columns that it reads; empty where it reads one array.
        n_features_in_: how many they are; 0 where the file does not say.
    """

    def __init__(self, content: bytes, name: str) -> None:
        """Load a model.

        Args:
            content: of the file.
            name: what to call the file in messages.

        Raises:
            UsageError: it is not a classifier that answers with probabilities.
            MissingExtra: ONNX Runtime is not installed.
        """
        self.content, self.name = content, name
        self._session = _session(content, name)
        inputs = self._session.get_inputs()
        self._types = {i.name: TYPES.get(i.type) for i in inputs}
        if odd := [f"{i.name} ({i.type})" for i in inputs if i.type not in TYPES]:
            raise UsageError(f"{name} must read columns of numbers or words, got {', '.join(odd)}")
        width = inputs[0].shape[-1] if len(inputs) == 1 and inputs[0].shape else 1
        several = len(inputs) > 1
        self.feature_names_in_ = np.array(list(self._types) if several else [], dtype=object)
        self.n_features_in_ = len(inputs) if several else width if isinstance(width, int) else 0
        self._scores = self._scores_name()
        self.classes_ = np.array(self._labels())

    def __reduce__(self) -> tuple[Any, ...]:
        """A session cannot be pickled: another is opened from the same file's content."""
        return OnnxClassifier, (self.content, self.name)

    def predict_proba(self, table: Any) -> NDArray[np.float64]:
        """Return the probabilities (n, classes) of a frame or an array (n, columns)."""
        scores = self._answers(table)
        if isinstance(scores, list):
            return np.array([[row[label] for label in self.classes_.tolist()] for row in scores])
        return np.asarray(scores, dtype=np.float64)

    def predict(self, table: Any) -> NDArray[Any]:
        """Return the likeliest label (n,) of each record."""
        return np.asarray(self.classes_[self.predict_proba(table).argmax(1)])

    def _answers(self, table: Any) -> Any:
        columns = list(self._types)
        if len(columns) == 1:
            feed = {columns[0]: _cast(np.asarray(table), self._types[columns[0]])}
        else:
            feed = {
                name: _cast(np.asarray(table[name])[:, None], kind)
                for name, kind in self._types.items()
            }
        try:
            return self._session.run([self._scores], feed)[0]
        except Exception as error:  # of ONNX Runtime, which has types of its own
            reason = " ".join(str(error).split())[:160]
            raise UsageError(f"{self.name} must read these records: {reason}") from error

    def _scores_name(self) -> str:
        outputs = self._session.get_outputs()
        maps = [o.name for o in outputs if o.type.startswith("seq(map(")]
        arrays = [
            o.name
            for o in outputs
            if o.type in ("tensor(float)", "tensor(double)") and len(o.shape) == 2
        ]
        if not maps and not arrays:
            listed = ", ".join(f"{o.name} ({o.type})" for o in outputs)
            raise UsageError(
                f"{self.name} must be a classifier that answers with probabilities, got outputs "
                f"{listed}"
            )
        return str([*maps, *arrays][0])

    def _labels(self) -> list[Any]:
        """Return the labels in the order of the probabilities, as one empty record shows them."""
        width = max(self.n_features_in_, 1)
        if len(self._types) == 1:
            record: Any = np.zeros((1, width))
        else:
            record = {n: np.array(["0" if k is np.str_ else 0]) for n, k in self._types.items()}
        scores = self._answers(record)
        if isinstance(scores, list):
            return list(scores[0])
        words = [o.name for o in self._session.get_outputs() if o.type == "tensor(string)"]
        if words:
            raise UsageError(
                f"{self.name} must say which label each probability is for, got an array beside "
                "labels that are words: convert it with ZipMap, as skl2onnx does unless zipmap is "
                "False"
            )
        return list(range(np.asarray(scores).shape[1]))


def load_onnx(path: Path) -> OnnxClassifier:
    """Load the classifier of an ONNX file.

    Raises:
        UsageError: the file is not there, or does not hold one.
    """
    if not path.is_file():
        raise UsageError(f"--model must be a file, got {path}, which is not there")
    return OnnxClassifier(path.read_bytes(), path.name)


def _session(content: bytes, name: str) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as absent:
        raise MissingExtra("onnxruntime", "onnx") from absent
    options = onnxruntime.SessionOptions()
    # One thread: workers are forked, and a pool of threads does not survive that.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of ONNX Runtime, which has types of its own
        reason = " ".join(str(error).split())[:160]
        raise UsageError(f"{name} must hold an ONNX model: {reason}") from error


def _cast(values: NDArray[Any], kind: Any) -> NDArray[Any]:
    if kind is not np.str_:
        return np.ascontiguousarray(values.astype(kind))
    # A missing word, which is NaN among words, is empty, as a converter writes it.
    words = [v if isinstance(v, str) else "" for v in values.astype(object).ravel().tolist()]
    return np.array(words, dtype=object).reshape(values.shape)
