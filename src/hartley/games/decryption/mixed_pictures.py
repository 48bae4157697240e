"""Mixed pictures: what do mixtures with flipped signs say about the pictures they are made of?

An owner publishes encodings in place of private pictures, so that others can train a net on them
(InstaHide, arXiv:2010.02772). An encoding is a weighted sum of two private pictures and, where the
owner adds them, of public ones; a mask of random signs is drawn for it and used once. Each picture
is in many encodings, as many as a training has passes. The auditor draws which of several
candidates each private picture is. The attacker sees the encodings and no candidate, and rebuilds
the set of private pictures; a fixed matcher reads which candidate of each is most like any picture
of that set, so that a picture that is merely plausible reads nothing.
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
    Stronger,
    View,
    game,
)
from hartley.core.errors import RunError, UsageError
from hartley.games.decryption.albums import likeness
from hartley.kit.protection import Protection, one_time_pad

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

MOST = 0.65
"""Greatest weight of one picture in a mixture, as in arXiv:2010.02772."""

GREY = 127.5
"""Middle of 0..255, which is 0 in a mixture."""

CONTRAST = 20
"""Standard deviation of a crop's values from which it is used."""

NEAR = 0.95
"""Correlation with the true picture from which a rebuilt one counts as recovered."""


@dataclass(frozen=True, slots=True)
class MixedPictures:
    """Private pictures, and how often each of them is mixed with another one.

    Attributes:
        pool: (n, c, h, w) pictures in 0..255 that private ones and candidates are drawn from.
        public: pictures of the same law that everybody knows.
        pictures: private pictures of one release.
        candidates: of which each private picture is one.
        times: encodings that each private picture is in.
        mixed: public pictures in each encoding, besides its two private ones.
    """

    pool: NDArray[Any]
    public: Data
    pictures: int = 20
    candidates: int = 16
    times: int = 30
    mixed: int = 0

    def __post_init__(self) -> None:
        if self.pictures * self.times % 2 or self.pictures < 3:
            raise UsageError(
                "pictures must be at least 3, and pictures · times even, since an encoding has "
                f"two, got {self.pictures} and {self.times}"
            )
        if self.pictures * self.candidates > len(self.pool):
            raise UsageError(
                f"pictures · candidates must be at most the {len(self.pool)} of the pool, got "
                f"{self.pictures} · {self.candidates}"
            )


def live(modality: Modality, rng: Rng) -> Scene:
    """Twelve small pictures that are rough everywhere, each in 12 encodings."""
    return _scene("live", modality, rng)


def dead(modality: Modality, rng: Rng) -> Scene:
    """The same under a one-time pad besides."""
    return _scene("dead", modality, rng).with_part(one_time_pad(modality))


@dataclass(frozen=True, slots=True)
class MixedPicturesBrief:
    """What an attacker of mixed pictures knows; the source of the view are the encodings.

    Attributes:
        question: ``x`` (m,) the numbers of the private pictures, all of which are asked for.
        public: pictures of the same law, none of which is private.
        times: encodings that each private picture is in.
        most: greatest weight of one picture of an encoding.
        mixed: public pictures in each encoding, besides its two private ones.
    """

    question: Data
    public: Data
    times: int
    most: float
    mixed: int = 0


@game(
    cls="decryption",
    flow=Flow.INTERACTION,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="private picture",
    live=live,
    dead=dead,
    brief=MixedPicturesBrief,
    modalities=(Modality.VISION,),
    unfit={
        "language": "texts are not summed with weights",
        "audio": "the scheme is defined for pictures",
        "graph": "graphs are not summed with weights",
        "tabular": "the scheme is defined for pictures",
        "paired": "a caption is not summed with weights",
    },
    requires=("mixed_pictures",),
    metrics=("solved", "psnr", "ssim"),
    paper="arXiv:2010.02772",
)
def mixed_pictures(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 1000), Stronger.TRIALS] = 10,
) -> Deal:
    """Publish mixtures of private pictures; the attacker rebuilds the pictures.

    Args:
        rounds: releases, each with its own private pictures; each is one cluster.
    """
    given = scene.part(MixedPictures)
    protection = scene.find(Protection)
    dealt, planted = [], []
    for _ in range(rounds):
        count, candidates = given.pictures, given.candidates
        rows = rng.permutation(len(given.pool))[: count * candidates].reshape(count, candidates)
        which = rng.integers(0, candidates, count)
        private = given.pool[rows[np.arange(count), which]]
        encodings = mixtures(private, given.times, rng, given.public.x, given.mixed)
        if protection is not None:
            encodings = protection.protect(encodings, rng).x
        planted.append((private, given.pool[rows]))
        brief = MixedPicturesBrief(
            Data("private pictures", scene.modality, np.arange(count), role="positions"),
            given.public,
            given.times,
            MOST,
            given.mixed,
        )
        source = Data("encodings", scene.modality, np.asarray(encodings), role="ciphertext")
        view = View(source=source, brief=brief, defenses=scene.defenses)
        dealt.append(Round(view=view, truth=which, alphabet=candidates))
    return Deal(rounds=tuple(dealt), judge=_judge(planted))


