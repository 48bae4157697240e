"""Watermark removal: how many bits of the owner's mark does the attacker destroy?

A jam: the auditor draws a message for every picture, the owner's marker embeds it, the attacker
sees the marked picture alone and publishes a cleaned one. What the owner reads afterwards stands
against what he reads without the attack. A cleaned picture below the quality floor is no removal
(WAVES, arXiv:2401.08573, judges removal at a distortion): what is read then is the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Outcome,
    Range,
    Received,
    Role,
    Round,
    Scene,
    View,
    game,
)
from hartley.core.errors import RunError
from hartley.kit.vision import image, marks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def live(modality: Modality, rng: Rng) -> Scene:
    """Pictures whose mark stands in the lowest bits: whatever changes a pixel destroys it."""
    return _wire("live", modality, rng, marks.lowest_bit())


def dead(modality: Modality, rng: Rng) -> Scene:
    """Pictures without a mark: there is nothing to destroy."""
    return _wire("dead", modality, rng, marks.unmarked())


@dataclass(frozen=True, slots=True)
class WatermarkBrief:
    """What an attacker of watermark removal knows.

    Attributes:
        public: photographs of the attacker's own, unmarked; there may be none of them.
        quality_floor: least PSNR of a removal, in dB against the marked picture; 0 sets none.
        bits: length of the message.
    """

    public: Data
    quality_floor: float
    bits: int


@game(
    flow=Flow.PREDICTION,
    role=Role.JAM,
    form=AnswerForm.SYMBOL,
    unit="bit of the mark",
    live=live,
    dead=dead,
    brief=WatermarkBrief,
    modalities=(Modality.VISION,),
    requires=("carriers",),
    metrics=("ber_before", "ber_after", "psnr", "ssim", "mark_psnr", "violated"),
    loot="data",
)
def watermark(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000)] = 40,
    bits: Annotated[int, Range(1)] = 32,
    floor: Annotated[float, Range(0)] = 34.0,
) -> Deal:
    """Deal a uniform message and a key for each of several marked photographs.

    A sixth of the carriers (at least one, when there are several) goes to the attacker unmarked,
    as its own photographs; the others carry marks, each with a fresh message and key.

    Args:
        rounds: marked pictures; each is one cluster.
        bits: length of every message.
        floor: quality floor of a removal, PSNR in dB against the marked picture; 0 sets none.
    """
    photos = scene.extra["carriers"]
    marker = scene.find(marks.Marker) or marks.dwt_dct()
    order = rng.permutation(len(photos))
    held = max(1, len(photos) // 6) if len(photos) > 1 else 0
    public = Data("own photographs", photos.modality, photos.x[order[:held]], role="public")
    chosen = order[held:][np.arange(rounds) % (len(photos) - held)]
    keys = rng.integers(2**62, size=rounds)
    messages = rng.integers(0, 2, (rounds, bits))
    salt = int(rng.integers(2**31))
    originals = photos.x[chosen]
    marked = [
        marker.embed(one, message, int(key))
        for one, message, key in zip(originals, messages, keys, strict=True)
    ]
    dealt = tuple(
        Round(
            view=View(
                source=Data("marked picture", photos.modality, one[None], role="marked image"),
                brief=WatermarkBrief(public, quality_floor=floor, bits=bits),
                defenses=scene.defenses,
                salt=salt,
            ),
            truth=message.astype(np.int64),
        )
        for one, message in zip(marked, messages, strict=True)
    )
    return Deal(rounds=dealt, judge=_judge(marker, keys, originals, chosen, floor))


def _judge(
    marker: marks.Marker,
    keys: NDArray[Any],
    originals: NDArray[Any],
    chosen: NDArray[Any],
    floor: float,
) -> Callable[[Sequence[Round], Sequence[Outcome]], list[Received]]:
    def judge(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        return [
            read(int(key), original, int(photo), one, out)
            for key, original, photo, one, out in zip(
                keys, originals, chosen, rounds, outcomes, strict=True
            )
        ]

    def read(
        key: int, original: NDArray[Any], photo: int, one: Round, outcome: Outcome
    ) -> Received:
        """What the owner reads in one cleaned picture, and in the marked one."""
        marked, m = one.view.data.x[0], len(one.truth)
        cleaned = _cleaned(outcome, marked.shape)
        quality = image.psnr(cleaned, marked)
        before = marker.decode(marked, key, m)
        violated = quality < floor
        after = before if violated else marker.decode(cleaned, key, m)
        return Received(
            guess=after,
            reference=before,
            metrics={
                "ber_before": float(np.mean(before != one.truth)),
                "ber_after": float(np.mean(after != one.truth)),
                "psnr": quality,
                "ssim": image.ssim(cleaned, marked),
                "mark_psnr": image.psnr(marked, original),
                "violated": float(violated),
            },
            columns={
                "item": np.full(m, photo),
                "distortion": np.full(m, float(np.mean((cleaned - marked) ** 2))),
            },
        )

    return judge


def _cleaned(outcome: Outcome, shape: tuple[int, ...]) -> NDArray[Any]:
    """The attacker's picture as a file would hold it.

    Raises:
        RunError: it is no picture of that shape, or holds NaN or infinity.
    """
    if not isinstance(outcome.asset, Data):
        raise RunError("watermark: the loot is the cleaned picture, as Data")
    x = np.asarray(outcome.asset.x)
    if x.shape != (1, *shape):
        raise RunError(f"watermark: the loot has shape {x.shape}; {(1, *shape)} is due")
    if not np.isfinite(x).all():
        raise RunError("watermark: the loot holds NaN or infinity")
    return image.eight_bits(x[0])


def _wire(name: str, modality: Modality, rng: Rng, marker: marks.Marker) -> Scene:
    """Cloudy grey pictures with a tint, smoother than photographs, so that every attack bites."""
    n, side = 24, 64
    rows = np.fft.fftfreq(side)[:, None]
    fall = np.maximum(np.hypot(rows, np.fft.rfftfreq(side)), 1 / side) ** -2
    waves = rng.standard_normal((n, side, side // 2 + 1, 2)) @ np.array([1, 1j])
    clouds = np.fft.irfft2(waves * fall, s=(side, side))
    clouds /= clouds.std((1, 2), keepdims=True)
    tint = rng.uniform(0.4, 0.6, (n, 3, 1, 1))
    x = np.clip(tint + 0.12 * clouds[:, None], 0, 1).astype(np.float32)
    carriers = Data("clouds", modality, x, role="carriers")
    return Scene(
        name=name,
        modality=modality,
        extra={"carriers": carriers},
        parts=(marker,),
    )
