"""A user's own records as arrays: .npz, a folder of pictures or sounds, or of a Python file.

Whatever they come from, records end as one array of numbers and one of whole labels. What was
changed on the way (the scale of pixels, the place of the channels) is said in the facts.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality
from hartley.core.errors import UsageError, did_you_mean
from hartley.data.picture_files import decoded, of_eight_bits
from hartley.data.user_sounds import RATE, SOUNDS, of_one_length, read_sounds
from hartley.kit.user_code import user_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
SAVE = "np.savez('train.npz', x=x, y=y)"
TWICE = 4
"""Records of a data set that are read twice, to see whether they are the same each time."""


@dataclass(frozen=True, slots=True)
class UserRecords:
    """Records as they were given.

    Attributes:
        x: (n, …).
        y: (n,).
        notes: what a reader of the report must know about them, by name.
    """

    x: Any
    y: Any
    notes: Mapping[str, Any] = field(default_factory=dict)


def read_arrays(path: Path, what: str) -> UserRecords:
    """Read a ``.npz`` file with x and y, or a folder with a sub-folder for each class.

    In the sub-folders are pictures or sounds.

    Raises:
        UsageError: it is neither, or what is in it cannot be read.
        MissingExtra: Pillow or soundfile is not installed.
    """
    if path.is_dir():
        return _folder(path, what)
    if not path.is_file():
        raise UsageError(f"{what} must be a file, a folder or FILE.py:NAME, got {path}, not there")
    if path.suffix.lower() != ".npz":
        raise UsageError(
            f"{what} must be .npz with x and y ({SAVE}), a folder of pictures or sounds, or "
            f"FILE.py:NAME, got {path}"
        )
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            names = {name.lower(): name for name in file.files}
            if absent := [name for name in ("x", "y") if name not in names]:
                raise UsageError(
                    f"{path} must hold arrays x and y ({SAVE}), got none named "
                    f"{' or '.join(absent)}; it has {', '.join(file.files) or 'nothing'}"
                )
            return UserRecords(file[names["x"]], file[names["y"]])
    except UsageError:
        raise
    except Exception as error:  # a damaged file may fail in any way in its reader
        reason = " ".join(str(error).split())[:120]
        raise UsageError(f"{path} must hold arrays of numbers ({SAVE}): {reason}") from error


def files_of(folder: Path) -> list[str]:
    """Return the file of each record of a folder, from the folder on, as ``read_arrays`` orders."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    suffixes = {p.suffix.lower() for place in classes for p in place.rglob("*")}
    kinds = SOUNDS if suffixes & {*SOUNDS} else PICTURES
    return [
        str(path.relative_to(folder))
        for place in classes
        for path in sorted(p for p in place.rglob("*") if p.suffix.lower() in kinds)
    ]


