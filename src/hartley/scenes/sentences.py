"""Sentences: a vector database of sentences from real e-mails, embedded by MiniLM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import hartley
from hartley.core import Data, Modality, Range, Scene, Stronger, recipe, spawn
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
"""Tokens of the longest sentence that is used."""

LOST = 0.3
"""Share of the tokens of a sentence that a query to the database lacks."""


@recipe(modality=Modality.LANGUAGE, packs=("minilm", "spam-assassin"), extras=("language",))
def sentences(
    *,
    secrets: Annotated[int, Range(2)] = 1200,
    public: Annotated[int, Range(1)] = 5000,
    candidates: Annotated[int, Range(2)] = 64,
    targets: Annotated[int, Range(1), Stronger.TRIALS] = 32,
    known: Annotated[int, Range(0)] = 512,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Private sentences of e-mails, stored as MiniLM embeddings.

    Args:
        secrets: number of the owner's sentences.
        public: number of the attacker's sentences, from other e-mails of the same mailing lists.
        candidates: number of sentences that a stored embedding may belong to.
        targets: stolen embeddings per round.
        known: number of the attacker's sentences that are in the database too.
        seed: of the split.
    """
    vocabulary = words()
    rows = [vocabulary.encode(sentence) for sentence in mails.sentences()]
    tokens = text.pad([row for row in rows if len(row) <= LONGEST])
    tokens = tokens[
        np.random.default_rng(spawn(seed, "parts", "sentences")).permutation(len(tokens))
    ]
    cuts = np.split(tokens, np.cumsum([secrets, TEST, public]))
    parts = {
        name: Data(name, Modality.LANGUAGE, cut)
        for name, cut in zip(("holdout", "test", "public"), cuts, strict=False)
    }
    cached_tokens = np.concatenate([data.x for data in parts.values()])
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
        model=remembering(minilm(), cached_tokens),
        holdout=parts["holdout"],
        extra={"test": parts["test"], "public": parts["public"]},
        parts=(store,),
        utility=utility,
        facts={f"{name} records": len(data) for name, data in parts.items()},
    )


def utility(scene: Scene) -> dict[str, Figure]:
    """Return how often a query that lacks some words retrieves the sentence that it comes from."""
    store, test = scene.part(StoredEmbeddings), scene.extra["test"]
    assert scene.model is not None
    stored = store.stored(scene.model, test.x)
    queries = store.stored(scene.model, _without_some_tokens(test.x))
    nearest = cosines(queries, stored).argmax(1)
    return {"recall_at_1": share_figure(nearest == np.arange(len(nearest)))}


def _without_some_tokens(tokens: NDArray[Any]) -> NDArray[np.int64]:
    """Return each sentence (n, t) without a random share ``LOST`` of its tokens."""
    rng = np.random.default_rng(spawn(0, "questions"))
    rows = []
    for row in tokens:
        real = row[row >= 0]
        stays = rng.random(len(real)) >= LOST
        stays[0] |= not stays.any()
        rows.append([int(token) for token in real[stays]])
    return text.pad(rows)
