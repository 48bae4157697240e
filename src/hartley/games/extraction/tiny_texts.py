"""Live and dead scenes of extraction from texts: each cluster of texts has words of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Ensemble, Form, Modality, Model, Scene
from hartley.games import nearest_learner
from hartley.kit.ensemble_of import separate
from hartley.kit.language.bags import Bags
from hartley.kit.language.word_model import PublicTexts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLUSTERS, EACH, WORDS, LENGTH = 16, 12, 8, 7
"""Clusters of texts, texts of each in a part, words of a cluster, and words of a text."""

BAGS = Bags(words=1024, pairs=0)


def tiny_texts(classes: int, rng: Rng, *, learns: bool) -> Scene:
    """Return a scene of short texts, and a learner that answers by the nearest training text.

    Args:
        classes: number of labels.
        rng: draws texts and labels.
        learns: whether a model's answers depend on its training records.
    """
    base = nearest_learner.trainer(Modality.LANGUAGE, classes, learns=learns)

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        trained = base(replace(data, x=BAGS(data.x), form=Form.ARRAY), include, seed)
        return separate([_reading(trained.member(k)) for k in range(trained.size)])

    # Checksums of words that differ in a number alone would meet in the same buckets.
    letters = rng.integers(0, 26, (CLUSTERS * WORDS, 7)) + ord("a")
    words = np.array(["".join(map(chr, row)) for row in letters]).reshape(CLUSTERS, WORDS)

    def part(name: str) -> Data:
        place = np.repeat(np.arange(CLUSTERS), EACH)
        texts = [" ".join(rng.permutation(words[cluster])[:LENGTH]) for cluster in place]
        labels = rng.integers(0, classes, len(texts))
        return Data(name, Modality.LANGUAGE, np.array(texts), labels)

    pool, public = part("pool"), part("public")
    return Scene(
        name="live" if learns else "dead",
        modality=Modality.LANGUAGE,
        model=fit(pool, np.ones((1, len(pool)), dtype=bool), 0).member(0),
        train=pool,
        fit=fit,
        extra={"pool": pool, "public": public, "test": part("test")},
        parts=(PublicTexts(tuple(map(str, public.x))),),
    )


def _reading(model: Model) -> Model:
    return model.with_(query=lambda texts: model.query(BAGS(texts)), fit=None)
