"""HAMP: teach doubt, then answer with the numbers of a random record in the order of this one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from hartley.core import Data, Ensemble, Modality, Range, Scene, Term, defense, spawn
from hartley.defenses._shared import per_model_filter
from hartley.defenses._shared.keyed_noise import uniform
from hartley.kit.fleet import Objective, Seen
from hartley.models.training_defense import trained_for

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

BANK = 256
"""Random records whose answers lend their numbers."""


@defense(
    term=Term.BANDWIDTH,
    stage="training",
    protects=("membership", "memorization"),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:2307.01610",
    strongest={"entropy": 0.99999, "price": 1000.0},
    requires=("training", "fit", "model", "train"),
)
def hamp(
    scene: Scene,
    rng: Rng,
    *,
    entropy: Annotated[float, Range(0, 1, open_high=True)] = 0.6,
    price: Annotated[float, Range(0)] = 0.01,
    output: bool = True,
) -> Scene:
    """Train on high-entropy labels with a reward for entropy, and hide all but the order of scores.

    What it moves is the bandwidth: of an answer nothing is left but the order of the classes, since
    its numbers are those of a random record that a secret key and the asked record choose. Training
    works on the signal besides: labels as uncertain as ``entropy`` says, and doubt is rewarded, so
    that members and strangers are ordered alike. A model answers with the numbers it gave itself to
    random records, drawn evenly between the least and largest value of each feature.

    Args:
        entropy: entropy of the labels taught, as a share of the logarithm of the classes.
        price: reward for a nat of entropy of the answers in training.
        output: also hide the numbers; without it only training is changed, which by itself tells
            an attacker who knows more than plain training does (bench/privacy_defenses.py).
    """
    key, train = int(rng.integers(2**62)), scene.train
    doubting = trained_for(scene, rng, "hamp", Doubtful(entropy, price))
    if not output:
        return doubting
    assert train is not None
    low, high = train.x.min(0), train.x.max(0)
    bank = np.random.default_rng(spawn(key, "bank")).random((BANK, *low.shape))
    random_records = (low + bank * (high - low)).astype(train.x.dtype)

    def make(made: Ensemble, data: Data, include: Any, whose: str) -> per_model_filter.Guard:
        del data, include

        @cache
        def lent() -> NDArray[Any]:
            """(K, BANK, classes) answers to random records, each sorted from the least."""
            return np.sort(made.query(random_records), axis=2)

        def guard(x: NDArray[Any], answers: NDArray[Any], models: list[int]) -> NDArray[Any]:
            out = np.empty_like(answers)
            for j, k in enumerate(models):
                drawn = uniform(x, (len(x), 1), spawn(key, whose, k))[:, 0]
                numbers = lent()[k, (drawn * BANK).astype(np.int64)]
                np.put_along_axis(out[j], answers[j].argsort(1), numbers, 1)
            return out

        return guard

    return per_model_filter.behind(doubting, make)


@dataclass(frozen=True, slots=True)
class Doubtful(Objective):
    """Cross-entropy with soft labels less the reward for entropy.

    Attributes:
        entropy: of the labels, as a share of ln(classes).
        price: of a nat of entropy.
    """

    shaped: ClassVar[bool] = True
    entropy: float
    price: float

    def teach(
        self, x: Any, targets: NDArray[np.float32], include: Any, **rest: Any
    ) -> NDArray[np.float32]:
        """The label at the probability that leaves the wanted entropy, the rest spread evenly."""
        del x, include, rest
        classes = targets.shape[-1]
        own = sureness(self.entropy, classes)
        soft = targets * own + (1 - targets) * (1 - own) / (classes - 1)
        return np.asarray(soft, dtype=np.float32)

    def loss(self, seen: Seen) -> torch.Tensor:
        """Mean cross-entropy − price · mean entropy."""
        import torch

        logs = torch.log_softmax(seen.logits, 2)
        doubt = -(logs.exp() * logs).sum(2)
        return (seen.cross_entropy() - self.price * doubt).mean(1)


def sureness(entropy: float, classes: int) -> float:
    """Probability of one class at which, the rest spread evenly, the entropy is this share."""
    low, high = 1 / classes, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        rest = np.full(classes - 1, (1 - middle) / (classes - 1))
        law = np.maximum([middle, *rest], 1e-300)
        if -(law * np.log(law)).sum() / np.log(classes) > entropy:
            low = middle
        else:
            high = middle
    return low
