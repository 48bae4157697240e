"""What a trigger does to a record, and the rules that keep it small.

A trigger is declared in the ``facts`` of the poison, for all slots at once, in one of four forms:

* ``patterns`` and ``masks`` (slots, *record shape): x·(1 − mask) + pattern·mask,
* ``shifts`` (slots, *record shape): x + shift, pixels cut to 0 … 1,
* ``warps`` (slots, 2, height, width): each pixel is read from a place that is this many pixels
  further down and to the right, between pixels bilinearly,
* ``subgraphs`` (slots, t, t) and ``places`` (slots, t): the links among these nodes of a small
  graph are replaced by these; places without a node are left out.

Triggers of texts have forms of their own (``text_triggers``).

``sources`` (slots, classes) booleans say on records of which classes a trigger is meant to work; by
default on all of them.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Form, Modality
from hartley.core.errors import RuleError
from hartley.games.poisoning import text_triggers

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMS = ("patterns", "shifts", "warps", "subgraphs")

PICTURES = (Modality.VISION, Modality.PAIRED)
"""Modalities whose records a trigger reaches as pictures, with pixels from 0 to 1."""

PICTURE = 3
"""Axes of one picture: channels, height, width."""

SLACK = 1e-6
"""What rounding may add to a size."""


def has_trigger(loot: Data) -> bool:
    """Whether the poison comes with triggers."""
    return any(form in loot.facts for form in (*FORMS, *text_triggers.FORMS))


def stamped(loot: Data, slot: int, x: NDArray[Any]) -> NDArray[Any]:
    """Return records (n, …) with the slot's trigger, or unchanged if there is none."""
    facts = loot.facts
    if loot.form is Form.TEXT:
        return text_triggers.edited(facts, slot, x)
    if "patterns" in facts:
        pattern, mask = facts["patterns"][slot], facts["masks"][slot]
        return np.asarray(x * (1 - mask) + pattern * mask, dtype=x.dtype)
    if "shifts" in facts:
        moved = x + facts["shifts"][slot]
        if loot.modality in PICTURES:
            moved = np.clip(moved, 0, 1)
        return np.asarray(moved, dtype=x.dtype)
    if "warps" in facts:
        return warped(x, np.asarray(facts["warps"][slot]))
    if "subgraphs" in facts:
        return joined(x, np.asarray(facts["subgraphs"][slot]), np.asarray(facts["places"][slot]))
    return x


