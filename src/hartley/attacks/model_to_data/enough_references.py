"""How many reference models are enough: an attacker who tries their attack on models of their own.

Each reference model is a victim whose members the attacker knows, since they chose them. So they
can attack it with the others and see how much the last of them added, without the truth of the
round. What a test loses to m references falls like 1/m (the variance of a mean), which says what
twice as many would add. The choice follows from answers alone, not from the clock or who trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 16
"""Reference models after which the attacker looks for the first time; then at twice as many."""
LITTLE = 0.0025
"""Area under the curve; where twice as many references would add less, there are enough."""
SPREAD = 1e-3
"""Least standard deviation of a confidence, as in LiRA."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What reference models are worth to LiRA on those among them that are left out.

    Attributes:
        count: reference models.
        half: AUC with half as many, on average over them.
        whole: AUC with all but the attacked one and its complement.
        more: AUC that twice as many would add.
        error: its standard error over the pairs of models that were attacked.
    """

    count: int
    half: float
    whole: float
    more: float
    error: float

    @property
    def enough(self) -> bool:
        """Whether twice as many would add little, also where chance made it look too small."""
        return self.more + self.error < LITTLE

    def words(self, most: int) -> str:
        """Return in one line how many are trained, of ``most``, and why."""
        text = f"{self.count} reference models"
        if self.enough:
            text += f" of at most {most}" * (self.count < most) + " are enough"
        else:
            text += ", as many as the attacks order"
        return (
            f"{text}: LiRA has an AUC of {self.whole:.3f} on models whose members are known, and "
            f"{2 * self.count} would add about {self.more:.4f}"
        )


def gain(confidences: NDArray[Any], include: NDArray[np.bool_]) -> Gain:
    """Attack each reference model with the others.

    Args:
        confidences: (K, n) of the models in the records, K even and at least 8.
        include: (K, n) booleans, which model was trained on which record; rows 2j and 2j+1 are
            complements.
    """
    count = len(confidences)
    pairs = np.arange(count).reshape(-1, 2)
    half: list[float] = []
    whole: list[float] = []
    for j in range(len(pairs)):
        others = np.roll(pairs, -1 - j, axis=0)[:-1].reshape(-1)
        for scores, rows in ((half, others[: count // 2]), (whole, others)):
            ratio = _log_ratios(confidences[pairs[j]], confidences[rows], include[rows])
            scores += [_auc(include[k], ratio[i]) for i, k in enumerate(pairs[j])]
    low, high = float(np.mean(half)), float(np.mean(whole))
    # The loss to m references is c/m, and c follows from the two that were measured.
    share = (1 / (2 * count)) / (2 / count - 1 / (count - 2))
    by_pair = (np.array(whole) - half).reshape(-1, 2).mean(1)
    error = share * float(by_pair.std(ddof=1)) / np.sqrt(len(by_pair))
    return Gain(count, low, high, max(0.0, share * (high - low)), float(error))


def _log_ratios(
    victims: NDArray[Any], shadow: NDArray[Any], include: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return LiRA's log-likelihood ratios (v, n) with one variance for all records."""
    densities = []
    for chosen in (include, ~include):
        number = np.maximum(chosen.sum(0), 1)
        mean = np.where(chosen, shadow, 0).sum(0) / number
        deviations = np.where(chosen, shadow - mean, 0)
        variance = (deviations**2).sum() / max(int(chosen.sum()) - len(mean), 1)
        variance = max(float(variance), SPREAD**2)
        densities.append(-0.5 * (victims - mean) ** 2 / variance - 0.5 * np.log(variance))
    return np.asarray(densities[0] - densities[1])


def _auc(members: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve; ties count half."""
    from scipy.stats import rankdata

    positives = int(members.sum())
    ranks = rankdata(scores)[members].sum() - positives * (positives + 1) / 2
    return float(ranks / (positives * (len(members) - positives)))
