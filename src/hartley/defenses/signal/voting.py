"""Voting: repeat the message in each item, and let every bit be a majority."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.core.errors import UsageError
from hartley.games.watermark.marked_items import marker_of
from hartley.kit.marker import voting as voted

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="marker",
    protects=("watermark",),
    modalities=(
        Modality.VISION,
        Modality.LANGUAGE,
        Modality.AUDIO,
        Modality.GRAPH,
        Modality.TABULAR,
    ),
    unfit={"paired": "marks of pages say presence alone, and votes are about bits"},
    paper="doi:10.1109/83.650120",
    strongest={"votes": 9},
    keeps_proof=True,
    requires=("carriers",),
    covers_only={"watermark": ("vision", "graph")},
)
def voting(scene: Scene, rng: Rng, *, votes: Annotated[int, Range(2, 99)] = 3) -> Scene:
    """Embed the message several times over, and read each bit by a majority of its copies.

    The copies share what an item can hold, so that each is weaker where a mark spreads every bit
    over all that there is.

    Args:
        votes: copies of each bit; an odd number leaves no ties.

    Raises:
        UsageError: the scene's mark has no message.
    """
    del rng
    marker = marker_of(scene)
    if not marker.bits:
        raise UsageError(f"voting: the mark must have a message, and {marker.name} has none")
    return scene.with_part(voted(marker, votes))
