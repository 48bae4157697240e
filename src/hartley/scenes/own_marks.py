"""A user's own watermark: their items, their marker and their detector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

import hartley
from hartley.core import Data, Modality, Range, Scene, Stronger, recipe, spawn
from hartley.core.errors import UsageError
from hartley.data.user_items import UserItems, read_items
from hartley.games.watermark.marked_items import several
from hartley.kit.cache import digest
from hartley.kit.marker import Detection, DetectionService, KeyUse, Marker
from hartley.kit.vision import marks
from hartley.targets.python_object import code_of_object, is_object
from hartley.targets.user_marker import (
    UserTool,
    marked_item,
    read_bits,
    read_presence,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LEAST = 3
"""Items: the attacker has one, and a forger needs two of the victim's besides."""
EXAMPLE = (
    "hartley assess --items FOLDER --marker mine.py:mark --detector mine.py:read --message-bits 32"
)


@recipe(modality=Modality.VISION)
def own_marks(
    *,
    items: Annotated[str, Stronger.NEITHER] = "",
    marker: Annotated[str, Stronger.NEITHER] = "",
    marked: Annotated[str, Stronger.NEITHER] = "",
    detector: Annotated[str, Stronger.NEITHER] = "",
    message_bits: Annotated[int, Range(0, 4096), Stronger.NEITHER] = 0,
    detector_gives: Annotated[Literal["marked", "p"], Stronger.NEITHER] = "marked",
) -> Scene:
    """A folder of pictures, texts or sounds of your own, and your own watermark.

    With a marker Hartley draws messages and keys and marks the items. Without one, the folder of
    marked items is taken as it is, and the items are those that carry no mark.

    Args:
        items: a folder of pictures, texts (.txt, .md) or sounds without watermarks.
        marker: FILE.py:NAME or MODULE:NAME of a function (item, message, key) → item, or a command
            with {in}, {out}, {message} and {key}; message and key may be left out.
        marked: instead of a marker: a folder of items that are marked already.
        detector: FILE.py:NAME or MODULE:NAME of a function (item, key) → bits, or whether it is
            marked; or a command with {in} and {key} that prints it. The key may be left out.
        message_bits: length of the message; 0: the mark says presence alone.
        detector_gives: what a detector of presence returns: marked or not, or a p-value.

    Raises:
        UsageError: a folder, a function or a command is not there or does not do what it should.
    """
    _check(items, marker, marked, detector, message_bits)
    plain = read_items(Path(items), "--items")
    if len(plain.items) < LEAST:
        raise UsageError(f"--items must hold at least {LEAST} items, got {len(plain.items)}")
    reader = UserTool.of(detector, "--detector", plain.modality, plain.rate)
    facts: dict[str, Any] = {"items": len(plain.items), "detector": detector}
    if marked:
        done = read_items(Path(marked), "--marked")
        if done.modality is not plain.modality or done.rate != plain.rate:
            raise UsageError(
                f"--marked must hold items as --items does, got {done.modality} at {done.rate} Hz "
                f"and {plain.modality} at {plain.rate} Hz"
            )
        mark = _of_files(done, reader, detector_gives)
        facts |= {"marked items": len(done.items), "keys": "of the user, not drawn"}
    else:
        writer = UserTool.of(marker, "--marker", plain.modality, plain.rate)
        mark = _of_tools(writer, reader, message_bits, detector_gives)
        _try(mark, plain, message_bits)
        keyed = "key" in writer.takes and "key" in reader.takes
        facts |= {
            "marker": marker,
            "message bits": message_bits,
            "keys": "drawn by Hartley" if keyed else "of the user's tool, not drawn",
        }
    tools = [text for text in (marker, detector) if text]
    records = [digest([*map(_content, one)]) for one in (plain.items, *_items(marked))]
    code = [code_of_object(text) if is_object(text) else text for text in tools]
    return Scene(
        name=Path(items).name or "items",
        modality=plain.modality,
        digest=digest([hartley.__version__, records, code, message_bits, detector_gives]),
        # Nothing says whether a command is still the same one.
        resumable=all(is_object(text) for text in tools),
        extra={"carriers": _carriers(plain)},
        parts=(mark, DetectionService(), KeyUse(by_item=True)),
        facts=facts,
    )


