"""How a user's own network is trained: by their loop, or by DP-SGD in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Ensemble, Model, Output, spawn
from hartley.core.errors import UsageError
from hartley.kit.cache import digest
from hartley.kit.fleet import Privacy
from hartley.kit.lazy_ensemble import one_by_one
from hartley.kit.per_record import keeps_records, train_by_record
from hartley.kit.user_code import user_code
from hartley.targets.network_file import Network
from hartley.targets.python_object import code_of_object, function_beside
from hartley.targets.user_training import UserTraining, kept_module, seeded

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class NetworkTraining:
    """The training of a user's network, which a defense can ask to be another one.

    Attributes:
        network: of the user.
        weights: whether its trained weights come from a file, so that ``network.build`` gives
            new ones.
        loop: the user's own training, or None where they gave none.
        private: train by DP-SGD with these numbers in place of the loop, or None.
    """

    network: Network
    weights: bool
    loop: UserTraining | None = None
    private: Privacy | None = None

    @property
    def optimizer(self) -> tuple[Callable[..., Any] | None, str]:
        """The user's ``optimizer(parameters)`` for DP-SGD, and its file: that of the loop first."""
        places = [self.network.text] if self.loop is None else [self.loop.text, self.network.text]
        for text in places:
            if function := function_beside(text, "optimizer"):
                return function, text.rpartition(":")[0]
        return None, ""

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values that a result depends on, for a digest."""
        network = self.network
        return {
            "version": 1,
            "code": code_of_object(network.text),
            "loop": None if self.loop is None else self.loop.code,
            "gives": str(network.gives),
            "classes": network.classes,
            "device": network.device,
            "private": None if self.private is None else self.private.recipe,
        }

    @property
    def epochs(self) -> int:
        """A user's loop is taken to make at least one pass."""
        return 1

    def refuses(self, requires: Sequence[str]) -> str:
        """Return why a defense with these requirements cannot change the training, or nothing."""
        name = self.network.text
        if "training" in requires:
            return (
                f"it changes the loss inside the training loop, and that of {name} is yours: write "
                "it into your loop, assess the new weights, and hartley compare the two runs"
            )
        if "private_training" not in requires:
            return ""
        if self.network.build is None:
            return f"it trains a torch network, and {name} is a function of the records"
        if not self.weights:
            return (
                f"it must start from new weights, and {name} comes with its own: give --model the "
                "class of the network, and --weights the file of its trained weights"
            )
        if layer := keeps_records(self.network.answer):
            return (
                f"{layer} mixes the records of a batch and keeps their mean and variance, of which "
                "DP-SGD proves nothing: build it with torch.nn.GroupNorm, and train it again"
            )
        return ""

    def replaced(self, requires: Sequence[str], params: Mapping[str, Any]) -> str:
        """Return in words what a defense puts in the place of the user's training."""
        if "private_training" not in requires:
            return ""
        loop = "the training of the weights" if self.loop is None else f"--fit {self.loop.text}"
        _, place = self.optimizer
        named = ("epochs", "rate", "clip") if place else ("epochs", "rate", "lr", "clip")
        stepped = f"optimizer(parameters) of {place}" if place else "Adam"
        settings = ", ".join(f"{name} {params[name]:g}" for name in named)
        return (
            f"{self.network.text} is trained from new weights by DP-SGD with {stepped} "
            f"({settings}), in place of {loop}"
        )

    def privately(self, privacy: Privacy) -> NetworkTraining:
        """Return the same owner, training by DP-SGD."""
        return replace(self, private=privacy)

    def fit(self, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        """Train K models; ``include`` is (K, n) booleans.

        Raises:
            UsageError: the user gave no training, and no defense put one in its place.
        """
        if self.private is None:
            if self.loop is None:
                raise UsageError(f"{self.network.text} must come with --fit to be trained anew")
            return self.loop.fit(data, include, seed)
        x, y, network, privacy = np.asarray(data.x), data.labels, self.network, self.private
        stamp = digest([self.recipe, x, y])
        seeds = [spawn(seed, "private", k) % 2**31 for k in range(len(include))]
        names = [
            f"dp_sgd:{digest([stamp, row, own_seed])[:32]}"
            for row, own_seed in zip(include, seeds, strict=True)
        ]
        what = f"DP-SGD of --model {network.text}"

        def train(k: int) -> Model:
            rows = np.flatnonzero(include[k])
            trained = kept_module(
                names[k],
                network,
                x[:64],
                lambda: self._trained(x[rows], y[rows], privacy, seeds[k]),
            )
            return network.model(trained, what, identity=names[k], fit=self.fit)

        return one_by_one(
            train, names, {"strategy": "private", "device": network.device}, output=network.gives
        )

    def _trained(self, x: NDArray[Any], y: NDArray[Any], privacy: Privacy, seed: int) -> Any:
        network = self.network
        assert network.build is not None
        what = f"DP-SGD of --model {network.text}"
        with seeded(seed, network.device), user_code(what):
            module = network.build().to(network.device)
            rng = np.random.default_rng(spawn(seed, "steps"))
            # A model that leaves a record out may hold none at all.
            if len(x):
                train_by_record(
                    module,
                    x,
                    y,
                    privacy,
                    rng,
                    loss=self._loss,
                    device=network.device,
                    optimizer=self.optimizer[0],
                )
        return module.eval()

    def _loss(self, answers: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The cross-entropy (a sum) of what the module returns, also where it is one number."""
        import torch
        import torch.nn.functional as F

        given = answers.float()
        logits = self.network.gives is Output.LOGITS
        if given.ndim == 1 or given.shape[1] == 1:
            first = given.reshape(len(labels), 1)
            other = torch.zeros_like(first) if logits else 1.0 - first
            given = torch.cat([other, first], 1)
        if logits:
            return F.cross_entropy(given, labels, reduction="sum")
        return F.nll_loss(given.clamp_min(1e-12).log(), labels, reduction="sum")
