"""Forgery of a watermark: whom does an item falsely attribute that the owner never marked?

The auditor draws a victim's identity and marks the victim's items with it. The attacker holds some
of these and an item of their own, and hands in one that should read as the victim's. What the
victim's detector then attributes is the channel: the identity's bits that it reads, or, of a mark
that says presence alone, which of two owners it names. A forged item below the quality floor,
against the attacker's own item, counts as that item, and so does an item of the victim that is
handed in as it is: nobody forged it. An untouched item attributes nothing
(the copy attack, doi:10.1117/12.384991; watermark stealing, arXiv:2402.19361).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from hartley.core.errors import UsageError
from hartley.games.watermark import live_marks, marked_items
from hartley.kit.item_quality import ItemQuality, holds
from hartley.kit.marker import DetectionService, KeyUse, Marker, hard, matched, presence
from hartley.kit.media.pages import Pages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

NOBODY = -1


def live(modality: Modality, rng: Rng) -> Scene:
    """Items whose mark is added to them, the same for every item of one owner."""
    return live_marks.scene("copied", modality, rng)


def dead(modality: Modality, rng: Rng) -> Scene:
    """Items of the victim that carry no watermark: there is nothing to copy."""
    return live_marks.scene("dead", modality, rng)


@dataclass(frozen=True, slots=True)
class ForgeryBrief:
    """What a forger knows; the source of the view is one unmarked item of their own.

    Attributes:
        public: further items of their own, without watermarks; may be empty.
        bits: length of the identity; 0 where the mark says presence alone.
        floor: least values of the figures of ``quality``.
        quality: candidate → its figures against the attacker's own item; larger is nearer. Some
            say how much of it the victim did not write.
        others: items of the victim, marked under one key with one identity.
        detector: the victim's detector as a classifier of items (0 unmarked, 1 marked); what is
            asked of it is counted, and defenses of answers apply to it. It tests for the identity
            under the victim's key, so that scores say how many of its bits are right.
        model: the model that owners write marked texts with, without the mark; None where a mark is
            put into what exists already.
        pages: how pages are drawn and read; None where items are not pages.
    """

    public: Data
    bits: int
    floor: Mapping[str, float]
    quality: Callable[[Any], Mapping[str, float]]
    others: Data
    detector: Model | None = None
    model: Model | None = None
    pages: Pages | None = None

    def holds(self, candidate: Any) -> bool:
        """Whether a candidate is above every floor."""
        return holds(self.quality(candidate), self.floor)


@dataclass(frozen=True, slots=True)
class _Victim:
    """One victim, their items, and the attacker's own item with its quality figures."""

    key: int
    message: NDArray[Any]
    others: list[Any]
    carrier: int
    unmarked: Any
    figures: Callable[[Any], Mapping[str, float]]


def _figures(
    quality: ItemQuality, unmarked: Any, others: Sequence[Any]
) -> Callable[[Any], Mapping[str, float]]:
    """Return what says the figures of a candidate against the attacker's own item."""
    if quality.beside is None:
        return partial(marked_items.figures_of, quality, unmarked)
    beside = quality.beside(unmarked, others)

    def figures(candidate: Any) -> Mapping[str, float]:
        item = quality.read(candidate, unmarked)
        return {**quality.figures(item, unmarked), **beside(item)}

    return figures


