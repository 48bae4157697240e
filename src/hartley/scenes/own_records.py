"""A user's own records, without a model: is there poison in them, and what would hide there?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

import hartley
from hartley.core import Data, Modality, Range, Scene, Settings, Stronger, recipe
from hartley.core.errors import UsageError
from hartley.data.encoded_tables import TableEncoder
from hartley.data.user_arrays import classified, files_of, read_arrays, records_of
from hartley.data.user_tables import WORD, read_tables
from hartley.games.poisoning.suspect_records import SuspectRecords
from hartley.games.poisoning.suspicion import check_clean, check_rate
from hartley.kit import audio
from hartley.kit.cache import digest
from hartley.kit.fleet import Training
from hartley.kit.nets import Net, conv, dense
from hartley.kit.table_files import read_columns
from hartley.models.pipeline import Pipeline
from hartley.scenes._assemble_vision import accuracy, accuracy_utility
from hartley.scenes._user_files import check_there, described
from hartley.targets.python_object import is_object, load_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST, EACH = 100, 8
"""Records that there must be, and of each class."""
MOST_CLASSES = 200
"""Different values of a label: more are a number or a name."""
PLANTED = 4_000
"""Records at most that canary poison is planted into: each victim trains on them anew."""
SHARES = {"train": 0.6, "public": 0.15, "test": 0.25}
"""Parts of the records: copies that poison is planted into, what the attacker has, and the rest."""
STEPS = 2_500
"""Steps of a reference net's training, at least and at most within its passes."""
SMALL = 100
"""Pixels up to which a picture needs no convolution."""
EXAMPLE = "hartley assess --records mine.csv --target COLUMN --clean trusted.csv"


