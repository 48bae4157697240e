"""Sentences: a vector database of sentences from real mail, embedded by MiniLM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import hartley
from hartley.core import Data, Modality, Range, Scene, recipe, spawn
from hartley.data import mails
from hartley.games.inversion.embedding_inversion import StoredEmbeddings
from hartley.games.inversion.matching import Texts
from hartley.kit.cache import digest
from hartley.kit.interval_values import Figure, share_figure
from hartley.kit.language import text
from hartley.kit.ridge import cosines
from hartley.models.encoders import remembering
from hartley.models.minilm import minilm, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEST = 400
"""Sentences that utility is measured on."""

LONGEST = 18
"""Tokens of a sentence."""

LOST = 0.3
"""Share of its tokens that a question to the database lacks."""


@recipe(modality=Modality.LANGUAGE, packs=("minilm", "spam-assassin"))
def sentences(
    *,
    secrets: Annotated[int, Range(2)] = 1200,
    public: Annotated[int, Range(1)] = 5000,
    candidates: Annotated[int, Range(2)] = 64,
    targets: Annotated[int, Range(1)] = 32,
    known: Annotated[int, Range(0)] = 512,
    seed: Annotated[int, Range(0)] = 0,
) -> Scene:
    """Sentences of mail that nobody but the owner should read, kept as MiniLM embeddings.

    Args:
        secrets: the owner's sentences.
        public: the attacker's own, from other mails of the same lists.
        candidates: sentences that a stored embedding may be of.
        targets: stolen embeddings a round.
        known: sentences of the attacker's that lie in the database too.
        seed: of the split.
    """
    vocabulary = words()
    rows = [vocabulary.encode(one) for one in mails.sentences()]
    tokens = text.pad([row for row in rows if len(row) <= LONGEST])
    tokens = tokens[
        np.random.default_rng(spawn(seed, "parts", "sentences")).permutation(len(tokens))
    ]
    cuts = np.split(tokens, np.cumsum([secrets, TEST, public]))
    parts = {
        name: Data(name, Modality.LANGUAGE, cut)
        for name, cut in zip(("holdout", "test", "public"), cuts, strict=False)
    }
    known_by_heart = np.concatenate([data.x for data in parts.values()])
    store = StoredEmbeddings(
        parts["holdout"],
        parts["public"],
        Texts(parts["holdout"].x),
        number=candidates,
        targets=targets,
        known=known,
    )
    return Scene(
        name="sentences",
        modality=Modality.LANGUAGE,
        digest=digest(
            {
                "version": hartley.__version__,
                "parts": {name: data.x for name, data in parts.items()},
                "release": [candidates, targets, known],
            }
        ),
        model=remembering(minilm(), known_by_heart),
        holdout=parts["holdout"],
        extra={"test": parts["test"], "public": parts["public"]},
        parts=(store,),
        utility=utility,
        facts={f"{name} records": len(data) for name, data in parts.items()},
    )


def utility(scene: Scene) -> dict[str, Figure]:
    """What the database is for: a question that lacks words finds the sentence it came from."""
    store, test = scene.part(StoredEmbeddings), scene.extra["test"]
    assert scene.model is not None
    stored = store.stored(scene.model, test.x)
    asked = store.stored(scene.model, _worn(test.x))
    found = cosines(asked, stored).argmax(1)
    return {"recall_at_1": share_figure(found == np.arange(len(found)))}


def _worn(tokens: NDArray[Any]) -> NDArray[np.int64]:
    """Each sentence with some of its tokens lost."""
    rng = np.random.default_rng(spawn(0, "questions"))
    rows = []
    for row in tokens:
        real = row[row >= 0]
        kept = rng.random(len(real)) >= LOST
        kept[0] |= not kept.any()
        rows.append([int(token) for token in real[kept]])
    return text.pad(rows)