@game(
    cls="watermark",
    flow=Flow.PREDICTION,
    role=Role.INJECT,
    form=AnswerForm.SYMBOL,
    unit="bit of the identity",
    live=live,
    dead=dead,
    brief=ForgeryBrief,
    modalities=(
        Modality.VISION,
        Modality.LANGUAGE,
        Modality.AUDIO,
        Modality.GRAPH,
        Modality.TABULAR,
        Modality.PAIRED,
    ),
    requires=("carriers",),
    metrics=("attributed", "evidence", "mark_reads", "violated"),
    loot="data",
    paper="doi:10.1117/12.384991",
)
def forgery(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 40,
    bits: Annotated[int, Range(-1)] = -1,
    floor: Annotated[float, Range(-1), Stronger.LESS] = -1.0,
    others: Annotated[int, Range(1, 10_000), Stronger.MORE] = 16,
) -> Deal:
    """Mark items of a victim with their identity; the attacker hands in one that names them.

    Args:
        rounds: victims, each with an identity and a key of their own; each is one cluster.
        bits: length of every identity; −1 takes the mark's own, 0 asks which of two owners is
            named.
        floor: least value of the main figure of quality (PSNR in dB of pictures); −1 takes the
            scene's own floors. It cannot be 0: any item of the victim would be a forgery.
        others: marked items of the victim that the attacker holds.

    Raises:
        UsageError: the carriers are not items that can be marked, too few, or too small for the
            message; there is no floor.
    """
    if floor == 0:
        raise UsageError(
            "floor must be above 0, or -1 for the scene's own, in forgery, got 0: without a floor "
            "an item of the victim, handed in as it is, would be a forgery"
        )
    carriers = marked_items.as_items(scene.extra["carriers"])
    marker, quality = marked_items.marker_of(scene), marked_items.quality_of(scene)
    length = marked_items.message_length(marker, bits)
    marker = marker if length else presence(marker)
    marked_items.check_fits(marker, carriers.x, length)
    service = scene.find(DetectionService) or DetectionService()
    public, rest = marked_items.attackers_items(scene, carriers, marker, rng)
    if len(rest) < 2:
        brought = scene.extra.get("unmarked") is not None
        least = "two, both" if brought else "three, one of the attacker and two"
        raise UsageError(
            f"{scene.name}: carriers must be at least {least} of the victim, got {len(carriers)}"
        )
    floors = quality.floors(floor, forging=True)
    truths = rng.integers(0, 2, (rounds, max(1, length)))
    salt = int(rng.integers(2**31))
    dealt, victims = [], []
    for k in range(rounds):
        at = int(rest[k % len(rest)])
        remaining = rest[rest != at]
        unmarked = marked_items.marked(
            marker, [carriers.x[at]], [np.zeros(0, np.int64)], [None], rng
        )[0]
        message = truths[k] if length else np.zeros(0, np.int64)
        key = int(rng.integers(2**62))
        items = marked_items.marked(
            marker,
            [carriers.x[j] for j in remaining[rng.integers(len(remaining), size=others)]],
            [message] * others,
            [key] * others,
            rng,
        )
        figures = _figures(quality, unmarked, items)
        victim = _Victim(key, message, items, at, unmarked, figures)
        victims.append(victim)
        detector = service.model(
            partial(marked_items.verified, marker, key, message), scene.modality, f"detector {k}"
        )
        view = View(
            source=marked_items.one(unmarked, carriers.modality, "own item", "own item"),
            brief=ForgeryBrief(
                public=public,
                bits=length,
                floor=floors,
                quality=victim.figures,
                others=marked_items.several(
                    items, carriers.modality, "items of the victim", "marked items"
                ),
                detector=detector,
                model=scene.model if marker.generates else None,
                pages=scene.find(Pages),
            ),
            defenses=scene.defenses,
            salt=salt,
        )
        dealt.append(Round(view=view, truth=truths[k].astype(np.int64)))
    strangers = rng.integers(2**62, size=rounds)
    return Deal(
        rounds=tuple(dealt),
        judge=_judge(marker, quality, floors, victims, strangers),
        groups=marked_items.repeated(
            scene.find(KeyUse), carriers, [victim.carrier for victim in victims]
        ),
        unit="" if length else "owner of two",
        metrics=marked_items.chance_of_acceptance(marker, length),
    )


def _judge(
    marker: Marker,
    quality: ItemQuality,
    floors: Mapping[str, float],
    victims: Sequence[_Victim],
    strangers: NDArray[Any],
) -> Callable[[Sequence[Round], Sequence[Outcome]], list[Received]]:
    def judge(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        return [
            read(victim, int(stranger), round_.truth, outcome)
            for victim, stranger, round_, outcome in zip(
                victims, strangers, rounds, outcomes, strict=True
            )
        ]

    def read(victim: _Victim, stranger: int, truth: NDArray[Any], outcome: Outcome) -> Received:
        """Return what the victim's reader attributes to a forged item."""
        candidate = marked_items.loot_of(outcome, "forgery")
        item = marked_items.read_as(quality, candidate, victim.unmarked, "forgery")
        figures = dict(victim.figures(item))
        violated = not holds(figures, floors)
        replayed = any(np.array_equal(item, one) for one in victim.others)
        item = victim.unmarked if violated or replayed else item
        m = len(victim.message)
        marked = victim.others[0]
        if m:
            soft = marker.read(item, victim.key, m)
            test, guess = marker.test, hard(soft)
            detection = (
                test(item, victim.key, victim.message) if test else matched(soft, victim.message)
            )
            reads = np.mean(marker.decode(marked, victim.key, m) == victim.message)
        else:
            detection = marker.verify(item, victim.key, victim.message)
            # The other of the two owners marked nothing that the attacker holds.
            named = [detection.marked() is True, marker.verify(item, stranger, truth[:0]).marked()]
            one = not detection.undecided and bool(named[0]) != bool(named[1])
            owner = int(truth[0]) if named[0] else 1 - int(truth[0])
            guess = np.array([owner if one else NOBODY])
            reads = float(marker.verify(marked, victim.key, truth[:0]).marked() is True)
        metrics = {
            **figures,
            "violated": float(violated),
            "replayed": float(replayed),
            "mark_reads": float(reads),
            "undecided": float(bool(detection.undecided)),
        }
        if not detection.undecided:
            metrics["attributed"] = float(detection.marked() is True)
            metrics["evidence"] = -detection.log2_p
        if m and marker.accept is not None:
            taken = marker.accept(item, victim.key, m)
            right = taken is not None and np.array_equal(taken, victim.message)
            metrics["accepted"] = float(right)
        return Received(
            guess=guess,
            metrics=metrics,
            columns={
                "item": np.full(len(truth), victim.carrier),
                "distortion": np.full(len(truth), quality.distortion(item, victim.unmarked)),
            },
        )

    return judge
