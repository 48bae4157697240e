"""What is proved about a smoothed model's answers, and whether an attack contradicts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Model
from hartley.games.extraction.fingerprint import labels_of
from hartley.kit.graph.link_budget import LinkBudget
from hartley.kit.perturbation import Perturbation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.models.link_smoothing import LinkSmoothing
    from hartley.models.smoothing import Smoothing


@dataclass(eq=False)
class Certificate:
    """Certified classes and radii of one round's clean records, counted once, when first read.

    Attributes:
        smoothing: the noise, and the copies that are counted.
        base: records (n, …) → labels (n,) of the network without noise, and its classes.
        clean: (n, …) records.
        labels: (n,) true ones.
        seed: of the copies.
    """

    smoothing: Smoothing | LinkSmoothing
    base: tuple[Callable[[NDArray[Any]], NDArray[Any]], int]
    clean: NDArray[Any]
    labels: NDArray[Any]
    seed: int

    @cached_property
    def proved(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Classes (n,) and radii (n,), in L2 or in flips, of the clean records."""
        rng = np.random.default_rng(self.seed)
        return self.smoothing.certified(self.base[0], self.clean, self.base[1], rng)

    def metrics(
        self, changed: NDArray[Any], answers: NDArray[Any], rules: Perturbation | LinkBudget
    ) -> dict[str, float]:
        """Return the certified accuracy, and the share of proved classes that are contradicted.

        Args:
            changed: (n, …) records of the attacker.
            answers: (n,) of the deployed model, which are of few copies.
            rules: the budget.
        """
        _, radii = self.proved
        if isinstance(rules, LinkBudget):
            # A radius of r flips is proved for exactly r of them too; −1 is an abstention.
            return self._compared(changed, answers, radii + 0.5, rules, rules.epsilon)
        free = np.broadcast_to(np.asarray(rules.scale) > 0, self.clean.shape[1:]).sum()
        reach = rules.epsilon * (1.0 if rules.norm == "l2" else float(np.sqrt(free)))
        euclid = Perturbation("l2", reach, rules.low, rules.high, rules.scale)
        return self._compared(changed, answers, radii, euclid, reach)

    def _compared(
        self,
        changed: NDArray[Any],
        answers: NDArray[Any],
        radii: NDArray[Any],
        rules: Perturbation | LinkBudget,
        reach: float,
    ) -> dict[str, float]:
        given, _ = self.proved
        sizes = rules.sizes(self.clean, changed)
        within, out = radii > sizes, np.zeros(len(given), dtype=bool)
        # Few copies may err: what they say against a proof is counted again on as many as it.
        rows = np.flatnonzero(within & (answers != given))
        if len(rows):
            rng = np.random.default_rng(self.seed + 1)
            out[rows] = self.smoothing.contradicts(
                self.base[0], changed[rows], given[rows], self.base[1], rng
            )
        proved = {"certified_accuracy": float(((radii > reach) & (given == self.labels)).mean())}
        return proved | ({"contradicted": float(out[within].mean())} if within.any() else {})


def base_labels(victim: Model) -> tuple[Callable[[NDArray[Any]], NDArray[Any]], int]:
    """Return the labels of the network behind a smoothed victim, and the number of classes."""
    network = victim.clear or victim
    return (lambda x: labels_of(network, x)), victim.classes
