"""A dual encoder as a model: two frozen towers' features, and the projections trained on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Modality, Model, Output
from hartley.kit import cache, infonce_towers
from hartley.kit.careful_towers import DROPPED, Lesson, Plain
from hartley.kit.ensemble_of import separate
from hartley.kit.infonce_towers import Towers
from hartley.kit.interval_values import Figure, share_figure
from hartley.models.weight_cache import Trained, kept

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLOSED = Access.LABELS | Access.SCORES | Access.EMBEDDINGS | Access.TRAIN


@dataclass(frozen=True, slots=True, eq=False)
class DualEncoder:
    """How an owner trains a dual encoder on paired features.

    Attributes:
        towers: the recipe.
        offers: what the models offer an attacker.
        cached: keep what was trained on disk.
        lesson: what the projections are trained by.
    """

    towers: Towers
    offers: Access = CLOSED
    cached: bool = True
    lesson: Lesson = field(default_factory=Plain)

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values that a result depends on, for a digest."""
        return {**self.towers.recipe, **self.lesson.recipe}

    def fit(self, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        """Train K models on K subsets of ``data``; ``include`` is (K, n) booleans.

        Their loss, for ``grad``, is minus the inner product of the embeddings with what is given
        as (n, 2·width): of a picture with its caption's embedding, minus their cosine. What a
        lesson leaves out of the contrast is ``dropped`` (K, n) among the facts.
        """
        stamp = cache.digest({"x": data.x}) if self.cached else ""

        def trained(rows: NDArray[np.bool_], first: int) -> Trained:
            return self.lesson.train(self.towers, data.x, rows, seed, first)

        weights, facts = kept(
            self.recipe, include, seed, trained, records=stamp, cached=self.cached
        )

        def member(k: int) -> Model:
            image, text = weights["image"][k], weights["text"][k]

            def slope(x: NDArray[Any], towards: NDArray[Any]) -> NDArray[np.float32]:
                return -infonce_towers.pulled_back(image, text, x, towards)

            return Model(
                "dual encoder",
                Modality.PAIRED,
                lambda x: infonce_towers.embed_pairs(image, text, x),
                Output.EMBEDDINGS,
                2 * self.towers.width,
                fit=self.fit,
                grad=slope if self.offers & Access.GRADIENTS else None,
                offers=self.offers,
                facts={
                    "parameters": image.size + text.size,
                    "sharpness": float(np.exp(weights["sharp"][k])),
                },
            )

        members = [member(k) for k in range(len(include))]
        left_out = {DROPPED: weights[DROPPED].astype(bool)} if DROPPED in weights else {}
        return separate(members, {**facts, **left_out})


def retrieval(model: Model, data: Data) -> dict[str, Figure]:
    """Return the share of pictures whose caption is the nearest, or one of the ten nearest.

    Captions at the same distance as a picture's own count as nearer, since answers of a defended
    model have many ties.
    """
    embeddings = np.asarray(model.query(data.x))
    half = embeddings.shape[1] // 2
    similarity = embeddings[:, :half] @ embeddings[:, half:].T
    rank = (similarity >= np.diag(similarity)[:, None]).sum(1) - 1
    return {"recall_at_1": share_figure(rank < 1), "recall_at_10": share_figure(rank < 10)}