@recipe(modality=Modality.TABULAR)
def own_records(
    *,
    records: Annotated[str, Stronger.NEITHER] = "",
    target: Annotated[str, Stronger.NEITHER] = "",
    clean: Annotated[str, Stronger.NEITHER] = "",
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True), Stronger.NEITHER] = 0.01,
    modality: Annotated[Literal["auto", "vision", "tabular", "audio"], Stronger.NEITHER] = "auto",
    pictures: Annotated[bool, Stronger.NEITHER] = False,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Records of your own before training: which look poisoned, and what poison would pass.

    A small reference net is trained on them. Canary poison is planted into copies of a part of the
    records, never into the file.

    Args:
        records: a table (.csv, .parquet, .jsonl …), .npz with x and y, a folder of pictures or of
            sounds with a sub-folder for each class, or FILE.py:NAME.
        target: of a table, the column with the label.
        clean: records of the same kind that you trust, which calibrate the detectors. Without them
            the records calibrate themselves, and nothing is found beyond chance.
        false_alarms: share of clean records that is flagged all the same.
        modality: what arrays are; auto reads it off their shape.
        pictures: let the report show one record, clean and with a planted trigger. Without it a
            report holds no content of a record.
        seed: of the parts and of every training.

    Raises:
        UsageError: a file cannot be read, or the records are too few or not of classes.
    """
    if not records:
        raise UsageError(f"--records must be a file or a folder, got none: {EXAMPLE}")
    if clean and Path(records).resolve() == Path(clean).resolve():
        raise UsageError(f"--clean must be other records than --records, got {records} twice")
    check_there({"records": records, "clean": clean})
    paths = [records, *([clean] if clean else [])]
    data, classes, notes = _read(paths, target, modality)
    # Messages name classes as the user does.
    data = [replace(part, facts={"classes": classes}) for part in data]
    scanned = data[0]
    trusted = data[1] if clean else None
    _check_sizes(scanned, classes)
    if trusted is not None:
        check_rate(len(trusted), false_alarms)
        check_clean(trusted, scanned)
    pipeline = _pipeline(scanned, len(classes))
    parts = _parts(scanned, seed)
    train = parts["train"]
    everyone = np.ones((1, len(train)), dtype=bool)
    model = pipeline.fit(train, everyone, seed).member(0)
    part = SuspectRecords(scanned, trusted, pipeline, false_alarms, _files(records, scanned), seed)
    name = Path(records.rpartition(":")[0] if is_object(records) else records).stem
    return Scene(
        name=name,
        modality=scanned.modality,
        digest=digest([hartley.__version__, part.identity, false_alarms, pictures]),
        model=model.with_(name="reference net"),
        train=train,
        holdout=trusted,
        fit=pipeline.fit,
        extra={"public": parts["public"], "test": parts["test"]},
        training=pipeline,
        parts=(part,),
        utility=accuracy_utility,
        settings=Settings(pictures=pictures, seed=seed),
        facts={
            "records": len(scanned),
            "trusted records": 0 if trusted is None else len(trusted),
            "classes": ", ".join(classes[:12]) + ", …" * (len(classes) > 12),
            "records that canary poison is planted into": len(train),
            "reference net accuracy": accuracy(model, parts["test"]),
            **notes,
            **described({"records": records, **({"clean": clean} if clean else {})}),
        },
    )


def _read(
    paths: Sequence[str], target: str, modality: str
) -> tuple[list[Data], tuple[str, ...], dict[str, Any]]:
    """Return records as the reference net reads them, the names of their classes, and notes."""
    flags = dict(zip(("--records", "--clean"), paths, strict=False))
    if _is_table(paths[0]):
        if odd := [path for path in paths if not _is_table(path)]:
            raise UsageError(f"--clean must be a table as --records is, got {odd[0]}")
        if modality not in ("auto", "tabular"):
            raise UsageError(f"--modality must be tabular for a table, got {modality}")
        return _of_tables(paths, target)
    _check_arrays(paths, target)
    given = {}
    for flag, path in flags.items():
        what = f"{flag} {path}"
        if is_object(path):
            given[what] = records_of(load_object(path, flag), what)
        else:
            given[what] = read_arrays(Path(path), what)
    kind, data, notes = classified(given, modality)
    parts = list(data.values())
    if kind is Modality.TABULAR:
        encode = TableEncoder.of_numbers(np.asarray(parts[0].x.reshape(len(parts[0]), -1), float))
        arrays = [encode(np.asarray(p.x.reshape(len(p), -1), float)) for p in parts]
    elif kind is Modality.AUDIO and parts[0].x.ndim == 3:
        arrays = [_heard(p.x) for p in parts]
    else:
        low, high = float(parts[0].x.min()), float(parts[0].x.max())
        outside = low < 0.0 or high > 1.0
        arrays = [np.clip((p.x - low) / (high - low), 0, 1) if outside else p.x for p in parts]
        if outside:
            notes |= {"scale": f"{low:.4g} … {high:.4g} became 0 … 1"}
    names = str(notes.get("classes", "")).split(", ") if notes.get("classes") else []
    most = max(int(p.labels.max()) for p in parts) + 1
    _check_classes(most)
    classes = tuple(names) or tuple(map(str, range(most)))
    out = [Data(p.name, kind, x, p.y) for p, x in zip(parts, arrays, strict=True)]
    return out, classes, {k: v for k, v in notes.items() if k != "classes"}


def _check_arrays(paths: Sequence[str], target: str) -> None:
    """Refuse what goes with tables alone, where the records are arrays or a folder."""
    if tables := [path for path in paths[1:] if _is_table(path)]:
        kind = "a folder" if Path(paths[0]).is_dir() else "arrays"
        raise UsageError(f"--clean must be {kind} as --records is, got the table {tables[0]}")
    if target:
        raise UsageError(
            f"--target names the column of a table; {paths[0]} has its labels in y or in the names "
            "of its sub-folders: leave it out"
        )


def _of_tables(
    paths: Sequence[str], target: str
) -> tuple[list[Data], tuple[str, ...], dict[str, Any]]:
    places = [Path(path) for path in paths]
    columns = [read_columns(place) for place in places]
    form, tables, targets = read_tables(places, columns, target, framed=True)
    size = sum(map(len, tables))
    for field in form.fields:
        if field.kind == WORD and 2 * len(field.words) > size:
            raise UsageError(
                f"the column {field.name!r} has {len(field.words):,} different values in {size:,} "
                "records: a scan reads numbers and categories, not texts or names of records; "
                "leave it out"
            )
    classes = _class_names(targets[0], target, paths[0])
    place = {name: k for k, name in enumerate(classes)}
    encode = TableEncoder.of(form, tables[0])
    out = []
    for path, x, values in zip(paths, tables, targets, strict=True):
        names = [_label(value) for value in values]
        if odd := sorted({name for name in names if name not in place}):
            raise UsageError(
                f"the column {target!r} of {path} must have the labels of {paths[0]}, got "
                f"{', '.join(odd[:5])} besides"
            )
        y = np.array([place[name] for name in names], dtype=np.int64)
        out.append(Data(Path(path).name, Modality.TABULAR, encode(x), y))
    return out, classes, {"columns": len(form.fields)}


def _class_names(values: Sequence[Any], target: str, path: str) -> tuple[str, ...]:
    """Return the different labels of a column, in order.

    Raises:
        UsageError: they are not classes: a number that is to be predicted, dates, lists.
    """
    for value in values:
        if not isinstance(value, str | bool | int | float):
            raise UsageError(
                f"the label {target!r} of {path} must be words or whole numbers, got "
                f"{type(value).__name__}: {str(value)[:40]}"
            )
    fractions = [v for v in values if isinstance(v, float) and v != int(v)]
    distinct = {_label(value): value for value in values}
    if fractions or len(distinct) > MOST_CLASSES:
        example = str(fractions[0]) if fractions else ", ".join([*distinct][:3])
        raise UsageError(
            f"the label {target!r} of {path} must be a class, got {len(distinct):,} different "
            f"values such as {example}: a number to be predicted is not one; put it into ranges"
        )
    numbers = all(not isinstance(value, str) for value in distinct.values())
    names = sorted(distinct, key=lambda name: (float(distinct[name]) if numbers else 0.0, name))
    _check_classes(len(names))
    return tuple(names)


def _label(value: Any) -> str:
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value)


def _check_classes(count: int) -> None:
    if count < 2:
        raise UsageError("--records must have labels of two classes or more, got one class")
    if count > MOST_CLASSES:
        raise UsageError(f"--records must have at most {MOST_CLASSES} classes, got {count:,}")


def _check_sizes(data: Data, classes: Sequence[str]) -> None:
    if len(data) < LEAST:
        raise UsageError(
            f"--records must have at least {LEAST} records for detectors to say anything, got "
            f"{len(data)}"
        )
    counts = np.bincount(data.labels, minlength=len(classes))
    if few := [
        f"{name} ({size})" for name, size in zip(classes, counts, strict=False) if size < EACH
    ]:
        listed = ", ".join(few[:5]) + (f" and {len(few) - 5} more" if len(few) > 5 else "")
        raise UsageError(
            f"--records must have at least {EACH} records of each class, got fewer of {listed}; "
            "leave these classes out, or join them"
        )


def _is_table(path: str) -> bool:
    """Whether a path is a table and not arrays: neither a folder of classes nor .npz nor code."""
    if is_object(path) or path.lower().endswith((".npz", ".npy")):
        return False
    place = Path(path)
    return not place.is_dir() or any(place.glob("*.parquet")) or any(place.glob("*.arrow"))


def _heard(x: NDArray[Any]) -> NDArray[np.float32]:
    """Return sounds (n, channels, samples) as log-mel pictures (n, channels, bands, frames)."""
    samples = x.shape[2]
    window = min(400, max(16, samples // 4))
    hop = max(window // 2, samples // 100)
    return np.stack(
        [
            np.stack([audio.scaled(audio.mel(wave, window=window, hop=hop)) for wave in channels])
            for channels in x
        ]
    )


def _pipeline(data: Data, classes: int) -> Pipeline:
    """Return how the reference net is trained: a small one, of the kind that fits the records."""
    shape, n = data.x.shape[1:], len(data)
    net: Net
    if len(shape) == 3 and shape[-1] * shape[-2] > SMALL:
        net = conv(tuple(shape), classes, channels=(16, 32), hidden=(64,))
        batch, rate = 64, 4e-3
    else:
        net = dense(tuple(shape), classes, (128,))
        batch, rate = 32, 2e-3
    epochs = int(np.clip(STEPS * batch // n, 4, 40))
    return Pipeline(
        net, Training(epochs=epochs, batch=batch, lr=rate, anneal=True), modality=data.modality
    )


def _parts(data: Data, seed: int) -> dict[str, Data]:
    """Cut records into parts, each with its share of every class."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[int]] = {name: [] for name in SHARES}
    most = min(1.0, PLANTED / (len(data) * SHARES["train"]))
    for label in np.unique(data.labels):
        of_class = rng.permutation(np.flatnonzero(data.labels == label))
        # A rare class keeps enough for all parts.
        size = max(EACH, round(most * len(of_class)))
        of_class = of_class[:size]
        ends = np.rint(np.cumsum([*SHARES.values()]) * len(of_class)).astype(int)
        for name, part in zip(SHARES, np.split(of_class, ends[:-1]), strict=True):
            rows[name] += part.tolist()
    return {
        name: Data(name, data.modality, data.x[np.sort(r)], data.labels[np.sort(r)])
        for name, r in rows.items()
    }


def _files(path: str, data: Data) -> tuple[str, ...]:
    """Return the file of each record of a folder, or nothing."""
    folder = Path(path)
    if is_object(path) or not folder.is_dir():
        return ()
    names = files_of(folder)
    return tuple(names) if len(names) == len(data) else ()
