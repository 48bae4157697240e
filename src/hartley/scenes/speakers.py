"""Speakers: a database of voice embeddings, made by Resemblyzer from spoken letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import hartley
from hartley.core import Modality, Range, Scene, recipe
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
"""Clips that utility is measured on, and that the evaluation model learnt from."""


@recipe(modality=Modality.AUDIO, packs=("klettres", "resemblyzer"))
def speakers(
    *,
    secrets: Annotated[int, Range(2)] = 700,
    public: Annotated[int, Range(1)] = 800,
    candidates: Annotated[int, Range(2)] = 64,
    targets: Annotated[int, Range(1)] = 32,
    known: Annotated[int, Range(0)] = 320,
    seed: Annotated[int, Range(0)] = 0,
) -> Scene:
    """Voices of twenty languages, kept as speaker embeddings.

    Args:
        secrets: the owner's clips.
        public: the attacker's own clips.
        candidates: clips that a stored embedding may be of.
        targets: stolen embeddings a round.
        known: clips of the attacker's that lie in the database too.
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
    """What the database is for: the nearest other clip is of the same voice."""
    store, test = scene.part(StoredEmbeddings), scene.extra["test"]
    assert scene.model is not None
    stored = store.stored(scene.model, test.x)
    alike = cosines(stored, stored)
    np.fill_diagonal(alike, -np.inf)
    labels = _assemble_vision.labels(test)
    return {"same_voice": share_figure(labels[alike.argmax(1)] == labels)}


def _reader(labels: NDArray[Any], clips: NDArray[Any]) -> Any:
    """The evaluation model: which language a clip is in, by the statistics of its spectrum."""
    told = Ridge.fit(statistics(clips), np.eye(labels.max() + 1)[labels])
    return lambda x: told(statistics(x)).argmax(1)
