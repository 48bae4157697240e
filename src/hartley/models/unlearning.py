"""An owner who is asked to forget records: trains with them, and then takes them out again.

What is left of them is measured by the membership game (``scenes.unlearned_digits``): ``fit``
trains on the records that coins chose and on the owner's others, and then unlearns the former. So
a record that was forgotten is compared with one that was never there, and an attacker's reference
models forget too. Retraining without them is exact, and everything else is measured against it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from hartley.core import Access, Data, Ensemble
from hartley.core.errors import UsageError
from hartley.kit.cache import digest
from hartley.kit.eager_optimizers import eager
from hartley.kit.fleet.repair import Repair, TrainedOn, each, shuffled
from hartley.models.pipeline import Pipeline

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.kit.fleet import Fleet

Method = Literal["none", "retrain", "gradient_ascent", "gradient_difference", "npo"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class Unlearning:
    """How records are taken out of a trained net.

    * ``none``: they stay in.
    * ``retrain``: it is trained anew without them.
    * ``gradient_ascent``: steps up their cross-entropy.
    * ``gradient_difference``: the same, and down that of the owner's other records
      (arXiv:2203.12817).
    * ``npo``: negative preference optimisation, −(2/β)·log σ(−β·log(p/p₀)) of the probability of
      their label now and before, and down the cross-entropy of the others (arXiv:2404.05868).

    Attributes:
        method: one of these.
        passes: over the records that are forgotten.
        rate: learning rate of Adam, as a share of the owner's.
        beta: of npo.

    Raises:
        UsageError: a value is out of range.
    """

    method: Method = "npo"
    passes: int = 5
    rate: float = 1.0
    beta: float = 0.5

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")
        if self.passes < 1 or self.rate <= 0 or self.beta <= 0:
            raise UsageError(f"unlearning must have passes ≥ 1, rate and beta > 0, got {self}")


@dataclass(frozen=True, slots=True, eq=False)
class UnlearningPipeline:
    """How an owner trains, and forgets what was asked for.

    Attributes:
        owner: how they train.
        retained: records that no one asks to forget; every net is trained on them.
        unlearning: how they forget.
    """

    owner: Pipeline
    retained: Data
    unlearning: Unlearning

    @property
    def offers(self) -> Access:
        """What the models offer an attacker."""
        return self.owner.offers

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values that a result depends on, for a digest."""
        rest = digest({"x": self.retained.x, "y": self.retained.labels})
        return {**self.owner.recipe, "unlearning": asdict(self.unlearning), "retained": rest}

    def fit(self, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        """Train K nets on K subsets of ``data`` and on the retained records; forget the subsets."""
        count, rest = len(data), self.retained
        both = replace(
            data,
            x=np.concatenate([data.x, rest.x]),
            y=np.concatenate([data.labels, rest.labels]),
        )
        everyone = np.ones((len(include), len(rest)), dtype=bool)
        forgets = self.unlearning.method not in ("none", "retrain")
        some = np.asarray(include, dtype=bool) & (self.unlearning.method != "retrain")
        owner = self.owner
        if forgets:
            owner = owner.with_(repairs=(*owner.repairs, Forget(count, self.unlearning)))
        trained = owner.fit(both, np.concatenate([some, everyone], 1), seed)

        def member(k: int) -> Any:
            return trained.member(k).with_(fit=self.fit)

        return replace(trained, member=member)


@dataclass(frozen=True, slots=True)
class Forget(Repair):
    """Takes the first records out of every net that was trained on them.

    Attributes:
        count: records that may be forgotten; those after them are retained.
        unlearning: how.
    """

    count: int
    unlearning: Unlearning

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return {"name": "Forget", "version": 1, "count": self.count, **asdict(self.unlearning)}

    def mend(self, fleet: Fleet, trained_on: TrainedOn) -> Fleet:
        """Take each net's records of the first ``count`` out of it."""
        import torch

        x = torch.from_numpy(np.array(trained_on.x, np.float32))
        y = torch.from_numpy(np.array(trained_on.y, np.int64))
        lr = trained_on.training.lr * self.unlearning.rate
        batch, passes = trained_on.training.batch, self.unlearning.passes

        def mend(k: int, module: torch.nn.Sequential) -> None:
            rows = np.flatnonzero(trained_on.include[k])
            gone, rest = rows[rows < self.count], rows[rows >= self.count]
            if not len(gone):
                return
            rng = trained_on.rng(k, "forget")
            loss = self._loss(module, x, y)
            optimiser = eager("Adam")(module.parameters(), lr=lr)
            for part in shuffled(rng, len(gone), batch, passes):
                others = rng.choice(rest, min(batch, len(rest)), replace=False)
                optimiser.zero_grad()
                loss(torch.from_numpy(gone[part]), torch.from_numpy(others)).backward()
                optimiser.step()

        return each(fleet, mend)

    def _loss(
        self, module: torch.nn.Sequential, x: torch.Tensor, y: torch.Tensor
    ) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Return (rows to forget, rows to keep) → what is minimised."""
        import torch
        import torch.nn.functional as F

        method, beta = self.unlearning.method, self.unlearning.beta
        with torch.no_grad():
            before = -F.cross_entropy(module(x), y, reduction="none")

        def loss(gone: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
            now = -F.cross_entropy(module(x[gone]), y[gone], reduction="none")
            if method == "npo":
                away = -2 / beta * F.logsigmoid(-beta * (now - before[gone])).mean()
            else:
                away = now.mean()
            if method == "gradient_ascent":
                return away
            return away + F.cross_entropy(module(x[rest]), y[rest])

        return loss