def _check(items: str, marker: str, marked: str, detector: str, message_bits: int) -> None:
    """Check that the flags go together.

    Raises:
        UsageError: one is absent, or two say the same.
    """
    if not items:
        raise UsageError(f"--items must be a folder of unmarked items, got none: {EXAMPLE}")
    if not detector:
        raise UsageError(f"--detector must be a function or a command, got none: {EXAMPLE}")
    if bool(marker) == bool(marked):
        got = "both" if marker else "none"
        raise UsageError(f"one of --marker and --marked must be given, got {got}: {EXAMPLE}")
    if marked and message_bits:
        raise UsageError(
            "--message-bits must be left out with --marked: nobody drew the messages of items that "
            "are marked already, so that their presence is asked"
        )


def _of_tools(writer: UserTool, reader: UserTool, bits: int, gives: Any) -> Marker:
    """Return the user's mark as one of Hartley's."""

    def embed(item: Any, message: NDArray[Any], key: int, rng: Rng) -> Any:
        del rng
        return marked_item(writer, item, message, key)

    def detect(item: Any, key: int) -> Detection:
        return read_presence(reader, item, key, gives)

    def soft(item: Any, key: int, m: int) -> NDArray[Any]:
        return read_bits(reader, item, key, m)

    return Marker(
        "own mark",
        embed,
        soft if bits else None,
        modality=reader.modality,
        bits=bits,
        detect=None if bits else detect,
        fits=lambda _, m: m == bits,
        plain=_published,
        key_shows=not bits,
        usual=_usual(reader.modality),
    )


def _of_files(done: UserItems, reader: UserTool, gives: Any) -> Marker:
    """Return a mark whose marked items are files."""

    def embed(item: Any, message: NDArray[Any], key: int, rng: Rng) -> Any:
        del item, message, key
        return done.items[int(rng.integers(len(done.items)))]

    def embed_all(
        items: Sequence[Any], messages: Any, keys: Sequence[int | None], rng: Rng
    ) -> list[Any]:
        del messages
        # No file twice before each was taken once.
        count = len(done.items)
        order = np.concatenate([rng.permutation(count) for _ in range(len(items) // count + 1)])
        turn = iter(order.tolist())
        return [
            _published(item, rng) if key is None else done.items[next(turn)]
            for item, key in zip(items, keys, strict=True)
        ]

    return Marker(
        "own mark",
        embed,
        modality=reader.modality,
        bits=0,
        detect=lambda item, key: read_presence(reader, item, key, gives),
        plain=_published,
        generates=True,
        embed_all=embed_all,
        usual=_usual(reader.modality),
    )


def _usual(modality: Modality) -> Marker | None:
    """Return what attackers take a user's mark for: its tools are the owner's to run."""
    return marks.dwt_dct() if modality is Modality.VISION else None


def _published(item: Any, rng: Rng) -> Any:
    """Return an item as a file of 8 or 16 bits holds it."""
    del rng
    if isinstance(item, str):
        return item
    depth = 255.0 if np.ndim(item) == 3 else 32767.0
    return (np.round(np.asarray(item) * depth) / depth).astype(np.float32)


def _try(mark: Marker, plain: UserItems, bits: int) -> None:
    """Mark and read one item, so that what is wrong with a tool is said before anything is played.

    Raises:
        UsageError: a tool fails.
    """
    rng = np.random.default_rng(spawn(0, "own mark"))
    message = rng.integers(0, 2, bits)
    published = mark.embed(plain.items[0], message, 1, rng)
    if bits:
        mark.read(published, 1, bits)
    else:
        mark.verify(published, 1, message)


def _carriers(plain: UserItems) -> Data:
    return several(list(plain.items), plain.modality, "own items", "carriers")


def _items(folder: str) -> list[tuple[Any, ...]]:
    return [read_items(Path(folder), "--marked").items] if folder else []


def _content(item: Any) -> Any:
    return item if isinstance(item, str) else np.asarray(item)
