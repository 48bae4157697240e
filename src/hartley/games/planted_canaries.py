"""Canaries that a deployed model may be trained on, drawn before by the auditor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Data

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class PlantedCanaries:
    """Canaries of one deployed model; no attack gets this part.

    The auditor drew every secret uniformly, and tossed a fair coin for each canary, whether the
    owner plants it. So a secret is independent of the model where nothing leaks, and the coin is a
    secret of its own: membership, drawn by the auditor (arXiv:2305.08846).

    Attributes:
        canaries: m prefixes, with how a secret is written (``games.memorization.canaries``).
        texts: the m canaries with their secrets, as tokens.
        secrets: (m,) numbers.
        planted: (m,) booleans, the coins.
        repeats: (m,) copies in the training data of those that are planted.
        identity: digest of all of it.
    """

    canaries: Data
    texts: Data
    secrets: NDArray[np.int64]
    planted: NDArray[np.bool_]
    repeats: NDArray[np.int64]
    identity: str

    def rows(self, chosen: NDArray[np.int64]) -> PlantedCanaries:
        """Return some of the canaries, by their numbers."""
        facts = dict(self.canaries.facts)
        if np.ndim(facts["ending"]) == 2:
            facts["ending"] = np.asarray(facts["ending"])[chosen]
        of_texts = {name: np.asarray(value)[chosen] for name, value in self.texts.facts.items()}
        return replace(
            self,
            canaries=replace(self.canaries, x=self.canaries.x[chosen], facts=facts),
            texts=replace(self.texts, x=self.texts.x[chosen], facts=of_texts),
            secrets=self.secrets[chosen],
            planted=self.planted[chosen],
            repeats=self.repeats[chosen],
        )
