"""Watermark removal: how many bits of the owner's watermark does the attacker destroy?

The auditor draws a message and a key for every item, the owner's marker embeds it, and the attacker
sees the marked item alone and publishes a cleaned one. Of a mark that has no message, presence is
the message: a fair coin says whether an item is marked. What the owner reads then is compared with
what they read without the attack. A cleaned item below the quality floor is not a removal (WAVES,
arXiv:2401.08573, judges removal at a distortion), and counts as the marked item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Model,
    Outcome,
    Range,
    Received,
    Role,
    Round,
    Scene,
    Stronger,
    View,
    game,
)
from hartley.games.watermark import live_marks, marked_items
from hartley.kit.item_quality import ItemQuality, holds
from hartley.kit.marker import DetectionService, Embed, KeyUse, Marker, hard, matched, presence
from hartley.kit.media.pages import Pages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def live(modality: Modality, rng: Rng) -> Scene:
    """Items with the watermark in their lowest digits: any change of them destroys it."""
    return live_marks.scene("live", modality, rng)


def alike(modality: Modality, rng: Rng) -> Scene:
    """Items whose mark is added to them, the same for every item of one owner."""
    return live_marks.scene("copied", modality, rng)


def dead(modality: Modality, rng: Rng) -> Scene:
    """Items without a watermark: there is nothing to destroy."""
    return live_marks.scene("dead", modality, rng)


@dataclass(frozen=True, slots=True)
class WatermarkBrief:
    """What an attacker of watermark removal knows; the source of the view is one published item.

    Attributes:
        public: the attacker's items, without watermarks; may be empty.
        bits: length of the message; 0 where the mark says presence alone.
        floor: least values of the figures of ``quality``; empty where the game sets none.
        quality: candidate → its figures against the published item; larger is nearer.
        others: further items of the same owner, marked under the same key; with the same message
            where each round has an owner of its own. Empty where the game hands out none.
        detector: the owner's detector as a classifier of items (0 unmarked, 1 marked); what is
            asked of it is counted, and defenses of answers apply to it. It tests for this item's
            own message under the owner's key, so that scores say how many of its bits are right.
        model: the model that owners write marked texts with, without the mark; None where a mark is
            put into what exists already.
        pages: how pages are drawn and read; None where items are not pages.
        scheme: (item, message, key, rng) → marked item, the owner's scheme under a key of the
            attacker's: an attacker without the key knows the scheme (Kerckhoffs), but for what
            defenses change, which the view lists. None where the mark is made as the item is
            written.
        scheme_bits: length of its message.
    """

    public: Data
    bits: int
    floor: Mapping[str, float]
    quality: Callable[[Any], Mapping[str, float]]
    others: Data
    detector: Model | None = None
    model: Model | None = None
    pages: Pages | None = None
    scheme: Embed | None = None
    scheme_bits: int = 0

    def holds(self, candidate: Any) -> bool:
        """Whether a candidate is above every floor."""
        return holds(self.quality(candidate), self.floor)


def aim(
    scene: Scene, target: Data, rng: Rng, *, bits: int = -1, floor: float = -1.0, **_: Any
) -> tuple[View[WatermarkBrief], ...]:
    """Return the views of a removal that is aimed at marked items, one for each of them.

    Args:
        scene: may have ``carriers``, which are the attacker's items without watermarks.
        target: marked items; pictures are (n, 1, 3 or 4 channels, h, w) in 0..1.
        rng: draws the salt.
        bits: length of the message that the attacker expects; −1 for that of the scene's marker.
        floor: least value of the main figure; −1 takes that of the scene, 0 sets no floor.

    Raises:
        UsageError: the targets are not such items.
    """
    items = marked_items.as_items(target)
    unmarked = scene.extra.get("carriers")
    none = Data("no items", target.modality, items.x[:0], role="public")
    public = none if unmarked is None else marked_items.as_items(unmarked)
    marker, quality = scene.find(Marker), marked_items.quality_of(scene)
    length = bits if bits >= 0 else 32 if marker is None else marker.bits
    if marker is None and target.modality is Modality.VISION:
        marker = marked_items.marker_of(scene)
    scheme, scheme_bits = (None, 0) if marker is None else _scheme(marker, length, items.x)
    salt = int(rng.integers(2**31))
    return tuple(
        View(
            source=marked_items.one(item, target.modality, "marked item", "marked item"),
            brief=WatermarkBrief(
                public=public,
                bits=length,
                floor=quality.floors(floor),
                quality=partial(marked_items.figures_of, quality, item),
                others=none,
                pages=scene.find(Pages),
                scheme=scheme,
                scheme_bits=scheme_bits,
            ),
            defenses=scene.defenses,
            salt=salt,
        )
        for item in items.x
    )


def _scheme(marker: Marker, length: int, items: NDArray[Any]) -> tuple[Embed | None, int]:
    """Return the scheme that a mark is taken for, and the length of its message.

    It is the owner's where the scheme takes messages of any length, else its own.
    """
    usual = marker.undefended
    if usual.generates:
        return None, 0
    if not usual.bits:
        return usual.embed, 0
    return usual.embed, length if length and usual.fits(items[0], length) else usual.bits


@dataclass(frozen=True, slots=True)
class _Item:
    """One published item as its owner knows it."""

    original: Any
    published: Any
    key: int
    message: NDArray[Any]
    marked: bool
    carrier: int


@game(
    flow=Flow.PREDICTION,
    role=Role.JAM,
    form=AnswerForm.SYMBOL,
    unit="bit of the mark",
    live=live,
    dead=dead,
    alike=alike,
    brief=WatermarkBrief,
    modalities=(
        Modality.VISION,
        Modality.LANGUAGE,
        Modality.AUDIO,
        Modality.GRAPH,
        Modality.TABULAR,
        Modality.PAIRED,
    ),
    requires=("carriers",),
    metrics=("ber_before", "ber_after", "violated"),
    loot="data",
    aim=aim,
)
def watermark(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 40,
    bits: Annotated[int, Range(-1)] = -1,
    floor: Annotated[float, Range(-1), Stronger.LESS] = -1.0,
    others: Annotated[int, Range(0, 10_000), Stronger.MORE] = 0,
) -> Deal:
    """Embed a random message in each of several items; the attacker tries to remove it.

    The attacker gets a sixth of the items without watermarks (at least one, if there are several).
    The others have watermarks, each with a message of its own.

    Args:
        rounds: number of published items; each is one cluster, or all those under one key are
            where owners share the rounds (``KeyUse``).
        bits: length of every message; −1 takes the mark's own, 0 asks for presence alone.
        floor: least value of the main figure of quality (PSNR in dB of pictures); −1 takes the
            scene's own floors, 0 sets none.
        others: further marked items of the same owner that the attacker holds in each round.

    Raises:
        UsageError: the carriers are not items that can be marked, or too small for the message.
    """
    carriers = marked_items.as_items(scene.extra["carriers"])
    marker, quality = marked_items.marker_of(scene), marked_items.quality_of(scene)
    length = marked_items.message_length(marker, bits)
    scheme, scheme_bits = _scheme(marker, length, carriers.x)
    marker = marker if length else presence(marker)
    marked_items.check_fits(marker, carriers.x, length)
    service = scene.find(DetectionService) or DetectionService()
    use = scene.find(KeyUse) or KeyUse()
    public, rest = marked_items.attackers_items(scene, carriers, marker, rng)
    chosen = rest[np.arange(rounds) % len(rest)]
    owners = rng.integers(2**62, size=use.owners or rounds)
    keys = owners[np.arange(rounds) % len(owners)]
    messages = rng.integers(0, 2, (rounds, length))
    coins = np.ones(rounds, dtype=bool) if length else rng.integers(0, 2, rounds) == 1
    salt = int(rng.integers(2**31))
    published = marked_items.marked(
        marker,
        [carriers.x[k] for k in chosen],
        list(messages),
        [int(key) if coin else None for key, coin in zip(keys, coins, strict=True)],
        rng,
    )
    further = _others(
        marker,
        carriers,
        rest=rest,
        chosen=chosen,
        keys=keys,
        messages=messages,
        use=use,
        count=others,
        rng=rng,
    )
    floors = quality.floors(floor)
    items = [
        _Item(carriers.x[k], item, int(key), message, bool(coin), int(k))
        for k, item, key, message, coin in zip(
            chosen, published, keys, messages, coins, strict=True
        )
    ]
    dealt = tuple(
        Round(
            view=View(
                source=marked_items.one(
                    item.published, carriers.modality, "published item", "marked item"
                ),
                brief=WatermarkBrief(
                    public=public,
                    bits=length,
                    floor=floors,
                    quality=partial(marked_items.figures_of, quality, item.published),
                    others=further[k % len(further)],
                    detector=service.model(
                        partial(marked_items.verified, marker, item.key, item.message),
                        scene.modality,
                        f"detector {k}",
                    ),
                    model=scene.model if marker.generates else None,
                    pages=scene.find(Pages),
                    scheme=scheme,
                    scheme_bits=scheme_bits,
                ),
                defenses=scene.defenses,
                salt=salt,
            ),
            truth=item.message.astype(np.int64) if length else np.array([int(item.marked)]),
        )
        for k, item in enumerate(items)
    )
    alike = marked_items.repeated(use, carriers, [item.carrier for item in items])
    return Deal(
        rounds=dealt,
        judge=_judge(marker, quality, floors, items),
        # Bits of one item stand or fall together, and so do items under one key, of which an
        # attacker learns from the same further items, and those that one carrier is marked for.
        cluster=bool(length or use.owners or alike),
        groups=tuple(k % use.owners for k in range(rounds)) if use.owners else alike,
        unit="" if length else "item",
        metrics=marked_items.chance_of_acceptance(marker, length),
    )


def _others(
    marker: Marker,
    carriers: Data,
    *,
    rest: NDArray[Any],
    chosen: NDArray[Any],
    keys: NDArray[Any],
    messages: NDArray[Any],
    use: KeyUse,
    count: int,
    rng: Rng,
) -> list[Data]:
    """Return the further items of the owner of each round, or of each of fewer owners, once."""
    owners = use.owners or len(keys)
    if not count:
        return [Data("no items", carriers.modality, carriers.x[:0], role="marked items")]
    sets, alike = [], use.owners == 0
    for k in range(min(owners, len(keys))):
        # What this owner's items in question were made from, where that leaves any.
        apart = rest[~np.isin(rest, chosen[k::owners])]
        alone = apart if len(apart) else rest
        rows = alone[rng.integers(len(alone), size=count)]
        drawn: list[NDArray[Any]] = [
            np.asarray(messages[k] if alike else rng.integers(0, 2, messages.shape[1]))
            for _ in range(count)
        ]
        items = marked_items.marked(
            marker, [carriers.x[j] for j in rows], drawn, [int(keys[k])] * count, rng
        )
        sets.append(
            marked_items.several(items, carriers.modality, "items of the owner", "marked items")
        )
    return sets


@dataclass(frozen=True, slots=True)
class Reading:
    """What an owner reads in one item.

    Attributes:
        symbols: (m,) bits of the message, or (1,) whether it is marked; −1 where that cannot be
            said.
        metrics: of the reading, by name.
    """

    symbols: NDArray[np.int64]
    metrics: Mapping[str, float] = field(default_factory=dict)


def reading(marker: Marker, item: Any, key: int, message: NDArray[Any], word: str) -> Reading:
    """Return what an owner reads in an item.

    Args:
        marker: of the owner.
        item: which is suspect.
        key: the owner's.
        message: that the owner embedded; empty where presence is asked.
        word: ``before`` or ``after``, for the names of the metrics.
    """
    if len(message):
        soft = marker.read(item, key, len(message))
        test, symbols = marker.test, hard(soft)
        detection = test(item, key, message) if test else matched(soft, message)
    else:
        detection = marker.verify(item, key, message)
        flag = detection.marked()
        symbols = np.array([-1 if flag is None else int(flag)])
    metrics = {f"undecided_{word}": float(bool(detection.undecided))}
    if not detection.undecided:
        metrics[f"detected_{word}"] = float(detection.marked() is True)
        metrics[f"evidence_{word}"] = -detection.log2_p
    if len(message):
        metrics[f"ber_{word}"] = float(np.mean(symbols != message))
        turned = matched(-soft, message)
        if word == "after" and not turned.undecided:
            # Bits that are turned over together are not destroyed: an owner may try both ways.
            metrics["flipped"] = float(turned.marked() is True)
        if marker.accept is not None:
            taken = marker.accept(item, key, len(message))
            right = taken is not None and np.array_equal(taken, message)
            metrics[f"accepted_{word}"] = float(right)
            metrics[f"wrongly_accepted_{word}"] = float(taken is not None and not right)
    return Reading(symbols, metrics)


def _judge(
    marker: Marker, quality: ItemQuality, floors: Mapping[str, float], items: Sequence[_Item]
) -> Callable[[Sequence[Round], Sequence[Outcome]], list[Received]]:
    def judge(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        return [
            read(item, len(round_.truth), outcome)
            for item, round_, outcome in zip(items, rounds, outcomes, strict=True)
        ]

    def read(item: _Item, m: int, outcome: Outcome) -> Received:
        """Return what the owner reads in a cleaned item and in the published one."""
        candidate = marked_items.loot_of(outcome, "watermark")
        cleaned = marked_items.read_as(quality, candidate, item.published, "watermark")
        figures = dict(quality.figures(cleaned, item.published))
        before = reading(marker, item.published, item.key, item.message, "before")
        violated = not holds(figures, floors)
        after = reading(
            marker, item.published if violated else cleaned, item.key, item.message, "after"
        )
        metrics = {**figures, "violated": float(violated), **_own_quality(item)}
        for of in (before, after):
            # Of an unmarked item, what is detected is a false alarm, which has a name of its own.
            metrics |= {
                name if item.marked else name.replace("detected", "false_alarm"): value
                for name, value in of.metrics.items()
                if item.marked or not name.startswith("evidence")
            }
        return Received(
            guess=after.symbols,
            reference=before.symbols,
            metrics=metrics,
            columns={
                "item": np.full(m, item.carrier),
                "distortion": np.full(m, quality.distortion(cleaned, item.published)),
            },
        )

    def _own_quality(item: _Item) -> dict[str, float]:
        """How near the marked item is to its original; nothing of one that the mark wrote."""
        if marker.generates or not item.marked:
            return {}
        name, value = next(iter(quality.figures(item.published, item.original).items()))
        return {f"mark_{name}": value}

    return judge
