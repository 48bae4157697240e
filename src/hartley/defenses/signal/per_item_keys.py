"""Per-item keys: mark each item under a key that depends on what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.games.watermark.marked_items import marker_of
from hartley.kit.content_keys import content_keyed, picture_digest, wave_digest

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="marker",
    protects=("forgery",),
    modalities=(Modality.VISION, Modality.AUDIO),
    unfit={
        "language": "marks of texts are keyed by the words before each token already",
        "graph": "no digest of a graph outlives rewiring here",
        "tabular": "no digest of a table outlives the loss of rows here",
        "paired": "blank paper looks alike on all pages, so that its digest is no key",
    },
    paper="doi:10.1117/12.384991",
    strongest={"doubtful": 0},
    keeps_proof=True,
    requires=("carriers",),
)
def per_item_keys(scene: Scene, rng: Rng, *, doubtful: Annotated[int, Range(0, 6)] = 3) -> Scene:
    """Draw the key of each item from the owner's key and a robust digest of the item.

    A mark that is copied into another picture or clip is then read under another key. The price:
    an attacker who changes the digest also destroys the mark, and reading takes 2^doubtful as long.

    Args:
        doubtful: how many of the digest's signs that are nearest to zero the reader tries both
            ways.
    """
    del rng
    digest = picture_digest if scene.modality is Modality.VISION else wave_digest
    return scene.with_part(content_keyed(marker_of(scene), digest, doubtful))
