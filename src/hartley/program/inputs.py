"""Objects of a program → the files that the recipes of a user's own model read.

A table becomes Parquet, arrays ``.npz``, texts JSON lines, an estimator ``.skops`` (or a pickle,
which the program itself made and so may be trusted), a network or a function a small Python file
beside its pickle. Each has a folder of its own, which is named by its
content and is written once.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import pickletools
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from hartley.core.errors import MissingExtra, UsageError
from hartley.data.user_arrays import records_of
from hartley.kit.cache import digest
from hartley.targets.identity import of_object
from hartley.targets.python_object import code_of_object

PLACE = '''"""An object of a program that called hartley.audit; {digest}."""

import hashlib
import pickle
from pathlib import Path

content = Path(__file__).with_name("object.pkl").read_bytes()
if hashlib.sha256(content).hexdigest() != Path(__file__).with_name("sha256").read_text():
    raise ValueError("object.pkl is not what hartley.audit wrote; remove its folder")
{name} = pickle.loads(content)
'''
"""The Python file that names a pickled object. Its digest makes it another code."""


CODE = (
    *("co_name", "co_qualname", "co_code", "co_consts", "co_names", "co_varnames", "co_freevars"),
    *("co_cellvars", "co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_flags"),
    "co_exceptiontable",
)
"""What code does: all but its file and its lines."""


class Inputs:
    """The files of one audit.

    Attributes:
        folder: of all inputs.
        needs_this_process: whether an object needs a module of the user's own, which a fresh
            process may not find.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.needs_this_process = folder, False

    def model(self, model: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of a model.

        Raises:
            UsageError: it is none, or cannot be written.
        """
        if model is None or isinstance(model, str | Path):
            return {} if model is None else {"model": str(model)}
        if hasattr(model, "save_pretrained"):
            return self._language_model(model, settings.get("tokenizer"))
        if _is_module(model) or not hasattr(model, "predict"):
            if not callable(model):
                raise UsageError(
                    "model must be a scikit-learn classifier, a torch module, a function of the "
                    f"records or a path, got {type(model).__name__}"
                )
            return {"model": self._object(model, "model")}
        return self._estimator(model)

    def records(self, parts: Mapping[str, Any], target: str, model: Any) -> dict[str, Any]:
        """Return the settings of train and test.

        Args:
            parts: frames, (x, y), data sets or paths by their setting.
            target: the column of a frame that the model predicts.
            model: whether records are a table or arrays follows from it.

        Raises:
            UsageError: they are none of these.
        """
        tables = not _is_network(model)
        out: dict[str, Any] = {}
        contents: list[bytes] = []
        for name, value in parts.items():
            if value is None:
                continue
            if isinstance(value, str | Path):
                out[name] = str(value)
            elif tables:
                table, column = _table(value, target, name, model)
                contents.append(_parquet(table))
                out[name] = self._kept(f"{name}.parquet", contents[-1])
                out["target"] = column
            else:
                records = records_of(value, f"{name}=")
                stream = io.BytesIO()
                np.savez(stream, x=_plain(records.x), y=_plain(records.y))
                contents.append(stream.getvalue())
                out[name] = self._kept(f"{name}.npz", contents[-1])
        if len(contents) > len(set(contents)):
            raise UsageError("test must be records that the model never saw, got those of train")
        return out

    def scanned(self, parts: Mapping[str, Any], target: str) -> dict[str, Any]:
        """Return the settings of records that are scanned without a model.

        Args:
            parts: frames, (x, y), data sets or paths by their setting.
            target: the column of a frame with the label.

        Raises:
            UsageError: they are none of these.
        """
        out: dict[str, Any] = {}
        for name, value in parts.items():
            if value is None or isinstance(value, str | Path):
                out |= {} if value is None else {name: str(value)}
                if value is not None and target:
                    out["target"] = target
            elif _is_frame(value):
                table, out["target"] = _table(value, target, name, None)
                out[name] = self._kept(f"{name}.parquet", _parquet(table))
            else:
                given = records_of(value, f"{name}=")
                stream = io.BytesIO()
                np.savez(stream, x=_plain(given.x), y=_plain(given.y))
                out[name] = self._kept(f"{name}.npz", stream.getvalue())
        return out

    def texts(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of members and non-members: lists of texts or chats, or paths.

        Raises:
            UsageError: a text is something else.
        """
        out = {}
        for name, value in parts.items():
            if isinstance(value, str | Path):
                out[name] = str(value)
            elif value is not None:
                lines = [json.dumps(_text(item, name), ensure_ascii=False) for item in value]
                out[name] = self._kept(f"{name}.jsonl", "\n".join([*lines, ""]).encode())
        return out

    def function(self, fit: Any) -> dict[str, Any]:
        """Return the setting of a training function.

        One that a file defines is named by that file, so that it is trained anew once the file is
        edited; others are pickled.
        """
        if fit is None or isinstance(fit, str | Path):
            return {} if fit is None else {"fit": str(fit)}
        if not callable(fit):
            raise UsageError(f"fit must be a function fit(x, y), got {type(fit).__name__}")
        module, name = getattr(fit, "__module__", ""), getattr(fit, "__qualname__", "")
        loaded = sys.modules.get(module)
        path = _own_file(loaded) if module != "__main__" else None
        if path is not None and getattr(loaded, name, None) is fit and path.stem == module:
            return {"fit": f"{path}:{name}"}
        return {"fit": self._object(fit, "fit")}

    def _estimator(self, model: Any) -> dict[str, Any]:
        name, safe = type(model).__name__, _as_skops(model)
        known = of_object(model)
        if safe is not None and known:
            # skops writes the time into its file: the attributes are what it means.
            return {"model": self._kept(f"{name}.skops", safe, digest(known))}
        content, key = self._pickled(model, "model")
        return {"model": self._kept(f"{name}.pkl", content, key), "trust": True}

    def _language_model(self, model: Any, tokenizer: Any) -> dict[str, Any]:
        state = {k: v.detach().cpu().float().numpy() for k, v in model.state_dict().items()}
        words = "" if tokenizer is None or isinstance(tokenizer, str | Path) else repr(tokenizer)
        name = type(model).__name__
        folder = self.folder / digest([name, repr(model.config), words, state])[:16] / name

        def write(into: Path) -> None:
            model.save_pretrained(into, safe_serialization=True)
            if words:
                tokenizer.save_pretrained(into)

        self._folder(folder, write)
        return {"model": str(folder)}

    def _object(self, value: Any, setting: str) -> str:
        """Write a network or a function; return ``FILE.py:NAME`` of it."""
        if _is_module(value):
            import copy

            # Where its weights are is said by device=.
            value = copy.deepcopy(value).cpu()
        content, key = self._pickled(value, setting)
        title = getattr(value, "__name__", "") or type(value).__name__
        title = re.sub(r"\W", "", title) or setting
        folder = self.folder / key[:16]

        def write(into: Path) -> None:
            (into / "object.pkl").write_bytes(content)
            # Not in the Python file, which is the object's identity: pickles of it may differ.
            (into / "sha256").write_text(hashlib.sha256(content).hexdigest(), encoding="utf-8")
            place = PLACE.format(digest=key, name=setting)
            (into / f"{title}_{key[:8]}.py").write_text(place, encoding="utf-8")

        self._folder(folder, write)
        path = folder / f"{title}_{key[:8]}.py"
        if path.stem not in sys.modules:
            # Here the object is there already; to read the pickle would change its classes.
            module = ModuleType(path.stem)
            module.__file__ = str(path.resolve())
            setattr(module, setting, value)
            sys.modules[path.stem] = module
        return f"{path}:{setting}"

    def _pickled(self, value: Any, setting: str) -> tuple[bytes, str]:
        """Return a pickle, and a digest of it that is the same in every process.

        Modules of the user's own are not in the pickle; the digest covers their code.
        """
        pickler = _cloudpickle()
        try:
            content: bytes = pickler.dumps(value)
            # The first time left notes in classes, which this one holds in every process.
            stable = _stable(pickler, value)
        except (pickle.PicklingError, TypeError, AttributeError, ValueError) as error:
            reason = " ".join(str(error).split())[:160]
            raise UsageError(
                f"{setting} must be something that can be pickled, got {type(value).__name__}: "
                f"{reason}; name it by its file instead: {setting}='FILE.py:NAME'"
            ) from error
        files = _own_modules(content)
        self.needs_this_process |= bool(files)
        # Each process gives the classes of its program random names.
        dynamic = getattr(pickler.cloudpickle, "_DYNAMIC_CLASS_TRACKER_BY_CLASS", {})
        for name in dynamic.values():
            stable = stable.replace(name.encode(), b"0" * len(name))
        return content, digest([stable, [code_of_object(f"{path}:{setting}") for path in files]])

    def _kept(self, name: str, content: bytes, key: str = "") -> str:
        """Write a file, unless it is there; return its path.

        Args:
            name: of the file.
            content: its bytes.
            key: digest of what it means; empty: that of its bytes.
        """
        folder = self.folder / (key or digest([name, content]))[:16]
        self._folder(folder, lambda into: (into / name).write_bytes(content))
        return str(folder / name)

    def _folder(self, folder: Path, write: Callable[[Path], object]) -> None:
        """Fill a folder as a whole, so that a killed program leaves none that is half full."""
        if folder.exists():
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        into = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".part-"))
        try:
            write(into)
            into.rename(folder)
        except OSError:
            # Another process may have been first with the same content.
            if not folder.exists():
                raise
        finally:
            shutil.rmtree(into, ignore_errors=True)


