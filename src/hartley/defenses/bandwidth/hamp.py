"""HAMP: train for uncertain answers, then publish only the order of the scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from hartley.core import Data, Ensemble, Modality, Range, Scene, Term, defense, spawn
from hartley.defenses._shared import per_model_filter
from hartley.defenses._shared.keyed_noise import uniform
from hartley.kit.fleet import ForwardPass, Objective
from hartley.models.training_defense import trained_for

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

BANK = 256
"""Number of random records whose scores replace the true ones."""


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
    """Train for uncertain answers, and publish nothing of the scores but their order.

    It lowers the bandwidth: only the order of the classes remains of an answer. The scores are
    replaced by the model's scores for a random record, which a secret key and the queried record
    select. Random records are uniform between the least and the largest value of each feature.
    Training also lowers the signal: the labels have the entropy ``entropy`` and the loss rewards
    uncertain answers, so that members and non-members are ordered alike.

    Args:
        entropy: entropy of the training labels, as a share of the logarithm of the classes.
        price: reward for a nat of entropy of the answers in training.
        output: also replace the scores. Without it only training changes, which by itself leaks
            more to an adaptive attacker than plain training (bench/privacy_defenses.py).
    """
    key, train = int(rng.integers(2**62)), scene.train
    uncertain = trained_for(scene, rng, "hamp", Doubtful(entropy, price))
    if not output:
        return uncertain
    assert train is not None
    low, high = train.x.min(0), train.x.max(0)
    bank = np.random.default_rng(spawn(key, "bank")).random((BANK, *low.shape))
    random_records = (low + bank * (high - low)).astype(train.x.dtype)

    def make(
        ensemble: Ensemble, data: Data, include: Any, kind: str
    ) -> per_model_filter.PerModelFilter:
        del data, include

        @cache
        def sorted_scores() -> NDArray[Any]:
            """Return answers to the random records (K, BANK, classes), each in ascending order."""
            return np.sort(ensemble.query(random_records), axis=2)

        def filter_(x: NDArray[Any], answers: NDArray[Any], models: list[int]) -> NDArray[Any]:
            out = np.empty_like(answers)
            for j, k in enumerate(models):
                choice = uniform(x, (len(x), 1), spawn(key, kind, k))[:, 0]
                scores = sorted_scores()[k, (choice * BANK).astype(np.int64)]
                np.put_along_axis(out[j], answers[j].argsort(1), scores, 1)
            return out

        return filter_

    return per_model_filter.answers(uncertain, make)


@dataclass(frozen=True, slots=True)
class Doubtful(Objective):
    """Cross-entropy with soft labels, minus the reward for entropy.

    Attributes:
        entropy: entropy of the labels, as a share of ln(classes).
        price: reward for a nat of entropy.
    """

    shaped: ClassVar[bool] = True
    entropy: float
    price: float

    def teach(
        self, x: Any, targets: NDArray[np.float32], include: Any, **rest: Any
    ) -> NDArray[np.float32]:
        """Return soft targets (n, classes) with the entropy ``entropy``, spread evenly."""
        del x, include, rest
        classes = targets.shape[-1]
        right = label_probability(self.entropy, classes)
        soft = targets * right + (1 - targets) * (1 - right) / (classes - 1)
        return np.asarray(soft, dtype=np.float32)

    def loss(self, outputs: ForwardPass) -> torch.Tensor:
        """Mean cross-entropy − price · mean entropy."""
        import torch

        logs = torch.log_softmax(outputs.logits, 2)
        entropy = -(logs.exp() * logs).sum(2)
        return (outputs.cross_entropy() - self.price * entropy).mean(1)


def label_probability(entropy: float, classes: int) -> float:
    """Return the label's probability at which a soft label has this entropy.

    Args:
        entropy: as a share of ln(classes).
        classes: their number; the other classes share the remaining probability evenly.
    """
    low, high = 1 / classes, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        others = np.full(classes - 1, (1 - middle) / (classes - 1))
        law = np.maximum([middle, *others], 1e-300)
        if -(law * np.log(law)).sum() / np.log(classes) > entropy:
            low = middle
        else:
            high = middle
    return low