def joined(x: NDArray[Any], links: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    """Return small graphs (n, nodes, nodes + features) with the links among some nodes replaced.

    Args:
        x: the graphs, adjacency beside features.
        links: (t, t) zeros and ones, symmetric.
        places: (t,) of the nodes.
    """
    out = np.array(x)
    exists = np.abs(x).sum(2)[:, places] > 0
    both = exists[:, :, None] & exists[:, None, :] & ~np.eye(len(places), dtype=bool)
    rows, columns = np.meshgrid(places, places, indexing="ij")
    out[:, rows, columns] = np.where(both, links, out[:, rows, columns])
    return out


def warped(x: NDArray[Any], warp: NDArray[Any]) -> NDArray[Any]:
    """Return pictures (n, channels, height, width) read at displaced places.

    Args:
        x: the pictures.
        warp: (2, height, width) how many pixels down and to the right each pixel is read; places
            outside a picture count as its border.
    """
    height, width = x.shape[-2:]
    down, right = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    at_y = np.clip(down + warp[0], 0, height - 1)
    at_x = np.clip(right + warp[1], 0, width - 1)
    top, left = np.floor(at_y).astype(int), np.floor(at_x).astype(int)
    bottom, far = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    v, u = at_y - top, at_x - left
    upper = x[..., top, left] * (1 - u) + x[..., top, far] * u
    lower = x[..., bottom, left] * (1 - u) + x[..., bottom, far] * u
    return np.asarray(upper * (1 - v) + lower * v, dtype=x.dtype)


def sources(loot: Data, classes: int, slots: int) -> NDArray[np.bool_]:
    """Return (slots, classes): on records of which classes each trigger is meant to work."""
    declared = loot.facts.get("sources")
    return np.ones((slots, classes), dtype=bool) if declared is None else np.asarray(declared, bool)


def check_triggers(loot: Data, records: Data, slots: int, classes: int, cover: float) -> None:
    """Check the triggers of a loot against the rules of the game.

    A mask has a mean of at most ``cover``, or covers one number of a record that has few; a shift
    has a mean size of at most ``cover`` times the range of the records; a warp displaces by at most
    ``cover`` times the height of a picture; a subgraph joins at most a share ``cover`` of the
    pairs of nodes.

    Raises:
        RuleError: a trigger is of another shape, not finite, too large, or makes impossible pixels.
    """
    shape = records.x.shape[1:]
    facts = {form: np.asarray(loot.facts[form]) for form in FORMS if form in loot.facts}
    if len(facts) > 1:
        raise RuleError(f"a trigger must have one form, got {', '.join(facts)}")
    if "sources" in loot.facts and np.shape(loot.facts["sources"]) != (slots, classes):
        raise RuleError(
            f"sources must be of shape {(slots, classes)}, got {np.shape(loot.facts['sources'])}"
        )
    if "subgraphs" in facts:
        _check_subgraphs(facts["subgraphs"], loot, records, (slots, cover))
        return
    for form, array in facts.items():
        due = (slots, 2, *shape[-2:]) if form == "warps" else (slots, *shape)
        if form == "warps" and len(shape) != PICTURE:
            raise RuleError(f"warps must be of pictures (channels, height, width), got {shape}")
        masks = np.asarray(loot.facts.get("masks", array))
        if array.shape != due or masks.shape != due:
            names = "patterns and masks" if form == "patterns" else form
            raise RuleError(f"{names} must be of shape {due}, got {array.shape}")
        if not (np.isfinite(array).all() and np.isfinite(masks).all()):
            raise RuleError("poison and triggers must be finite")
        if form == "patterns":
            _check_masks(masks, max(cover, 1 / prod(shape)))
            if records.modality in PICTURES:
                check_pixels(array)
        else:
            _check_size(form, array, records, cover)


def _check_subgraphs(
    links: NDArray[Any], loot: Data, records: Data, rules: tuple[int, float]
) -> None:
    (slots, cover), places = rules, np.asarray(loot.facts.get("places", ()))
    if records.modality is not Modality.GRAPH or records.x.ndim != PICTURE:
        raise RuleError(f"subgraphs must be of small graphs, got records of {records.x.shape[1:]}")
    nodes, size = records.x.shape[1], places.shape[-1] if places.ndim else 0
    if places.shape != (slots, size) or links.shape != (slots, size, size):
        raise RuleError(f"subgraphs must be (slots, t, t) and places (slots, t), got {links.shape}")
    if places.dtype.kind not in "iu" or places.min() < 0 or places.max() >= nodes:
        raise RuleError(f"places must be numbers of nodes from 0 to {nodes - 1}")
    if any(len({*row}) < size for row in places.tolist()):
        raise RuleError("places of a subgraph must be different nodes")
    if not np.isin(links, (0, 1)).all() or (links != links.transpose(0, 2, 1)).any():
        raise RuleError("links of a subgraph must be 0 or 1, and the same in both directions")
    share = size * (size - 1) / max(nodes * (nodes - 1), 1)
    if share > cover + SLACK:
        raise RuleError(
            f"a subgraph must join at most {cover:.0%} of the pairs of nodes, got {share:.0%}"
        )


def check_pixels(x: NDArray[Any]) -> None:
    """Check that pixels are from 0 to 1.

    Raises:
        RuleError: one is not.
    """
    if x.size and (x.min() < -SLACK or x.max() > 1 + SLACK):
        raise RuleError("pixels of poison and patterns must be from 0 to 1")


def _check_masks(masks: NDArray[Any], cover: float) -> None:
    if masks.min() < 0 or masks.max() > 1 + SLACK:
        raise RuleError("a trigger must replace at most all of a pixel: masks are from 0 to 1")
    share = masks.reshape(len(masks), -1).mean(1).max()
    if share > cover + SLACK:
        raise RuleError(f"a trigger must replace at most {cover:.0%} of a record, got {share:.0%}")


def _check_size(form: str, array: NDArray[Any], records: Data, cover: float) -> None:
    if form == "shifts":
        size = abs(array).reshape(len(array), -1).mean(1).max()
        if size > cover * (records.x.max() - records.x.min()) + SLACK:
            raise RuleError(
                f"a shift must have a mean size of at most {cover:.0%} of the records' range, "
                f"got {size:.3g}"
            )
    elif (farthest := abs(array).max()) > cover * records.x.shape[-2] + SLACK:
        raise RuleError(
            f"a warp must displace by at most {cover:.0%} of the height, got {farthest:.3g} pixels"
        )