def _is_module(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _is_network(model: Any) -> bool:
    if isinstance(model, str | Path):
        return ".py:" in str(model)
    return _is_module(model) or not hasattr(model, "predict")


def _cloudpickle() -> Any:
    """Return the pickler that also takes functions and classes of the running program."""
    try:
        import cloudpickle
    except ModuleNotFoundError:
        try:
            from joblib.externals import cloudpickle
        except ModuleNotFoundError as absent:
            raise MissingExtra("joblib", "tables") from absent
    return cloudpickle


def _stable(pickler: Any, value: Any) -> bytes:
    """Return a pickle that is the same in every process.

    Tensors are their numbers in it: torch writes where in memory they are. Code is what it does: a
    notebook names the file of a cell by its process, and a cell moves when it is run again.
    """
    torch = sys.modules.get("torch")

    class Stable(pickler.Pickler):  # type: ignore[misc]
        def reducer_override(self, part: Any) -> Any:
            if torch is not None and isinstance(part, torch.Tensor):
                flat = part.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
                return tuple, ([str(part.dtype), list(part.shape), flat.numpy().tobytes()],)
            if isinstance(part, CodeType):
                return tuple, ([getattr(part, name) for name in CODE],)
            return super().reducer_override(part)

    stream = io.BytesIO()
    Stable(stream).dump(value)
    return stream.getvalue()


def _as_skops(model: Any) -> bytes | None:
    """Return an estimator as skops writes it; None where loading it would need trust."""
    try:
        from skops import io as skops_io

        from hartley.targets.estimator_file import CHECKED

        content: bytes = skops_io.dumps(model)
        unknown = set(skops_io.get_untrusted_types(data=content)) - set(CHECKED)
    except Exception:  # it may not know a part, in any way; or skops may be absent
        return None
    return None if unknown else content


def _own_file(module: Any) -> Path | None:
    """Return the file of a module that is neither installed nor of Python or Hartley."""
    name = getattr(module, "__file__", None)
    if not name or getattr(module, "__name__", "").partition(".")[0] == "hartley":
        return None
    path = Path(name).resolve()
    kinds = ("purelib", "platlib", "stdlib")
    installed = [Path(sysconfig.get_path(kind)).resolve() for kind in kinds]
    return None if any(path.is_relative_to(folder) for folder in installed) else path


def _own_modules(content: bytes) -> list[Path]:
    """Return the files of the user's modules that a pickle names."""
    words = {value for _, value, _ in pickletools.genops(content) if isinstance(value, str)}
    names = {name for word in words for name in (word, word.partition(" ")[0])} - {"__main__"}
    files = {_own_file(sys.modules[name]) for name in names if name in sys.modules}
    return sorted(path for path in files if path is not None and path.suffix == ".py")


def _is_frame(value: Any) -> bool:
    """Whether a value is a table with named columns, of pandas, polars or Arrow."""
    return any(hasattr(value, n) for n in ("iloc", "collect", "to_arrow", "__arrow_c_stream__"))


def _plain(values: Any) -> Any:
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _table(value: Any, target: str, name: str, model: Any) -> tuple[Any, str]:
    """Return a table of Arrow, and the name of its target column.

    Raises:
        UsageError: the object holds no table.
    """
    import pyarrow as pa

    try:
        if isinstance(value, tuple | list) and len(value) == 2:
            x, y = value
            column = str(target or getattr(y, "name", None) or "target")
            features = _columns(x, model)
            return features.append_column(column, pa.array(_values(y))), column
        return _columns(value, model), target
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UsageError(
            f"{name} must be a frame, (x, y) or a path, got {type(value).__name__}: {reason}"
        ) from error


def _values(y: Any) -> Any:
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    y = np.asarray(y)
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _columns(value: Any, model: Any) -> Any:
    """Return the table of a frame of pandas, polars or Arrow, or of an array (n, columns)."""
    import pyarrow as pa

    if isinstance(value, pa.Table):
        return value
    if hasattr(value, "iloc"):
        named = value.rename(columns=str)
        return pa.Table.from_pandas(named, preserve_index=False)
    if hasattr(value, "collect"):  # a lazy frame
        value = value.collect()
    if hasattr(value, "to_arrow"):
        return value.to_arrow()
    if hasattr(value, "__arrow_c_stream__"):
        return pa.table(value)
    x = np.asarray(value)
    if x.ndim != 2:
        raise ValueError(f"an array must have the shape (records, columns), got {x.shape}")
    names = [str(n) for n in getattr(model, "feature_names_in_", ())]
    if len(names) != x.shape[1]:
        names = [str(k) for k in range(x.shape[1])]
    return pa.table([np.ascontiguousarray(column) for column in x.T], names=names)


def _parquet(table: Any) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    # The file's own types: those that one library alone knows are left out.
    pq.write_table(table.replace_schema_metadata(None), sink, store_schema=False)
    return sink.getvalue()


def _text(item: Any, name: str) -> dict[str, Any]:
    if isinstance(item, str):
        return {"text": item}
    if isinstance(item, Mapping):
        return dict(item)
    if isinstance(item, Iterable) and all(isinstance(part, Mapping) for part in item):
        return {"messages": [dict(part) for part in item]}
    raise UsageError(f"{name} must be texts or chats, got {type(item).__name__}")
