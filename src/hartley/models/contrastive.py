"""An encoder as an owner trains it: contrastively, on records of which some are alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Modality, Model, Output
from hartley.kit import cache
from hartley.kit.contrastive_encoder import Contrast, embed, train_encoders
from hartley.kit.ensemble_of import separate
from hartley.models.weight_cache import Trained, kept

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class ContrastivePipeline:
    """How an owner trains an encoder; the labels of records say which are alike.

    Attributes:
        modality: of the records.
        contrast: the recipe.
        offers: what the models offer an attacker.
        cached: keep what was trained on disk.
    """

    modality: Modality
    contrast: Contrast = field(default_factory=Contrast)
    offers: Access = Access.EMBEDDINGS
    cached: bool = True

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values that a result depends on, for a digest."""
        return self.contrast.recipe

    def fit(self, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        """Train K encoders on K subsets of ``data``; ``include`` is (K, n) booleans."""
        groups = data.labels
        stamp = cache.digest({"x": data.x, "y": groups}) if self.cached else ""

        def trained(rows: NDArray[np.bool_], first: int) -> Trained:
            return train_encoders(self.contrast, data.x, groups, rows, seed=seed, first=first)

        weights, facts = kept(
            self.recipe, include, seed, trained, records=stamp, cached=self.cached
        )

        def member(k: int) -> Model:
            return encoder_of(
                {name: w[k] for name, w in weights.items()}, self.modality, self.offers
            )

        return separate([member(k) for k in range(len(include))], facts)


def encoder_of(
    weights: dict[str, NDArray[Any]],
    modality: Modality,
    offers: Access,
    *,
    name: str = "encoder",
    facts: dict[str, Any] | None = None,
) -> Model:
    """Return a model that answers with embeddings of length 1.

    Args:
        weights: of one encoder of ``kit.contrastive_encoder``.
        modality: what it reads.
        offers: what may be used of it.
        name: what to call it in reports.
        facts: plain values worth carrying.
    """
    return Model(
        name,
        modality,
        lambda x: embed(weights, x),
        Output.EMBEDDINGS,
        weights["1.weight"].shape[1],
        weights=(lambda: weights) if offers & Access.WEIGHTS else None,
        offers=offers,
        facts={"parameters": sum(w.size for w in weights.values()), **(facts or {})},
    )