def mixtures(
    private: NDArray[Any],
    times: int,
    rng: Rng,
    public: NDArray[Any] | None = None,
    mixed: int = 0,
) -> NDArray[np.int64]:
    """Return (n · times / 2, c, h, w) encodings in 0..255 of pictures (n, c, h, w).

    Pictures are paired anew until each is in ``times`` encodings. Weights sum to 1: of two
    pictures they are uniform between 1 − ``MOST`` and ``MOST``; of more, uniform values that are
    divided by their sum, drawn anew until none is above ``MOST``. A flipped sign takes a value v to
    255 − v.

    Args:
        private: pictures in 0..255.
        times: encodings that each is in.
        rng: draws pairs, public pictures, weights and signs.
        public: (m, c, h, w) pictures in 0..255 that are mixed in.
        mixed: how many of them each encoding has.
    """
    slots = paired(len(private), times, rng)
    return encoded(private, slots, rng, public, mixed)


def paired(count: int, times: int, rng: Rng) -> NDArray[np.int64]:
    """Return (count · times / 2, 2) the two private pictures of each encoding."""
    slots = np.concatenate([rng.permutation(count) for _ in range(times)]).reshape(-1, 2)
    while (same := np.flatnonzero(slots[:, 0] == slots[:, 1])).size:
        # Exchange second pictures, so that each stays in as many encodings.
        other = rng.integers(0, len(slots), len(same))
        for a, b in zip(same, other, strict=True):
            slots[[a, b], 1] = slots[[b, a], 1]
    return slots


def encoded(
    private: NDArray[Any],
    slots: NDArray[Any],
    rng: Rng,
    public: NDArray[Any] | None,
    mixed: int,
) -> NDArray[np.int64]:
    """Return the encodings of ``mixtures``, of the pictures (n, 2) that ``slots`` names."""
    weight = weights(len(slots), 2 + mixed, rng)[..., None, None, None]
    centred = private.astype(np.float64) - GREY
    sum_ = weight[:, 0] * centred[slots[:, 0]] + weight[:, 1] * centred[slots[:, 1]]
    if public is not None:
        for k in range(mixed):
            chosen = np.asarray(public)[rng.integers(0, len(public), len(slots))]
            sum_ += weight[:, 2 + k] * (chosen - GREY)
    signs = rng.choice([-1.0, 1.0], sum_.shape)
    return np.asarray(np.clip(np.rint(signs * sum_ + GREY), 0, 255), dtype=np.int64)


def weights(count: int, pictures: int, rng: Rng) -> NDArray[np.float64]:
    """Return (count, pictures) weights of the pictures of encodings, by the law of ``mixtures``."""
    if pictures == 2:
        first = rng.uniform(1 - MOST, MOST, count)
        return np.stack([first, 1 - first], axis=1)
    drawn = np.ones((count, pictures))
    while (far := drawn.max(1) > MOST).any():
        drawn[far] = rng.random((int(far.sum()), pictures))
        drawn[far] /= drawn[far].sum(1, keepdims=True)
    return drawn


def matched(rebuilt: NDArray[Any], candidates: NDArray[Any]) -> NDArray[np.int64]:
    """Return (m,) the candidate of each private picture that any rebuilt picture is most like.

    Edges are compared: smooth pictures are all alike.

    Args:
        rebuilt: (r, c, h, w), in any order; a negative shows a picture as well as a positive.
        candidates: (m, N, c, h, w).
    """
    flat = _standard(_edges(candidates.reshape(-1, *candidates.shape[2:])))
    like = np.abs(_standard(_edges(rebuilt)) @ flat.T).max(0)
    return np.asarray(like.reshape(candidates.shape[:2]).argmax(1), dtype=np.int64)


