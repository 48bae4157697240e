"""An owner's training pipeline: from records to models, trained as a fleet and kept on disk.

``Pipeline.fit`` is a ``core.Fit``. What it trains is kept by content (``models.weight_cache``).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Modality, Model, spawn
from hartley.core.errors import RunError, UsageError
from hartley.kit import cache
from hartley.kit.fleet import Fleet, Objective, Privacy, Training, train, train_private
from hartley.kit.fleet.repair import Repair, TrainedOn
from hartley.kit.language.bags import Bags
from hartley.kit.nets import Net
from hartley.models.class_tuning import TuningLesson
from hartley.models.gate import Gate
from hartley.models.weight_cache import Trained, kept
from hartley.targets.torch import from_torch, softmax

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

OPEN = Access.LABELS | Access.SCORES | Access.GRADIENTS | Access.WEIGHTS | Access.TRAIN
CLOSED = Access.LABELS | Access.SCORES | Access.TRAIN


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """How an owner trains.

    Attributes:
        net: the architecture.
        training: the recipe.
        modality: what the records are.
        private: train by DP-SGD with these numbers, or None.
        objective: another objective than the cross-entropy with the labels, or None.
        repairs: what is done to the trained models before anyone uses them, first one first.
        offers: what the models offer an attacker.
        cached: keep what was trained on disk.
        workers: processes for training; results do not depend on it.
        device: a torch device.
        strategy: of the fleet, see ``kit.fleet.choose``.
        gate: teaches what was trained to refuse some classes, or None; of repairs, it comes first.
        bags: how texts become the rows of numbers that the net reads, or None: records are numbers.
    """

    net: Net
    training: Training = field(default_factory=Training)
    modality: Modality = Modality.VISION
    private: Privacy | None = None
    objective: Objective | None = None
    repairs: tuple[Repair, ...] = ()
    offers: Access = CLOSED
    cached: bool = True
    workers: int = 1
    device: str = "cpu"
    strategy: str = "auto"
    bags: Bags | None = None
    gate: Gate | None = None

    def __post_init__(self) -> None:
        if self.private is not None and self.objective is not None:
            raise UsageError("a pipeline must have `private` or `objective`, got both")
        if self.bags is not None and self.offers & Access.GRADIENTS:
            raise UsageError("a pipeline of texts must offer no gradients: words have none")
        if self.gate is not None:
            self.gate.check(self.net.classes)

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values that a result depends on, for a digest."""
        plain = {
            "version": 2,
            "net": self.net.recipe,
            "training": self.training.recipe,
            "private": None if self.private is None else self.private.recipe,
            "strategy": self.strategy,
            "device": self.device.split(":")[0],
        }
        # Left out when None, so that older cache entries stay valid.
        if self.objective is not None:
            plain["objective"] = self.objective.recipe
        if self.bags is not None:
            plain["bags"] = self.bags.recipe
        if self.gate is not None:
            plain["gate"] = self.gate.recipe
        return plain | ({"repairs": [r.recipe for r in self.repairs]} if self.repairs else {})

    def with_(self, **changes: Any) -> Pipeline:
        """The same pipeline with some fields changed."""
        return replace(self, **changes)

    @property
    def epochs(self) -> int:
        """Passes over the records; with 0 the weights stay as drawn."""
        return self.training.epochs

    def numbers(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return records as the net reads them: texts (n,) as rows (n, width), others unchanged."""
        return x if self.bags is None else self.bags(x)

    def privately(self, privacy: Privacy) -> Pipeline:
        """Return the same owner, training by DP-SGD.

        Raises:
            RunError: the owner has another objective than the plain cross-entropy.
        """
        if self.objective is not None:
            raise RunError("dp_sgd clips the plain cross-entropy; the scene has another objective")
        if self.gate is not None:
            raise RunError("dp_sgd counts one training; a gate is a second one on the same records")
        return self.with_(private=privacy)

    def fit(self, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        """Train K models on K subsets of ``data``; ``include`` is (K, n) booleans."""
        return ensemble(self, self.fleet(data, include, seed))

    def tuned(
        self,
        data: Data,
        include: NDArray[Any],
        seed: int,
        lessons: Sequence[TuningLesson],
    ) -> Ensemble:
        """Return the models of ``fit``, each trained further on records of its user."""
        fleet = self.fleet(data, include, seed)
        stacks = []
        for k, lesson in enumerate(lessons):
            start = {name: array[k : k + 1] for name, array in fleet.weights.items()}
            x, y = self.numbers(lesson.records.x), lesson.records.labels
            stacks.append(
                train(
                    self.net, x, y, np.ones((1, len(y)), dtype=bool), lesson.of(self.training),
                    seed=spawn(seed, "tuned"), first=k, start=start, device=self.device,
                ).weights
                if len(y)
                else start
            )  # fmt: skip
        weights = {n: np.concatenate([stack[n] for stack in stacks]) for n in self.net.shapes}
        return ensemble(self, Fleet(self.net, weights))

    def fleet(self, data: Data, include: NDArray[Any], seed: int) -> Fleet:
        """Train as ``fit`` does, and return the weights."""
        assert data.y is not None
        x = self.numbers(data.x)
        stamp = cache.digest({"x": data.x, "y": data.y}) if self.cached else ""
        # What several defenses repair is trained once.
        unrepaired = functools.cache(lambda: self.with_(repairs=()).fleet(data, include, seed))

        def trained(rows: NDArray[np.bool_], first: int) -> Trained:
            if not self.repairs:
                fleet = self._train(x, data.labels, rows, seed, first)
                return fleet.weights, fleet.facts
            bare, some = unrepaired(), slice(first, first + len(rows))
            fleet = Fleet(self.net, {n: w[some] for n, w in bare.weights.items()}, bare.facts)
            lesson = TrainedOn(x, data.labels, rows, self.training, seed, first)
            for repair in self.repairs:
                fleet = repair.mend(fleet, lesson)
            return fleet.weights, fleet.facts

        weights, facts = kept(
            self.recipe, include, seed, trained, records=stamp, cached=self.cached
        )
        return Fleet(self.net, {name: weights[name] for name in self.net.shapes}, facts)

    def _train(
        self, x: NDArray[Any], y: NDArray[Any], include: NDArray[np.bool_], seed: int, first: int
    ) -> Fleet:
        if self.private is not None:
            return train_private(
                self.net, x, y, include, self.private,
                seed=seed, first=first, workers=self.workers,
            )  # fmt: skip

        def stage(training: Training, taught: NDArray[Any], root: int, start: Any = None) -> Fleet:
            return train(
                self.net,
                x,
                taught,
                include,
                training,
                seed=root,
                first=first,
                strategy=self.strategy,
                workers=self.workers,
                device=self.device,
                objective=self.objective,
                start=start,
            )

        if self.gate is None:
            return stage(self.training, y, seed)
        fleet = stage(self.training, self.gate.first(y), seed)
        second, taught = self.gate.second(self.training), self.gate.taught(y)
        return stage(second, taught, spawn(seed, "gate"), fleet.weights)


def ensemble(pipeline: Pipeline, fleet: Fleet) -> Ensemble:
    """A fleet as the ensemble that games and attacks use; answers are probabilities."""

    def member(k: int) -> Model:
        module = fleet.module(k)
        model = from_torch(
            module,
            name=f"{pipeline.net.kind} net",
            modality=pipeline.modality,
            classes=pipeline.net.classes,
            offers=pipeline.offers,
            fit=pipeline.fit,
            facts={"parameters": pipeline.net.size},
        )
        if pipeline.bags is None:
            return model
        return model.with_(query=_reader(module, pipeline.bags))

    return Ensemble(
        size=len(fleet),
        query=lambda x: softmax(fleet.query(pipeline.numbers(x))),
        member=member,
        facts=fleet.facts,
    )


def _reader(module: torch.nn.Sequential, bags: Bags) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return what answers texts by a dense net; zeros of their rows are not multiplied."""
    import torch

    first: Any = next(layer for layer in module if isinstance(layer, torch.nn.Linear))
    rest = module[[*module].index(first) + 1 :]
    table, bias = first.weight.detach().T.contiguous(), first.bias.detach()

    def query(texts: NDArray[Any]) -> NDArray[Any]:
        places, values, begin = map(torch.from_numpy, bags.sparse(texts))
        with torch.no_grad():
            sums = torch.nn.functional.embedding_bag(
                places, table, begin, mode="sum", per_sample_weights=values
            )
            return softmax(rest(sums + bias).numpy())

    return query
