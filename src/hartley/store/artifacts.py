"""The store of loot: records as safetensors or Parquet, models as weights and a recipe.

A chain finds the loot of its first attack here, in the same run or after a kill. Loading cannot run
code. A file holds the digest of its key and its content: one that is damaged, was written for
another key or by an earlier version is not believed, and its attack is played again. An asset that
cannot be written as arrays (a model without the recipe of its net) is not stored, and its attack is
played again too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.core import Asset, Data, Modality, Model
from hartley.store.disk import write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY = "hartley.artifact"
DIGEST = "hartley.sha256"
_FACT = "fact:"


@dataclass(frozen=True, slots=True)
class Artifacts:
    """A folder of assets by key.

    Attributes:
        folder: the folder; the first ``put`` creates it.
    """

    folder: Path

    def put(self, key: str, asset: Asset) -> bool:
        """Store an asset; return whether it could be written as arrays.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        arrays, note = _data(asset) if isinstance(asset, Data) else _model(asset)
        if not arrays:
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        words = any(array.dtype.kind in "OUS" for array in arrays.values())
        if words:
            arrays = {name: _from_list(array.tolist()) for name, array in arrays.items()}
        text = json.dumps(note)
        notes = {KEY: text, DIGEST: _digest(key, text, arrays)}
        if words:
            try:
                content = _parquet(arrays, notes)
            except UnicodeEncodeError:  # half a character, which Arrow cannot hold
                return False
            write_atomically(self.folder / f"{key}.parquet", content)
        else:
            from safetensors.numpy import save

            content = save(arrays, metadata=notes)
            write_atomically(self.folder / f"{key}.safetensors", content)
        return True

    def get(self, key: str) -> Asset | None:
        """Return the asset of a key, or None if it is not stored as it was put there."""
        for ending, read in ((".safetensors", _read_safetensors), (".parquet", _read_parquet)):
            try:
                arrays, notes = read(self.folder / f"{key}{ending}")
                if notes[DIGEST] == _digest(key, notes[KEY], arrays):
                    return _asset(arrays, json.loads(notes[KEY]))
            except Exception:  # a damaged file may fail in any way in its reader
                continue
        return None

    def keys(self) -> Iterator[str]:
        """Yield the keys of the stored assets, in order."""
        if self.folder.is_dir():
            yield from sorted(p.stem for p in self.folder.glob("*.*") if p.suffix != ".partial")


def _data(data: Data) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    import numpy as np

    arrays = {name: getattr(data, name) for name in ("x", "y", "edges")}
    arrays |= {f"{_FACT}{k}": v for k, v in data.facts.items() if isinstance(v, np.ndarray)}
    facts = {k: v for k, v in data.facts.items() if isinstance(v, bool | int | float | str)}
    present = {k: np.ascontiguousarray(v) for k, v in arrays.items() if v is not None}
    # Texts are columns of one table, so that facts of another length go beside it.
    words = any(array.dtype.kind in "OUS" for array in present.values())
    aside = [k for k, v in present.items() if words and k.startswith(_FACT) and len(v) != len(data)]
    lists = {k.removeprefix(_FACT): present.pop(k).tolist() for k in aside}
    note = {
        "kind": "data",
        "name": data.name,
        "modality": str(data.modality),
        "role": data.role,
        "lineage": list(data.lineage),
        "facts": facts,
        "lists": lists,
    }
    return present, note


def _model(model: Model) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    import numpy as np

    recipe = model.facts.get("net")
    if model.weights is None or recipe is None:
        return {}, {}
    arrays = {k: np.ascontiguousarray(v) for k, v in model.weights().items()}
    note = {
        "kind": "model",
        "name": model.name,
        "modality": str(model.modality),
        "net": recipe,
        "offers": model.offers.value,
        "lineage": list(model.lineage),
        "facts": {k: v for k, v in model.facts.items() if k != "net"},
    }
    return arrays, note


def _asset(arrays: dict[str, NDArray[Any]], note: dict[str, Any]) -> Asset:
    from hartley.core import Access

    modality, lineage = Modality(note["modality"]), tuple(note["lineage"])
    if note["kind"] == "data":
        import numpy as np

        facts = {k.removeprefix(_FACT): v for k, v in arrays.items() if k.startswith(_FACT)}
        facts |= {name: np.array(values) for name, values in note["lists"].items()}
        return Data(
            note["name"],
            modality,
            arrays["x"],
            arrays.get("y"),
            arrays.get("edges"),
            note["role"],
            lineage,
            facts={**note["facts"], **facts},
        )
    from hartley.kit.nets import Net
    from hartley.models.clone import of_net

    recipe: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in note["net"].items()
    }
    return of_net(
        Net(**recipe),
        arrays,
        name=note["name"],
        modality=modality,
        offers=Access(note["offers"]),
        lineage=lineage,
        facts=note["facts"],
    )


def _digest(key: str, note: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    from hartley.kit.cache import digest

    return digest([key, note, dict(arrays)])


def _parquet(arrays: dict[str, NDArray[Any]], notes: Mapping[str, str]) -> bytes:
    """Columns of one length; records of text or of several fields are lists of strings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: pa.array(array.tolist()) for name, array in arrays.items()}
    table = pa.table(columns).replace_schema_metadata(dict(notes))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _read_safetensors(path: Path) -> tuple[dict[str, NDArray[Any]], Mapping[str, str]]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        notes: Mapping[str, str] = file.metadata()
    return arrays, notes


def _read_parquet(path: Path) -> tuple[dict[str, NDArray[Any]], Mapping[str, str]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    notes = {name.decode(): text.decode() for name, text in table.schema.metadata.items()}
    return {name: _from_list(table.column(name).to_pylist()) for name in table.column_names}, notes


def _from_list(values: list[Any]) -> NDArray[Any]:
    """Return a column of a table as an array."""
    import numpy as np

    words = bool(values) and isinstance(values[0], str | list)
    return np.array(values, dtype=object) if words else np.array(values)
