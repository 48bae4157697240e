"""Watermark removal: how many bits of the owner's watermark does the attacker destroy?

The auditor draws a message for every picture, the owner's marker embeds it, and the attacker sees
the marked picture alone and publishes a cleaned one. The message that the owner decodes then is
compared with what the owner decodes without the attack. A cleaned picture below the quality floor
is not a removal (WAVES, arXiv:2401.08573, judges removal at a distortion), and counts as the
marked picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
    Stronger,
    View,
    game,
)
from hartley.core.errors import RunError, UsageError
from hartley.kit.vision import image, marks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def live(modality: Modality, rng: Rng) -> Scene:
    """Pictures with the watermark in the lowest bits: any change of a pixel destroys it."""
    return _scene("live", modality, rng, marks.lowest_bit())


def dead(modality: Modality, rng: Rng) -> Scene:
    """Pictures without a watermark: there is nothing to destroy."""
    return _scene("dead", modality, rng, marks.unmarked())


@dataclass(frozen=True, slots=True)
class WatermarkBrief:
    """What an attacker of watermark removal knows.

    Attributes:
        public: the attacker's photographs, without watermarks; may be empty.
        quality_floor: least PSNR of a removal, in dB against the marked picture; 0 sets no floor.
        bits: length of the message.
    """

    public: Data
    quality_floor: float
    bits: int


def aim(
    scene: Scene, target: Data, rng: Rng, *, bits: int = 32, floor: float = 34.0, **_: Any
) -> tuple[View[WatermarkBrief], ...]:
    """Return the views of a removal that is aimed at pictures, one for each of them.

    Args:
        scene: may have ``carriers``, which are the attacker's photographs without watermarks.
        target: marked pictures (n, 1, 3 or 4 channels, h, w) in 0..1.
        rng: draws the salt.
        bits: length of the message that the attacker expects.
        floor: least PSNR of a removal, in dB against the marked picture.

    Raises:
        UsageError: the targets are not such pictures.
    """
    pictures = _in_colour(target)
    photos = scene.extra.get("carriers")
    none = Data("no photographs", target.modality, pictures.x[:0], role="public")
    brief = WatermarkBrief(
        public=none if photos is None else replace(_in_colour(photos), role="public"),
        quality_floor=floor,
        bits=bits,
    )
    salt = int(rng.integers(2**31))
    return tuple(
        View(
            source=Data("marked picture", target.modality, picture[None], role="marked image"),
            brief=brief,
            defenses=scene.defenses,
            salt=salt,
        )
        for picture in pictures.x
    )


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
    aim=aim,
)
def watermark(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 40,
    bits: Annotated[int, Range(1)] = 32,
    floor: Annotated[float, Range(0), Stronger.LESS] = 34.0,
) -> Deal:
    """Embed a random message in each of several photographs; the attacker tries to remove it.

    The attacker gets a sixth of the photographs without watermarks (at least one, if there are
    several). The others have watermarks, each with its own message and key.

    Args:
        rounds: number of marked pictures; each is one cluster.
        bits: length of every message.
        floor: least PSNR of a removal, in dB against the marked picture; 0 sets no floor.

    Raises:
        UsageError: the carriers are not pictures with pixels in 0..1, or too small for the message.
    """
    photos = _in_colour(scene.extra["carriers"])
    marker = scene.find(marks.Marker) or marks.dwt_dct()
    shape = photos.x.shape[1:]
    if not marker.fits(shape, bits):
        raise UsageError(
            f"bits must be at most what {marker.name} hides in a picture of shape {shape}, got "
            f"{bits}; take larger pictures or fewer bits"
        )
    order = rng.permutation(len(photos))
    public_count = max(1, len(photos) // 6) if len(photos) > 1 else 0
    public = Data("own photographs", photos.modality, photos.x[order[:public_count]], role="public")
    carriers = order[public_count:][np.arange(rounds) % (len(photos) - public_count)]
    keys = rng.integers(2**62, size=rounds)
    messages = rng.integers(0, 2, (rounds, bits))
    salt = int(rng.integers(2**31))
    originals = photos.x[carriers]
    marked = [
        marker.embed(picture, message, int(key))
        for picture, message, key in zip(originals, messages, keys, strict=True)
    ]
    dealt = tuple(
        Round(
            view=View(
                source=Data("marked picture", photos.modality, picture[None], role="marked image"),
                brief=WatermarkBrief(public, quality_floor=floor, bits=bits),
                defenses=scene.defenses,
                salt=salt,
            ),
            truth=message.astype(np.int64),
        )
        for picture, message in zip(marked, messages, strict=True)
    )
    return Deal(rounds=dealt, judge=_judge(marker, keys, originals, carriers, floor))


def _in_colour(photos: Data) -> Data:
    """Return pictures as (n, 3, h, w) float32 in 0..1, as marks need them.

    Bytes are divided by 255; a grey picture has its plane three times; transparency is dropped.

    Raises:
        UsageError: they are not such pictures.
    """
    where, x = f"the pictures {photos.name!r}", np.asarray(photos.x)
    if x.ndim != 4 or x.dtype.kind not in "biuf" or x.shape[1] not in (1, 3, 4) or not len(x):
        raise UsageError(
            f"{where} must be of shape (n, 1, 3 or 4 channels, h, w), got {x.shape} of {x.dtype}"
        )
    if x.dtype == np.uint8 and x.max() > 1:
        x = x.astype(np.float32) / np.float32(255)
    if not np.isfinite(x).all() or x.min() < 0 or x.max() > 1:
        raise UsageError(
            f"{where} must have pixels in 0..1, got {x.min():g}..{x.max():g}; divide them by 255"
        )
    if x.shape[1] != 3 or x.dtype.kind != "f":
        x = x[:, :3] if x.shape[1] == 4 else np.broadcast_to(x, (len(x), 3, *x.shape[2:]))
        x = np.ascontiguousarray(x, np.float32)
    return replace(photos, x=x)


def _judge(
    marker: marks.Marker,
    keys: NDArray[Any],
    originals: NDArray[Any],
    carriers: NDArray[Any],
    floor: float,
) -> Callable[[Sequence[Round], Sequence[Outcome]], list[Received]]:
    def judge(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        return [
            read(int(key), original, int(photo), round_, out)
            for key, original, photo, round_, out in zip(
                keys, originals, carriers, rounds, outcomes, strict=True
            )
        ]

    def read(
        key: int, original: NDArray[Any], photo: int, round_: Round, outcome: Outcome
    ) -> Received:
        """Return what the owner decodes from a cleaned picture and from the marked one."""
        marked, m = round_.view.data.x[0], len(round_.truth)
        cleaned = _cleaned(outcome, marked.shape)
        quality = image.psnr(cleaned, marked)
        before = marker.decode(marked, key, m)
        violated = quality < floor
        after = before if violated else marker.decode(cleaned, key, m)
        return Received(
            guess=after,
            reference=before,
            metrics={
                "ber_before": float(np.mean(before != round_.truth)),
                "ber_after": float(np.mean(after != round_.truth)),
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
    """Return the attacker's picture, rounded to 8 bits as in a file.

    Raises:
        RunError: it does not have the shape, or has NaN or infinity.
    """
    if not isinstance(outcome.asset, Data):
        raise RunError("watermark: the loot must be the cleaned picture, as Data")
    x = np.asarray(outcome.asset.x)
    if x.shape != (1, *shape):
        raise RunError(f"watermark: the loot must be of shape {(1, *shape)}, got {x.shape}")
    if not np.isfinite(x).all():
        raise RunError("watermark: the loot must be finite, got NaN or infinity")
    return image.eight_bits(x[0])


def _scene(name: str, modality: Modality, rng: Rng, marker: marks.Marker) -> Scene:
    """Return a scene of tinted clouds, smoother than photographs, on which every attack works."""
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
