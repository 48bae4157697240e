"""Speakers: a database of voice embeddings that Resemblyzer computes from spoken letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import hartley
from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import audio
from hartley.games.inversion.embedding_inversion import StoredEmbeddings
from hartley.games.inversion.matching import Spectra, statistics
from hartley.kit.cache import digest
from hartley.kit.interval_values import Figure, share_figure
from hartley.kit.ridge import Ridge, cosines
from hartley.models.encoders import remembering
from hartley.models.speaker import speaker
from hartley.scenes import _assemble_vision

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEST = 300
"""Clips that utility is measured on; the evaluation model is trained on them."""


@recipe(modality=Modality.AUDIO, packs=("klettres", "resemblyzer"), extras=("audio", "torch"))
def speakers(
    *,
    secrets: Annotated[int, Range(2)] = 700,
    public: Annotated[int, Range(1)] = 800,
    candidates: Annotated[int, Range(2)] = 64,
    targets: Annotated[int, Range(1), Stronger.TRIALS] = 32,
    known: Annotated[int, Range(0)] = 320,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Voices in twenty languages, stored as speaker embeddings.

    Args:
        secrets: number of the owner's clips.
        public: number of the attacker's clips.
        candidates: number of clips that a stored embedding may belong to.
        targets: stolen embeddings per round.
        known: number of the attacker's clips that are in the database too.
        seed: of the split.
    """
    clips = audio.speech()
    sizes = {"holdout": secrets, "test": TEST, "public": public}
    parts = _assemble_vision.deal(clips, sizes, seed)
    reader = _reader(_assemble_vision.labels(parts["test"]), parts["test"].x)
    store = StoredEmbeddings(
        parts["holdout"],
        parts["public"],
        Spectra(parts["holdout"].x, parts["holdout"].y, reader),
        number=candidates,
        targets=targets,
        known=known,
    )
    return Scene(
        name="speakers",
        modality=Modality.AUDIO,
        digest=digest(
            {
                "version": hartley.__version__,
                "parts": {name: [data.x, data.y] for name, data in parts.items()},
                "release": [candidates, targets, known],
            }
        ),
        model=remembering(speaker(), clips.x),
        holdout=parts["holdout"],
        extra={"test": parts["test"], "public": parts["public"]},
        parts=(store,),
        utility=utility,
        facts={
            **{f"{name} records": len(data) for name, data in parts.items()},
            "evaluation accuracy": float(
                (reader(parts["holdout"].x) == _assemble_vision.labels(parts["holdout"])).mean()
            ),
        },
    )


def utility(scene: Scene) -> dict[str, Figure]:
    """Return how often the nearest other clip has the same voice."""
    store, test = scene.part(StoredEmbeddings), scene.extra["test"]
    assert scene.model is not None
    stored = store.stored(scene.model, test.x)
    similarity = cosines(stored, stored)
    np.fill_diagonal(similarity, -np.inf)
    labels = _assemble_vision.labels(test)
    return {"same_voice": share_figure(labels[similarity.argmax(1)] == labels)}


def _reader(labels: NDArray[Any], clips: NDArray[Any]) -> Any:
    """Return the evaluation model, which predicts a clip's language from its spectrum."""
    regression = Ridge.fit(statistics(clips), np.eye(labels.max() + 1)[labels])
    return lambda x: regression(statistics(x)).argmax(1)
