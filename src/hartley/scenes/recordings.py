"""Recordings: spoken letters and syllables in twenty languages that an owner marks."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

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
from hartley.scenes import _assemble_vision

UNMARKED = 60
"""Recordings of the attacker, without marks."""

RANKED, SHORT = 999, 1.5
"""Unmarked recordings that Perth's scores are ranked among; seconds at which they are enough."""


@recipe(modality=Modality.AUDIO, packs=("klettres",))
def recordings(
    *,
    mark: Literal["spread", "echo", "perth"] = "spread",
    seconds: Annotated[float, Range(1, 60)] = 5.0,
    records: Annotated[int, Range(3)] = 120,
    floor: Annotated[float, Range(0), Stronger.LESS] = 5.0,
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
        seed: of the split.

    Raises:
        UsageError: there are fewer recordings of that length.
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
    parts = _assemble_vision.deal(clips, {**sizes, "carriers": owned}, seed)
    marker = _marker(mark, parts["ranked"].x)
    return Scene(
        name="recordings",
        modality=Modality.AUDIO,
        digest=digest(
            {
                "version": hartley.__version__,
                "parts": {name: [data.x, data.y] for name, data in parts.items()},
                "mark": [mark, floor],
            }
        ),
        extra={"carriers": parts["carriers"], "unmarked": parts["unmarked"]},
        parts=(marker, item_quality.sounds(floor), DetectionService()),
        utility=partial(utility, seed=seed),
        facts={"mark": marker.name, "seconds": SHORT if neural else seconds, "carriers": owned},
    )


def utility(scene: Scene, *, seed: int) -> dict[str, Figure]:
    """Return how near 24 marked recordings are to their originals, and how many are detected."""
    marker, clips = scene.part(Marker), scene.extra["carriers"].x[:24]
    rng = np.random.default_rng(seed)
    keys = rng.integers(2**62, size=len(clips)).tolist()
    messages = list(rng.integers(0, 2, (len(clips), marker.bits)))
    published = marked(marker, list(clips), messages, keys, rng)
    quality = item_quality.sounds()
    nearness = [
        quality.figures(item, clip)["spectral_snr"]
        for item, clip in zip(published, clips, strict=True)
    ]
    detected = [
        marker.verify(item, key, message).marked() is True
        for item, key, message in zip(published, keys, messages, strict=True)
    ]
    return {"mark_spectral_snr": mean_figure(nearness), "detected": share_figure(detected)}


def _marker(mark: str, unmarked: object) -> Marker:
    if mark == "spread":
        return marks.spread_mark()
    if mark == "echo":
        return marks.echo_mark()
    from hartley.models.perth import perth_mark

    return perth_mark(np.asarray(unmarked))
