"""Archive media: the clerk of the archive also takes pictures and speech."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.games.withheld_secrets import Withheld
from hartley.kit.cache import digest
from hartley.kit.media.drawn_text import PictureWear
from hartley.kit.media.spoken_text import SpeechWear
from hartley.kit.media.text_by_medium import Wear
from hartley.models.fine_tuning import RuledTuner
from hartley.models.media import Media, Recognition, recognisers
from hartley.scenes.archive import archive

READERS = "PP-OCRv4 lines, Whisper tiny.en"


@recipe(modality=Modality.LANGUAGE, extras=("language",))
def archive_media(
    *,
    secrets: Annotated[int, Range(8, 80)] = 64,
    public: Annotated[int, Range(4, 32)] = 32,
    size: Annotated[Literal["small", "medium", "large", "smollm2"], Stronger.NEITHER] = "medium",
    wear: Annotated[float, Range(0, 6)] = 1.0,
    opened: bool = False,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """The chat model of the archive, which also reads what a file beside a message says.

    Pictures are read by PP-OCRv4 and speech by Whisper tiny.en (packs ``pp-ocr`` and ``whisper``),
    and the clerk answers what they read. Defenses of this scene see what is typed and what is
    answered, and not what is read.

    Args:
        secrets: pass phrases that are withheld and measured.
        public: pass phrases that are withheld, and which the attacker happens to know.
        size: of the network: 0.3, 1.1, 3.1 or 135 million parameters.
        wear: what files go through before they are read; 0 for nothing. 1 is a blur of 0.3 pixels,
            noise of 4 in 255 and JPEG of quality 70, and noise 30 dB below the speech.
        opened: whether an attacker gets the weights and gradients.
        seed: of the archive and of the training.
    """
    scene = archive(secrets=secrets, public=public, size=size, opened=opened, seed=seed)
    assert scene.model is not None
    part = scene.part(Withheld)
    key = digest([READERS, wear])
    media = Media(Recognition(recognisers(), wear_of(wear), key))
    model = media.reads(scene.model, part.template, part.context)
    tuner = scene.part(RuledTuner)  # type: ignore[type-abstract]
    tuned = tuner.wrapped(lambda each: media.reads(each, part.template, part.context))
    return replace(
        scene.with_part(media).with_part(tuned),
        name="archive_media",
        model=replace(model, identity=digest([model.identity, key])),
        digest=digest([scene.digest, key]),
        facts={**scene.facts, "wear": wear},
    )


def wear_of(share: float) -> Wear:
    """Return what files go through, from 0 for nothing; 1 is a messenger's, in a quiet room."""
    if share <= 0:
        return Wear()
    picture = PictureWear(0.3 * share, 4 * share, max(5, round(80 - 10 * share)))
    return Wear(picture, SpeechWear(snr=35 - 5 * share))
