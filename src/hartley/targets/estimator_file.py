"""A fitted scikit-learn estimator from a file: skops as it is, joblib and pickle where trusted."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

from hartley.core.errors import MissingExtra, UsageError

PICKLES = (".joblib", ".pkl", ".pickle")
SUFFIXES = (".skops", *PICKLES)
CHECKED = ("sklearn.tree._tree.Tree", "numpy.dtype")
"""Types that skops leaves to its caller, and that are checked here. A tree whose nodes point
outside reads any memory; a dtype, which every imputer has, must be that of an array in the file,
and not one that is put together from a state."""


def load_estimator(path: Path, *, trust: bool = False) -> Any:
    """Load an estimator.

    Args:
        path: a file of one of ``SUFFIXES``.
        trust: whether the file may run code as it is loaded, as joblib and pickle do, and skops
            where it names types that it does not know.

    Raises:
        UsageError: the file is not there, holds something else, or must be trusted first.
        MissingExtra: scikit-learn or skops is not installed.
    """
    if not path.is_file():
        raise UsageError(f"--model must be a file, got {path}, which is not there")
    try:
        with warnings.catch_warnings():
            # Another version of scikit-learn wrote it: said in one line where it fails.
            warnings.simplefilter("ignore")
            if path.suffix.lower() in PICKLES:
                return _pickled(path, trust=trust)
            return _skops(path, trust=trust)
    except UsageError:
        raise
    except ModuleNotFoundError as absent:
        name = absent.name or ""
        if name.partition(".")[0] in ("sklearn", "skops", "joblib"):
            raise MissingExtra(name.partition(".")[0], "tables") from absent
        raise UsageError(
            f"{path} needs the module {name!r}, which is not installed here; install it, or put "
            "its folder on PYTHONPATH"
        ) from absent
    except Exception as error:  # a file can fail in any way as it is read
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{path} must hold a fitted scikit-learn model, as skops.io.dump writes it: "
            f"{type(error).__name__}: {reason}"
        ) from error


def _pickled(path: Path, *, trust: bool) -> Any:
    if not trust:
        raise UsageError(
            f"{path} is a pickle, which can run any code as it is loaded: add --trust if you made "
            "it, or save it with skops.io.dump"
        )
    import joblib

    return joblib.load(path)


def _skops(path: Path, *, trust: bool) -> Any:
    from skops import io

    untrusted = io.get_untrusted_types(file=path)
    unknown = [name for name in untrusted if name not in CHECKED]
    if unknown and not trust:
        raise UsageError(
            f"{path} holds types that skops does not know as safe ({', '.join(unknown[:5])}): add "
            "--trust if you made it"
        )
    if not trust:
        _check_dtypes(path)
    estimator = io.load(path, trusted=untrusted)
    if not trust:
        _check_trees(path, estimator)
    return estimator


def _check_dtypes(path: Path) -> None:
    """Check that each dtype of a skops file is read off an array, before any is built.

    Raises:
        UsageError: one is not.
    """
    with zipfile.ZipFile(path) as archive:
        pending = [json.loads(archive.read("schema.json"))]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            pending += node.values()
            if str(node.get("__class__")).endswith("dtype") and node["__loader__"] != "DTypeNode":
                raise UsageError(
                    f"{path} holds a dtype that is not an array's: add --trust if you made it"
                )
        elif isinstance(node, list):
            pending += node


def _check_trees(path: Path, estimator: Any) -> None:
    """Check that no node of a tree in an estimator points outside of it.

    Raises:
        UsageError: one does.
    """
    import numpy as np
    from sklearn.tree._tree import Tree

    pending, visited = [estimator], set[int]()
    while pending:
        part = pending.pop()
        if id(part) in visited or isinstance(part, str | bytes | int | float | None):
            continue
        visited.add(id(part))
        if isinstance(part, Tree):
            size, places = part.node_count, np.arange(part.node_count)
            inside = [
                ((child == -1) | ((child > places) & (child < size))).all()
                for child in (part.children_left, part.children_right)
            ]
            inner = part.children_left != -1
            fields = part.feature[inner]
            even = np.array_equal(inner, part.children_right != -1)
            if not (all(inside) and even and ((fields >= 0) & (fields < part.n_features)).all()):
                raise UsageError(f"{path} must hold whole trees, got one with a node outside")
        elif isinstance(part, dict):
            pending += part.values()
        elif isinstance(part, list | tuple | set):
            pending += part
        elif isinstance(part, np.ndarray):
            pending += part.ravel().tolist() if part.dtype.kind == "O" else []
        else:
            pending += getattr(part, "__dict__", {}).values()
