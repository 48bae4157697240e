"""Per-item keys: mark each item under a key that depends on what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.games.watermark.marked_items import marker_of
from hartley.kit.content_keys import (
    Digest,
    content_keyed,
    picture_digest,
    table_digest,
    wave_digest,
)

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="marker",
    protects=("forgery",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "language": "marks of texts are keyed by the words before each token already",
        "graph": "a mark of links changes any digest of links here",
        "paired": "blank paper looks alike on all pages, so that its digest is no key",
    },
    paper="doi:10.1117/12.384991",
    strongest={"doubtful": 0},
    keeps_proof=True,
    requires=("carriers",),
)
def per_item_keys(scene: Scene, rng: Rng, *, doubtful: Annotated[int, Range(0, 6)] = 3) -> Scene:
    """Draw the key of each item from the owner's key and a robust digest of the item.

    A mark that is copied into another item is then read under another key. The price: an attacker
    who changes the digest also destroys the mark, and reading takes 2^doubtful as long. The digest
    of a table is against what the scene's tables are like.

    Args:
        doubtful: how many of the digest's signs that are nearest to zero the reader tries both
            ways.
    """
    del rng
    return scene.with_part(content_keyed(marker_of(scene), _digest(scene), doubtful))


def _digest(scene: Scene) -> Digest:
    """Return the digest of a scene's items."""
    if scene.modality is Modality.TABULAR:
        return table_digest(np.concatenate([*scene.extra["carriers"].x]))
    return picture_digest if scene.modality is Modality.VISION else wave_digest