def _standard(pictures: NDArray[Any]) -> NDArray[np.float64]:
    flat = np.asarray(pictures, dtype=np.float64).reshape(len(pictures), -1)
    flat = flat - flat.mean(1, keepdims=True)
    return np.asarray(flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9))


def _edges(pictures: NDArray[Any]) -> NDArray[np.float64]:
    values = np.asarray(pictures, dtype=np.float64)
    across, down = np.diff(values, axis=3), np.diff(values, axis=2)
    both = [side.reshape(len(values), -1) for side in (across, down)]
    return np.asarray(np.concatenate(both, axis=1))


def _judge(
    planted: Sequence[tuple[NDArray[Any], NDArray[Any]]],
) -> Callable[[Sequence[Round], Sequence[Outcome]], list[Received]]:
    from scipy.optimize import linear_sum_assignment

    def judge(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        del rounds
        return [read(*one, out) for one, out in zip(planted, outcomes, strict=True)]

    def read(private: NDArray[Any], candidates: NDArray[Any], outcome: Outcome) -> Received:
        if not isinstance(outcome.asset, Data):
            raise RunError("mixed_pictures: an attack must return the pictures as Data")
        rebuilt = np.asarray(outcome.asset.x)
        if rebuilt.shape != private.shape:
            raise RunError(
                f"mixed_pictures: the loot must have the shape {private.shape}, one picture for "
                f"each private one in any order, got {rebuilt.shape}"
            )
        like = np.abs(_standard(private) @ _standard(rebuilt).T)
        rows, columns = linear_sum_assignment(-like)
        metrics = likeness(private[rows], rebuilt[columns])
        metrics["solved"] = float((like[rows, columns] >= NEAR).mean())
        return Received.of(outcome, matched(rebuilt, candidates), metrics=metrics)

    return judge


def of_photographs(
    side: int = 32, pictures: int = 20, candidates: int = 16, times: int = 30, mixed: int = 0
) -> MixedPictures:
    """Return crops of the photographs that ship with Hartley's libraries, at half their size.

    Crops overlap by half; those with little contrast are left out. Public pictures are of other
    photographs than private ones.

    Args:
        side: height and width of a picture, at most 128.
        pictures: private pictures of one release.
        candidates: of which each is one.
        times: encodings that each is in.
    """
    from hartley.data.photos import carriers

    photos = carriers(48)
    count, channels, height, width = photos.x.shape
    small = photos.x.reshape(count, channels, height // 2, 2, width // 2, 2).mean((3, 5))
    places = range(0, height // 2 - side + 1, side // 2)
    crops = [small[:, :, y : y + side, x : x + side] for y in places for x in places]
    cut = np.round(np.stack(crops, axis=1) * 255).astype(np.uint8)
    odd = np.asarray(photos.y) % 2 == 1

    def clear(some: NDArray[Any]) -> NDArray[Any]:
        flat = some.reshape(-1, channels, side, side)
        return np.asarray(flat[flat.reshape(len(flat), -1).std(1) > CONTRAST])

    public = Data("crops", Modality.VISION, clear(cut[odd]), role="public")
    return MixedPictures(clear(cut[~odd]), public, pictures, candidates, times, mixed)


def _scene(name: str, modality: Modality, rng: Rng) -> Scene:
    """Return small pictures of waves, which have edges everywhere."""
    y, x = np.mgrid[0:16, 0:16]

    def drawn(count: int) -> NDArray[np.uint8]:
        ways = rng.normal(0, 0.8, (count, 6, 2, 1, 1))
        starts = rng.uniform(0, 2 * np.pi, (count, 6, 1, 1))
        waves = np.sin(ways[:, :, 0] * x + ways[:, :, 1] * y + starts).sum(1)[:, None]
        tint = rng.uniform(0.6, 1, (count, 3, 1, 1))
        return np.asarray(np.clip(GREY + 34 * tint * waves, 0, 255), dtype=np.uint8)

    public = Data("waves", modality, drawn(40), role="public")
    given = MixedPictures(drawn(96), public, pictures=12, candidates=8, times=12)
    return Scene(name=name, modality=modality, parts=(given,))
