"""What an owner does to trained models before they are used: pruning, fine-tuning, unlearning.

A ``Repair`` gets a trained fleet with everything that it was trained on and returns another fleet.
It is a frozen dataclass, so that it keys caches, and it lives in the file of its defense.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import spawn
from hartley.core.code_digest import code_of
from hartley.kit.cache import NOUNS
from hartley.kit.fleet.fleet import Fleet, train
from hartley.kit.fleet.objective import Objective
from hartley.kit.fleet.training import Training

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """What a fleet was trained on.

    Attributes:
        x: (n, …) records.
        y: (n,) labels.
        include: (K, n) booleans, which model on which record.
        training: the recipe.
        seed: of the fleet.
        first: number of the first model; all randomness of model k must come from ``first + k``.
    """

    x: NDArray[np.float32]
    y: NDArray[Any]
    include: NDArray[np.bool_]
    training: Training
    seed: int
    first: int

    def again(self, net: Any, training: Training, objective: Objective | None = None) -> Fleet:
        """Train nets of the same kind on the same records by another recipe."""
        return train(
            net, self.x, self.y, self.include, training,
            seed=spawn(self.seed, "repair"), first=self.first, objective=objective,
        )  # fmt: skip

    def rng(self, k: int, name: str) -> np.random.Generator:
        """Return the generator of model ``k`` of this fleet for one purpose."""
        return np.random.default_rng(spawn(self.seed, "repair", name, self.first + k))


class Repair:
    """The base class of repairs."""

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values and arrays, for a digest."""
        assert is_dataclass(self)
        return {
            "name": type(self).__name__,
            # It lives in a defense's file, which the pipeline that trains does not import.
            "code": code_of(type(self).mend, without=NOUNS),
            **{field.name: getattr(self, field.name) for field in fields(self)},
        }

    def mend(self, fleet: Fleet, trained_on: TrainedOn) -> Fleet:
        """Return the repaired fleet; model k may depend on its own records and number alone."""
        raise NotImplementedError


def each(fleet: Fleet, mend: Callable[[int, torch.nn.Sequential], None]) -> Fleet:
    """Return the fleet with ``mend`` applied to every model, which changes a module in place."""
    stacks: list[Mapping[str, torch.Tensor]] = []
    for k in range(len(fleet)):
        module = fleet.module(k)
        mend(k, module)
        stacks.append(module.state_dict())
    weights = {name: np.stack([s[name].numpy() for s in stacks]) for name in fleet.net.shapes}
    return Fleet(fleet.net, weights, fleet.facts, fleet.extra)


def shuffled(rng: np.random.Generator, count: int, batch: int, epochs: int) -> Iterator[Any]:
    """Yield the rows of every batch of some passes over ``count`` records."""
    for _ in range(epochs):
        order = rng.permutation(count)
        for at in range(0, count, batch):
            yield order[at : at + batch]
