"""Rendered text: draw a text as a picture, or speak it, so that a recogniser reads it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.core import (
    Access,
    Data,
    Form,
    Loot,
    Modality,
    Outcome,
    Range,
    Stronger,
    Term,
    View,
    attack,
)
from hartley.games.jailbreak.reading import ReadingBrief, read_by, reading
from hartley.kit.media.drawn_text import Drawing
from hartley.kit.media.spoken_text import Speaking
from hartley.kit.media.text_by_medium import (
    PICTURE,
    SPEECH,
    Way,
    as_text,
    character_error_rate,
    written,
)
from hartley.models.media import WAY

if TYPE_CHECKING:
    from hartley.core.parts import Rng

WAYS: dict[str, tuple[Way, ...]] = {
    PICTURE: (
        Drawing(),
        *(Drawing(size, 0, gap) for size, gap in product((24, 32, 40), (0, 8, 16))),
        Drawing(24, 3, 8),
    ),
    SPEECH: (
        Speaking(),
        *(Speaking(*values) for values in product(("en-us", "en-gb-x-rp"), (110, 130), (0, 8))),
    ),
}
"""The usual way of each medium, and others to try."""


@attack(
    game=reading,
    access=Access.LABELS,
    term=Term.BANDWIDTH,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2311.05608",
    loot=Loot.TEXTS,
    light={"probes": 2},
)
def rendered_text(
    view: View[ReadingBrief],
    rng: Rng,
    *,
    medium: Literal["picture", "speech"] = "picture",
    probes: Annotated[int, Range(0, 1000), Stronger.MORE] = 16,
) -> Outcome:
    """Hand in texts as files, written in the way whose public texts are read with fewest errors.

    A picture may have larger letters, and wider gaps between letters and between words; speech
    (espeak-ng, the extra ``speech``) another voice, less speed, and pauses between words.

    Args:
        medium: picture or speech.
        probes: public texts on which each way is tried; 0 takes the usual way.
    """
    del rng
    brief = view.brief
    way = _chosen(view, WAYS[medium], brief.public[:probes])
    files = [written(str(text), way) for text in brief.question.x]
    return Outcome(
        asset=Data(
            "files",
            Modality.LANGUAGE,
            np.array(files, dtype=np.str_),
            role="files",
            facts={WAY: as_text(way)},
            form=Form.TEXT,
        )
    )


def _chosen(view: View[ReadingBrief], ways: Sequence[Way], texts: Sequence[str]) -> Way:
    """Return the way with the fewest errors; of equal ones the first."""
    if not texts:
        return ways[0]

    def errors(way: Way) -> float:
        answers = read_by(view.model, [written(text, way) for text in texts])
        pairs = zip(texts, answers, strict=True)
        return sum(character_error_rate(text.casefold(), a.casefold()) for text, a in pairs)

    return min(ways, key=errors)