def records_of(value: Any, what: str) -> UserRecords:
    """Return the records of something that a user's Python file names.

    Args:
        value: (x, y), a mapping with x and y, a torch Dataset or DataLoader, or a function without
            arguments that returns one of these.
        what: it is, for messages: "--train data.py:train".

    Raises:
        UsageError: it is none of these, or its code fails.
    """
    if callable(value) and not hasattr(value, "__getitem__") and not hasattr(value, "__iter__"):
        needed = [
            p.name
            for p in inspect.signature(value).parameters.values()
            if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        if needed:
            raise UsageError(
                f"{what} must be a function without arguments, got one that needs "
                f"{', '.join(needed)}"
            )
        with user_code(what):
            value = value()
    with user_code(what):
        return _unpacked(value, what)


def classified(
    parts: Mapping[str, UserRecords], modality: str
) -> tuple[Modality, dict[str, Data], dict[str, Any]]:
    """Return records of one form, as a model reads them, and what was done to them.

    Bytes 0…255 of pictures become float32 in 0…1, channels first; sounds are brought to one length.

    Args:
        parts: records by what they are, for messages: "--train train.npz".
        modality: "vision", "tabular" or "audio"; "auto" reads it off the shape.

    Raises:
        UsageError: they are not numbers, not of one shape, or not labelled.
    """
    kind: Modality | None = None if modality == "auto" else Modality(modality)
    if sounds := [what for what, part in parts.items() if RATE in part.notes]:
        if len(sounds) < len(parts) or kind not in (None, Modality.AUDIO):
            besides = [what for what in parts if what not in sounds] or [f"--modality {modality}"]
            raise UsageError(
                f"{', '.join(sounds)} must go with sounds, got {', '.join(besides)} besides"
            )
        kind, parts = Modality.AUDIO, of_one_length(parts)
    out: dict[str, Data] = {}
    notes: dict[str, Any] = {}
    for what, part in parts.items():
        x, y = _numbers(part.x, what), _labels(part.y, what)
        if len(x) != len(y):
            raise UsageError(
                f"{what} must have one label for each record, got {len(x)} records and {len(y)} "
                "labels"
            )
        if not len(x):
            raise UsageError(f"{what} must hold records, got none")
        x, of_shape, changes = _formed(x, kind, what)
        kind = of_shape
        notes |= {**part.notes, **changes}
        out[what] = Data(what.partition(" ")[2].rpartition("/")[2], of_shape, x, y)
    (first, one), *others = out.items()
    for what, data in others:
        if data.x.shape[1:] != one.x.shape[1:]:
            raise UsageError(
                f"{what} must have records of the shape of {first}, {one.x.shape[1:]}, got "
                f"{data.x.shape[1:]}"
            )
    classes = [str(part.notes["classes"]) for part in parts.values() if "classes" in part.notes]
    if len(set(classes)) > 1:
        raise UsageError(
            f"{' and '.join(parts)} must have a sub-folder for each of the same classes, got "
            f"{'; '.join(classes)}"
        )
    assert kind is not None
    return kind, out, notes


def _unpacked(value: Any, what: str) -> UserRecords:
    if isinstance(value, Mapping):
        if {"x", "y"} <= value.keys():
            return UserRecords(value["x"], value["y"])
        near = did_you_mean("x", map(str, value))
        raise UsageError(f"{what} must have the keys x and y, got {', '.join(value)}{near}")
    if isinstance(value, tuple | list) and len(value) == 2:
        return UserRecords(*value)
    # A loader shuffles and makes batches; the records are those of its data set.
    items: Any = getattr(value, "dataset", None) if hasattr(value, "batch_size") else value
    if not hasattr(items, "__getitem__") or isinstance(items, str | bytes):
        if hasattr(items, "__iter__") and hasattr(value, "batch_size"):
            return _paired(items, what)
        raise UsageError(
            f"{what} must be (x, y), a torch Dataset or DataLoader, or a function that returns "
            f"one, got {type(value).__name__}"
        )
    try:
        size = len(items)
    except TypeError:
        raise UsageError(
            f"{what} must be a Dataset with a length, got a {type(items).__name__} without "
            "__len__; return (x, y) from a function instead"
        ) from None
    if size and isinstance(items[0], tuple | list) and len(items[0]) == 2:
        for index in range(min(TWICE, size)):
            once, again = _array(items[index][0]), _array(items[index][0])
            if not np.array_equal(once, again, equal_nan=once.dtype.kind == "f"):
                raise UsageError(
                    f"{what} must give the same record each time, got two versions of record "
                    f"{index}; leave random transforms to the training"
                )
    return _paired((items[index] for index in range(size)), what)


def _paired(items: Iterable[Any], what: str) -> UserRecords:
    x, y = [], []
    for item in items:
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise UsageError(
                f"{what} must hold pairs of a record and its label, got a {type(item).__name__}"
            )
        x.append(_array(item[0]))
        y.append(_array(item[1]))
    if len({record.shape for record in x}) > 1:
        raise UsageError(
            f"{what} must hold records of one shape, got {sorted({r.shape for r in x})[:3]}; "
            "resize them, or pad them"
        )
    return UserRecords(np.stack(x) if x else np.empty((0, 0)), np.array(y))


def _array(value: Any) -> NDArray[Any]:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return np.asarray(value)


def _numbers(values: Any, what: str) -> NDArray[Any]:
    x = _array(values)
    if x.dtype.kind not in "buif":
        raise UsageError(f"{what} must hold numbers in x, got {x.dtype}")
    if x.ndim < 2:
        raise UsageError(
            f"{what} must hold records (n, …) in x, got shape {x.shape}; one column is "
            "x.reshape(-1, 1)"
        )
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        wrong = int((~np.isfinite(x.reshape(len(x), -1)).all(1)).sum())
        raise UsageError(
            f"{what} must hold finite numbers, got NaN or infinity in {wrong} of {len(x)} records; "
            "fill them as the training does"
        )
    return x


def _labels(values: Any, what: str) -> NDArray[np.int64]:
    y = _array(values)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        cure = "; of one-hot rows take y.argmax(1)" if y.ndim == 2 else ""
        raise UsageError(f"{what} must hold one label a record in y, got shape {y.shape}{cure}")
    if y.dtype.kind not in "buif" or (y.dtype.kind == "f" and (y != np.rint(y)).any()):
        raise UsageError(
            f"{what} must hold whole numbers in y, each the place of the class among the model's "
            f"answers, got {str(y[0]) if len(y) else y.dtype!s}"
        )
    if len(y) and y.min() < 0:
        raise UsageError(f"{what} must hold labels from 0 on in y, got {int(y.min())}")
    return y.astype(np.int64)


def _formed(
    x: NDArray[Any], kind: Modality | None, what: str
) -> tuple[NDArray[Any], Modality, dict[str, Any]]:
    """Return records in their form, their modality, and what was changed."""
    pixels = x.dtype == np.uint8
    if kind is None:
        if x.ndim == 3 and not pixels:
            raise UsageError(
                f"{what} must be pictures (n, channels, height, width) or a table (n, columns), "
                f"got shape {x.shape}: add --modality audio for waveforms, --modality vision for "
                "grey pictures, --modality tabular for anything else"
            )
        kind = Modality.TABULAR if x.ndim == 2 else Modality.VISION
    if kind is not Modality.VISION:
        # Whole numbers of a table or a waveform stay what they are.
        return (x if x.dtype == np.float64 else x.astype(np.float32)), kind, {}
    if x.ndim not in (3, 4):
        raise UsageError(
            f"{what} must be pictures (n, channels, height, width), got shape {x.shape}"
        )
    changes = []
    if x.ndim == 3:
        x = x[:, None]
        changes.append("one channel added")
    elif x.shape[3] in (1, 3, 4) and x.shape[1] not in ((1, 3) if pixels else (1, 3, 4)):
        if not pixels:
            raise UsageError(
                f"{what} must have the channels first, as torch reads them, got shape {x.shape}: "
                "x.transpose(0, 3, 1, 2)"
            )
        x = x.transpose(0, 3, 1, 2)
        changes.append("channels moved to the front")
    if pixels:
        changes.append("0…255 divided by 255")
    x = np.ascontiguousarray(x, dtype=np.float32)
    x = x / np.float32(255) if pixels else x
    return x, kind, {"pixels": ", ".join(changes)} if changes else {}


def _folder(folder: Path, what: str) -> UserRecords:
    """Read a folder of pictures or of sounds."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    if not classes:
        raise UsageError(
            f"{what} must have a sub-folder of pictures or sounds for each class, got none"
        )
    suffixes = {p.suffix.lower() for place in classes for p in place.rglob("*")}
    if not suffixes & {*SOUNDS}:
        return _pictures(folder, classes)
    if suffixes & {*PICTURES}:
        raise UsageError(f"{what} must hold pictures or sounds, got both")
    return UserRecords(*read_sounds(classes, what))


def _pictures(folder: Path, classes: Sequence[Path]) -> UserRecords:
    pictures, labels = [], []
    for label, place in enumerate(classes):
        files = sorted(p for p in place.rglob("*") if p.suffix.lower() in PICTURES)
        if not files:
            raise UsageError(
                f"{place} must hold pictures ({', '.join(PICTURES[:3])} …) or sounds (.wav, .flac "
                f"…), got none; each sub-folder of {folder} is a class"
            )
        for path in files:
            pictures.append(decoded(path, _colours, str(path)))
            if pictures[-1].shape[:2] != pictures[0].shape[:2]:
                sizes = [f"{p.shape[1]}×{p.shape[0]}" for p in (pictures[0], pictures[-1])]
                raise UsageError(
                    f"{folder} must hold pictures of one size, got {sizes[0]} and {sizes[1]} "
                    f"({path.name}); resize them as your training does"
                )
            labels.append(label)
    coloured = any(picture.ndim == 3 for picture in pictures)
    if coloured:
        pictures = [p if p.ndim == 3 else np.repeat(p[..., None], 3, 2) for p in pictures]
    return UserRecords(
        np.stack(pictures),
        np.array(labels),
        {
            "classes": ", ".join(place.name for place in classes),
            "colours": "red, green, blue" if coloured else "grey",
        },
    )


def _colours(image: Any) -> NDArray[np.uint8]:
    """Return a picture (h, w), or (h, w, 3): palette and transparency as the colours they show."""
    image = of_eight_bits(image)
    grey = image.mode in ("L", "1")
    return np.asarray(image.convert("L" if grey else "RGB"), dtype=np.uint8)
