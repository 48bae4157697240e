"""The items that owners mark, as records of each modality, and how marks are put into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Form, Modality, Outcome, Scene
from hartley.core.errors import RunError, UsageError
from hartley.kit import item_quality
from hartley.kit.item_quality import ItemQuality
from hartley.kit.marker import Detection, KeyUse, Marker
from hartley.kit.vision import marks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def marker_of(scene: Scene) -> Marker:
    """Return the owner's mark; pictures have the widespread DWT-DCT scheme where a scene has none.

    Raises:
        UsageError: there is none, or it is of another modality.
    """
    marker = scene.find(Marker)
    if marker is None and scene.modality is Modality.VISION:
        return marks.dwt_dct()
    if marker is None:
        raise UsageError(f"the scene {scene.name} has no marker")
    if marker.modality is not scene.modality:
        raise UsageError(
            f"the marker {marker.name} must mark {scene.modality}, as {scene.name} has it, got one "
            f"of {marker.modality}"
        )
    return marker


def quality_of(scene: Scene) -> ItemQuality:
    """Return the quality floor of a scene's items: its own, else that of its modality.

    Raises:
        UsageError: there is none.
    """
    quality = scene.find(ItemQuality)
    if quality is None and scene.modality in item_quality.DEFAULTS:
        return item_quality.DEFAULTS[scene.modality]()
    if quality is None:
        raise UsageError(f"the scene {scene.name} has no item_quality")
    return quality


def as_items(data: Data) -> Data:
    """Return records of which each is an item that a mark can be put into.

    Raises:
        UsageError: they are not items of their modality; the message says what one is.
    """
    each = {Modality.VISION: _in_colour, Modality.AUDIO: _waves}.get(data.modality)
    if each is not None and data.x.dtype == object and len(data):
        # Pictures of several sizes, sounds of several lengths.
        single = [each(replace(data, x=np.asarray(item)[None])).x[0] for item in data.x]
        return replace(data, x=several(single, data.modality, data.name, data.role).x)
    if each is not None:
        return each(data)
    if not len(data):
        raise UsageError(f"{data.name!r} must have items to mark, got none")
    return data


def one(item: Any, modality: Modality, name: str, role: str) -> Data:
    """Return one item as records."""
    return several([item], modality, name, role)


def several(items: Sequence[Any], modality: Modality, name: str, role: str) -> Data:
    """Return items as records; those of different shapes, or none, as an array of objects."""
    if items and all(isinstance(item, str) for item in items):
        x = np.array(items, dtype=np.str_)
    else:
        arrays = [np.asarray(item) for item in items]
        if arrays and len({array.shape for array in arrays}) == 1:
            x = np.stack(arrays)
        else:
            x = np.empty(len(arrays), dtype=object)
            x[:] = arrays
    records = Data(name, modality, x, role=role)
    return replace(records, form=Form.GRAPHS) if modality is Modality.GRAPH else records


def loot_of(outcome: Outcome, game: str) -> Any:
    """Return the one item that an attack hands in.

    Raises:
        RunError: it is not one item.
    """
    if not isinstance(outcome.asset, Data) or len(outcome.asset) != 1:
        raise RunError(f"{game}: the loot must be one item, as Data of one record")
    return outcome.asset.x[0]


def read_as(quality: ItemQuality, candidate: Any, published: Any, game: str) -> Any:
    """Return an item that an attack hands in, as a file holds it.

    Raises:
        RunError: it is not an item like the published one.
    """
    try:
        return quality.read(candidate, published)
    except ValueError as error:
        raise RunError(f"{game}: the loot must be {error}") from None


def marked(
    marker: Marker,
    items: Sequence[Any],
    messages: Sequence[NDArray[Any]],
    keys: Sequence[int | None],
    rng: Rng,
) -> list[Any]:
    """Return items with their marks in them; a key of None publishes the item without one."""
    if marker.embed_all is not None:
        return list(marker.embed_all(items, messages, keys, rng))
    return [
        marker.plain(item, rng) if key is None else marker.embed(item, message, key, rng)
        for item, message, key in zip(items, messages, keys, strict=True)
    ]


def check_fits(marker: Marker, items: NDArray[Any], bits: int) -> None:
    """Check that each item holds a message, or the mark of presence where ``bits`` is 0.

    Raises:
        UsageError: one does not.
    """
    place = next((k for k, item in enumerate(items) if not marker.fits(item, bits)), None)
    if place is None:
        return
    item = items[place]
    thing = {Modality.VISION: "picture"}.get(marker.modality, "item")
    size = f"shape {np.shape(item)}" if not isinstance(item, str) else f"{len(item)} characters"
    if not bits:
        raise UsageError(
            f"carriers must be large enough for {marker.name}, got a {thing} of {size} (number "
            f"{place + 1} of {len(items)}); take larger {thing}s"
        )
    raise UsageError(
        f"bits must be at most what {marker.name} hides in one {thing} of {size} (number "
        f"{place + 1} of {len(items)}), got {bits}; take larger {thing}s or fewer bits"
    )


def message_length(marker: Marker, bits: int) -> int:
    """Return the length of messages where a game sets ``bits``; 0 for presence.

    Raises:
        UsageError: the mark has no message.
    """
    length = marker.bits if bits < 0 else bits
    if length and not marker.bits:
        raise UsageError(
            f"bits must be 0 or -1 for {marker.name}, which has no message, got {bits}"
        )
    return length


def attackers_items(
    scene: Scene, carriers: Data, marker: Marker, rng: Rng
) -> tuple[Data, NDArray[np.int64]]:
    """Return the attacker's items without marks, and which carriers are left for owners.

    A scene may bring such items itself, as ``unmarked``.
    """
    order = rng.permutation(len(carriers))
    unmarked = scene.extra.get("unmarked")
    if unmarked is not None:
        return as_items(unmarked), order
    count = max(1, len(carriers) // 6) if len(carriers) > 1 else 0
    plain = marked(
        marker,
        [carriers.x[k] for k in order[:count]],
        [np.zeros(0, np.int64)] * count,
        [None] * count,
        rng,
    )
    return (
        several(plain, carriers.modality, "own items", "public")
        if plain
        else Data("own items", carriers.modality, carriers.x[:0], role="public"),
        order[count:],
    )


def repeated(use: KeyUse | None, carriers: Data, chosen: Sequence[int]) -> tuple[int, ...]:
    """Return the cluster of each round by its carrier, where the scene says so (``by_item``).

    Carriers of one label, such as crops of one photograph, are one cluster too.

    Args:
        use: of keys.
        carriers: of the scene; with labels where several of them show the same.
        chosen: the carrier of each round.

    Returns:
        Nothing where no carrier, or label, serves in several rounds.
    """
    of = np.asarray(chosen) if carriers.y is None else np.asarray(carriers.y)[list(chosen)]
    names, place = np.unique(of, return_inverse=True)
    shared = use is not None and use.by_item and len(names) < len(of)
    return tuple(place.tolist()) if shared else ()


def figures_of(quality: ItemQuality, published: Any, candidate: Any) -> Mapping[str, float]:
    """Return the figures of a candidate as a file holds it."""
    return quality.figures(quality.read(candidate, published), published)


def verified(marker: Marker, key: int, message: NDArray[Any], item: Any) -> Detection:
    """Return what the owner of a key and a message detects in an item."""
    return marker.verify(item, key, message)


def chance_of_acceptance(marker: Marker, length: int) -> dict[str, float]:
    """Return how often the mark's own check takes a message from a random item, at most.

    Returns:
        ``accepted_by_chance``; nothing where the mark has no such check.
    """
    return {} if marker.accept is None else {"accepted_by_chance": marker.chance(length)}


def _in_colour(photos: Data) -> Data:
    """Return pictures as (n, 3, h, w) float32 in 0..1, as marks need them.

    Bytes are divided by 255, numbers of 16 bits by 65,535; a grey picture has its plane three
    times; transparency is dropped.

    Raises:
        UsageError: they are not such pictures.
    """
    where, x = f"the pictures {photos.name!r}", np.asarray(photos.x)
    if x.ndim != 4 or x.dtype.kind not in "biuf" or x.shape[1] not in (1, 3, 4) or not len(x):
        raise UsageError(
            f"{where} must be of shape (n, 1, 3 or 4 channels, h, w), got {x.shape} of {x.dtype}"
        )
    if x.dtype in (np.uint8, np.uint16) and x.max() > 1:
        x = x.astype(np.float32) / np.float32(np.iinfo(x.dtype).max)
    if not np.isfinite(x).all() or x.min() < 0 or x.max() > 1:
        raise UsageError(
            f"{where} must have pixels in 0..1, got {x.min():g}..{x.max():g}; divide them by 255"
        )
    if x.shape[1] != 3 or x.dtype.kind != "f":
        x = x[:, :3] if x.shape[1] == 4 else np.broadcast_to(x, (len(x), 3, *x.shape[2:]))
        x = np.ascontiguousarray(x, np.float32)
    return replace(photos, x=x)


def _waves(clips: Data) -> Data:
    """Return clips as (n, samples) float32 in −1..1.

    Raises:
        UsageError: they are not such clips.
    """
    where, x = f"the clips {clips.name!r}", np.asarray(clips.x)
    if x.ndim == 3 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim != 2 or x.dtype.kind not in "iuf" or not x.size:
        raise UsageError(f"{where} must be of shape (n, samples), got {x.shape} of {x.dtype}")
    if x.dtype == np.int16:
        x = x.astype(np.float32) / np.float32(32768)
    if not np.isfinite(x).all() or np.abs(x).max() > 1:
        raise UsageError(
            f"{where} must have samples in -1..1, got {x.min():g}..{x.max():g}; divide them by the "
            "largest value that the file's format has"
        )
    return replace(clips, x=np.ascontiguousarray(x, np.float32))
