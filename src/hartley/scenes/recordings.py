"""Recordings: spoken letters and syllables in twenty languages that an owner marks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

import hartley
from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.core.errors import UsageError
from hartley.data import audio
from hartley.games.watermark.marked_items import marked
from hartley.kit import item_quality
from hartley.kit.cache import digest
from hartley.kit.interval_values import Figure, mean_figure, share_figure
from hartley.kit.marker import DetectionService, Marker
from hartley.kit.sound import marks
from hartley.models.voice_recogniser import by_voice, voice_recogniser
from hartley.scenes import _assemble_vision

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNMARKED = 60
"""Recordings of the attacker, without marks."""

TAUGHT = 207
"""Recordings that nobody marks which the recogniser of voices learns from, at most."""

RANKED, SHORT = 999, 1.5
"""Unmarked recordings that Perth's scores are ranked among; seconds at which they are enough."""


@recipe(modality=Modality.AUDIO, packs=("klettres",), extras=("torch",))
def recordings(
    *,
    mark: Literal["spread", "echo", "perth"] = "spread",
    seconds: Annotated[float, Range(1, 60)] = 5.0,
    records: Annotated[int, Range(3)] = 120,
    floor: Annotated[float, Range(0), Stronger.LESS] = 5.0,
    voice: Annotated[float, Range(0, 1), Stronger.LESS] = 0.4,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Speech that carries a watermark: spread over tiles, in echoes, or Perth's.

    Perth has no message, and its scores are ranked among 999 unmarked recordings: these are of 1.5
    seconds, whatever ``seconds`` says. Its pack must be fetched.

    Args:
        mark: the owner's mark.
        seconds: length of a recording.
        records: recordings of the owner; the attacker has 60 more without marks.
        floor: least log-spectral signal-to-noise ratio of a removal, in dB.
        voice: least agreement of a recogniser of voices about a recording before and after; 0 sets
            none.
        seed: of the split.

    Raises:
        UsageError: there are fewer recordings of that length.
        MissingExtra: torch is not installed.
    """
    neural = mark == "perth"
    clips = audio.recordings(SHORT if neural else seconds)
    sizes = {"unmarked": UNMARKED, "ranked": RANKED if neural else 0}
    most = len(clips) - sum(sizes.values())
    owned = min(records, most) if neural else records
    if owned > most:
        raise UsageError(
            f"records must be at most {most} of {seconds:g} seconds, got {records}; take shorter "
            "recordings"
        )
    sizes |= {"carriers": owned, "rest": most - owned}
    parts = _assemble_vision.deal(clips, sizes, seed)
    marker = _marker(mark, parts["ranked"].x)
    others = [parts[name] for name in ("unmarked", "ranked" if neural else "rest")]
    clean = _assemble_vision.together(*others)
    clean = replace(clean, x=clean.x[:TAUGHT], y=clean.labels[:TAUGHT])
    recogniser = cache(lambda: voice_recogniser(clean))

    def voices(records: NDArray[Any]) -> NDArray[Any]:
        # Not trained before someone asks.
        return recogniser()(records)

    return Scene(
        name="recordings",
        modality=Modality.AUDIO,
        digest=digest(
            {
                "version": hartley.__version__,
                "parts": {name: [data.x, data.y] for name, data in parts.items()},
                "mark": [mark, floor, voice],
            }
        ),
        extra={"carriers": parts["carriers"], "unmarked": parts["unmarked"]},
        parts=(marker, by_voice(item_quality.sounds(floor), voices, voice), DetectionService()),
        utility=partial(utility, seed=seed),
        facts={"mark": marker.name, "seconds": SHORT if neural else seconds, "carriers": owned},
    )


def utility(scene: Scene, *, seed: int) -> dict[str, Figure]:
    """Return how near 24 marked recordings are to their originals, and how many are detected.

    They are of the scene itself, under keys of their own.
    """
    marker, clips = scene.part(Marker), scene.extra["carriers"].x[:24]
    rng = np.random.default_rng(seed)
    keys = rng.integers(2**62, size=len(clips)).tolist()
    messages = list(rng.integers(0, 2, (len(clips), marker.bits)))
    published = marked(marker, list(clips), messages, keys, rng)
    quality = scene.part(item_quality.ItemQuality)
    figures = [quality.figures(item, clip) for item, clip in zip(published, clips, strict=True)]
    detected = [
        marker.verify(item, key, message).marked() is True
        for item, key, message in zip(published, keys, messages, strict=True)
    ]
    return {
        "mark_spectral_snr": mean_figure([one["spectral_snr"] for one in figures]),
        "recognised": mean_figure([one["recognised"] for one in figures]),
        "detected": share_figure(detected),
    }


def _marker(mark: str, unmarked: object) -> Marker:
    if mark == "spread":
        return marks.spread_mark()
    if mark == "echo":
        return marks.echo_mark()
    from hartley.models.perth import perth_mark

    return perth_mark(np.asarray(unmarked))
